"""Checkpoints: whole or not there, and never loaded by running code."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn, optim

from omnidet import storage


@dataclass(frozen=True)
class State:
    """What is saved, by reference."""

    model: nn.Module
    average: nn.Module
    optimizer: optim.Optimizer


def save(folder: Path, step: int, state: State, facts: dict[str, Any], keep: int = 2) -> Path:
    """Write `folder/<step>` in one move and remove all but the newest `keep`."""
    target = folder / f"{step:08d}"
    with storage.staged_directory(target) as stage:
        save_file(_flat(state.model), stage / "model.safetensors")
        save_file(_flat(state.average), stage / "average.safetensors")
        torch.save(state.optimizer.state_dict(), stage / "optimizer.pt")
        (stage / "state.json").write_text(json.dumps({"step": step, **facts}, indent=1), encoding="utf-8")
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def latest(folder: Path) -> Path | None:
    """The newest checkpoint, if there is one."""
    found = _all(folder)
    return found[-1] if found else None


def load(path: Path, state: State) -> dict[str, Any]:
    """Put a checkpoint into the model, average and optimizer and return its facts.

    Raises ValueError that names the checkpoint if it is damaged or of another model.
    """
    try:
        facts: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
        state.model.load_state_dict(load_file(path / "model.safetensors"))
        state.average.load_state_dict(load_file(path / "average.safetensors"))
        state.optimizer.load_state_dict(torch.load(path / "optimizer.pt", weights_only=True))
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"checkpoint {path} does not fit this run ({reason}): remove it to begin anew") from error
    return facts


def _all(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("[0-9]*") if (p / "state.json").is_file())


def _flat(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
