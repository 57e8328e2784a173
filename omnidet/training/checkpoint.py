"""Checkpoints: complete or absent, verified when read; loading one never executes code from it.

    snapshot (all ranks, copied to the CPU) -> Writer (a thread of the main rank) -> folder/<step>/
        model.safetensors     average.safetensors     optimizer.safetensors     random.safetensors
        metrics.jsonl
        provenance.json     recipe, vocabulary hash, hash of every shard, code version
        index.json          step, loader, schedule, world size, SHA-256 of each file; written last

`restore` takes the newest undamaged one. One rank reads it and sends it to the others, so it fits
any number of ranks, with DDP and with FSDP2.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from omnidet import storage
from omnidet.storage import Location
from omnidet.training import distributed, run_state
from omnidet.training.run_state import State

_LOG, _PROVENANCE = "metrics.jsonl", "provenance.json"
_OWN = "index_sha256"


@dataclass(frozen=True)
class Snapshot:
    """The state of a run at one step: a copy that later steps do not change."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    """By part (`model`, `average`, `optimizer`, `random`) and name, on the CPU."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For the index: loader, schedule, world size."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    log: bytes = b""
    """The metric log up to this step."""


class DamagedError(ValueError):
    """A checkpoint's content is not what was written."""


def snapshot(
    step: int,
    state: State,
    facts: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    log: bytes = b"",
) -> Snapshot | None:
    """A copy of everything on the main rank, None on the others. Every rank must call this."""
    tensors = run_state.collect(state)
    counts = {"average_updates": state.average.num_updates, "world_size": distributed.size()}
    if not distributed.is_main():
        return None
    return Snapshot(step, tensors, {**counts, **(facts or {})}, provenance or {}, log)


def write(folder: Location, taken: Snapshot, keep: int = 2, keep_every: int = 0) -> str:
    """Write `folder/<step>` completely or not at all, then remove older checkpoints.

    The newest `keep` stay, and those of every `keep_every`-th step. Raises OSError, which names the
    place, if it cannot be written; the checkpoints before it are untouched.
    """
    target = storage.join(folder, f"{taken.step:08d}")
    try:
        with storage.staged_directory(target) as stage:
            for part in run_state.PARTS:
                save_file(dict(taken.tensors[part]), stage / f"{part}.safetensors")
            (stage / _LOG).write_bytes(taken.log)
            (stage / _PROVENANCE).write_text(
                json.dumps(taken.provenance, indent=1), encoding="utf-8"
            )
            digests = {path.name: _sha256(path.read_bytes()) for path in sorted(stage.iterdir())}
            content = {"step": taken.step, **taken.facts, "sha256": digests}
            content[_OWN] = _sha256(_canonical(content))
            (stage / storage.INDEX_NAME).write_text(json.dumps(content, indent=1), encoding="utf-8")
            for path in stage.iterdir():
                _to_disk(path)
    except ConnectionError:
        raise
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"checkpoint {target} cannot be written ({_first_line(error)}): make room there or "
            "correct the permissions; the checkpoints before it are intact"
        ) from error
    _remove_old(folder, taken.step, keep, keep_every)
    return target


def latest(folder: Location) -> str | None:
    """The newest checkpoint, or None."""
    found = _all(folder)
    return found[-1] if found else None


