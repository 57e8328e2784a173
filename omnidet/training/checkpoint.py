"""Checkpoints: whole or not there, and never loaded by running code."""

from __future__ import annotations

import hashlib
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
from omnidet.storage import Location

_TENSORS = ("model.safetensors", "average.safetensors", "optimizer.pt")


@dataclass(frozen=True)
class State:
    """What is saved, by reference."""

    model: nn.Module
    average: nn.Module
    optimizer: optim.Optimizer


def save(folder: Location, step: int, state: State, facts: dict[str, Any], log: Path | None = None, keep: int = 2) -> str:
    """Write `folder/<step>`, whole or not at all, with the metric log so far, and remove all but the newest `keep`."""
    target = storage.join(folder, f"{step:08d}")
    with storage.staged_directory(target) as stage:
        save_file(_flat(state.model), stage / "model.safetensors")
        save_file(_flat(state.average), stage / "average.safetensors")
        torch.save(state.optimizer.state_dict(), stage / "optimizer.pt")
        if log is not None:
            shutil.copyfile(log, stage / "metrics.jsonl")
        content = {"step": step, **facts, "sha256": {name: _sha256(stage / name) for name in _TENSORS}}
        (stage / storage.INDEX_NAME).write_text(json.dumps(content, indent=1), encoding="utf-8")
    for old in _all(folder)[:-keep]:
        storage.remove(old)
    return target


def latest(folder: Location) -> str | None:
    """The newest checkpoint, if there is one."""
    found = _all(folder)
    return found[-1] if found else None


def load(location: Location, state: State, log: Path | None = None) -> dict[str, Any]:
    """Put a checkpoint into the model, average, optimizer and metric log and return its facts.

    Raises ValueError that names the checkpoint if it is damaged or of another model.
    """
    path = storage.local_copy(location, ".cache/checkpoints")
    try:
        facts: dict[str, Any] = json.loads((path / storage.INDEX_NAME).read_text(encoding="utf-8"))
        for name in _TENSORS:
            if _sha256(path / name) != facts["sha256"][name]:
                raise ValueError(f"{name} is corrupt")
        state.model.load_state_dict(load_file(path / "model.safetensors"))
        state.average.load_state_dict(load_file(path / "average.safetensors"))
        state.optimizer.load_state_dict(torch.load(path / "optimizer.pt", weights_only=True))
        if log is not None and (path / "metrics.jsonl").exists():
            storage.write_bytes(log, storage.read_bytes(path / "metrics.jsonl"))
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"checkpoint {location} does not fit this run ({reason}): remove it to begin anew") from error
    return facts


def _all(folder: Location) -> list[str]:
    found = [storage.join(folder, name) for name in sorted(storage.list_folders(folder)) if name.isdigit()]
    return [path for path in found if storage.exists(storage.join(path, storage.INDEX_NAME))]


def _flat(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