def read(location: Location) -> Snapshot:
    """A checkpoint as it was written.

    Raises DamagedError if a file is not what was written, and OSError if the store does not answer.
    """
    path = storage.local_copy(location, ".cache/checkpoints")
    try:
        index: dict[str, Any] = json.loads((path / storage.INDEX_NAME).read_text(encoding="utf-8"))
        is_own = index.pop(_OWN) == _sha256(_canonical(index))
        if not is_own or int(index["step"]) != int(Path(location).name):
            raise DamagedError(f"{storage.INDEX_NAME} is not what was written")
        digests, step = index.pop("sha256"), int(index.pop("step"))
        content = {}
        for name in (*(f"{part}.safetensors" for part in run_state.PARTS), _LOG, _PROVENANCE):
            content[name] = (path / name).read_bytes()
            if _sha256(content[name]) != digests[name]:
                raise DamagedError(f"{name} is not what was written")
        tensors = {part: load(content[f"{part}.safetensors"]) for part in run_state.PARTS}
        return Snapshot(step, tensors, index, json.loads(content[_PROVENANCE]), content[_LOG])
    except DamagedError:
        raise
    except FileNotFoundError as error:
        raise DamagedError(f"{Path(str(error.filename)).name} is missing") from error
    except (
        IsADirectoryError,
        NotADirectoryError,
        SafetensorError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise DamagedError(_first_line(error)) from error


def provenance(location: Location) -> dict[str, Any]:
    """Recipe and hashes of a checkpoint; empty if they cannot be read."""
    try:
        content = json.loads(storage.read_text(storage.join(location, _PROVENANCE)))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def restore(folder: Location, state: State, world: distributed.World) -> Snapshot | None:
    """Load the newest undamaged checkpoint into model, average and optimizer, on all ranks.

    Returns None if there is no checkpoint. Prints one line for each that is damaged. Raises
    ValueError if all are damaged, or if the newest undamaged one belongs to another model.
    """
    found = newest(folder) if world.is_main else None
    plain = distributed.from_main(
        (found.step, found.facts, found.provenance, found.log) if found else None
    )
    if plain is None:
        return None
    tensors: dict[str, dict[str, Tensor]] = {
        part: distributed.tensors_from_main(found.tensors[part] if found else {}, world.device)
        for part in run_state.PARTS
    }
    step, facts, provenance, log = plain
    try:
        run_state.fill(state, tensors)
        state.average.num_updates = int(facts["average_updates"])
    except (RuntimeError, ValueError, KeyError) as error:
        place = storage.join(folder, f"{step:08d}")
        raise ValueError(
            f"checkpoint {place} does not fit this run ({_first_line(error)}): "
            "remove it to start again"
        ) from error
    # With another number of ranks the saved generators are of no use. Each step seeds its own
    # anyway.
    if facts["world_size"] == world.size:
        run_state.set_generators(tensors["random"], world.rank)
    return Snapshot(step, tensors, facts, provenance, log)


def newest(folder: Location) -> Snapshot | None:
    """The newest undamaged checkpoint, None if there is none. Prints one line for each that is
    damaged. Raises ValueError if all are.
    """
    for pause in (0.5, 1.0, 2.0, 4.0) if storage.is_s3(folder) else ():
        try:
            return _newest_of(folder)
        except OSError:  # an earlier writer, not gone yet, removes old ones: look again
            time.sleep(pause)
    return _newest_of(folder)


def _newest_of(folder: Location) -> Snapshot | None:
    # A local checkpoint is moved into place as a whole, so one without its index is damaged. On an
    # object store the index is written last, so one without its index is unfinished.
    places = _all(folder) if storage.is_s3(folder) else _named(folder)
    for place in reversed(places):
        try:
            return read(place)
        except DamagedError as error:
            print(
                f"checkpoint {place} is damaged ({error}): going on from the one before it",
                file=sys.stderr,
                flush=True,
            )
    if places:
        raise ValueError(
            f"every checkpoint in {folder} is damaged: remove the folder to start again"
        )
    return None


def _remove_old(folder: Location, step: int, keep: int, keep_every: int) -> None:
    """Remove what need not be kept.

    Later checkpoints do not count: the run that went back to `step` wrote them before, and at least
    one of them is damaged.
    """
    steps = [int(Path(place).name) for place in _all(folder)]
    for old in [s for s in steps if s <= step][:-keep]:
        if not (keep_every and old % keep_every == 0):
            storage.remove(storage.join(folder, f"{old:08d}"))
    if not storage.is_s3(folder):
        # What a killed process was writing: there is only one writer at a time.
        for stale in Path(folder).glob(".*.stage-*"):
            if stale.suffix != ".old":
                shutil.rmtree(stale, ignore_errors=True)


def _named(folder: Location) -> list[str]:
    return [
        storage.join(folder, name)
        for name in sorted(storage.list_folders(folder))
        if name.isdigit()
    ]


def _all(folder: Location) -> list[str]:
    return [
        path for path in _named(folder) if storage.exists(storage.join(path, storage.INDEX_NAME))
    ]


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _canonical(index: Mapping[str, Any]) -> bytes:
    return json.dumps(index, sort_keys=True).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
