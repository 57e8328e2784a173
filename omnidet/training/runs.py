"""The identity of a training run: what its weights depend on, and which other runs there are."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import omnidet
from omnidet import storage
from omnidet.data.shards import Index
from omnidet.data.vocabulary import Vocabulary
from omnidet.storage import Location

if TYPE_CHECKING:
    from omnidet.training import distributed

_PARTS_OF_TRAINING = ("model", "streams", "mixing", "losses", "matching", "train")
"""Parts of a recipe that the weights depend on; they do not depend on how a detector is evaluated.
"""
_OPERATION = {
    "mixing": ("workers", "cache_gigabytes", "cache_folder"),
    "train": (
        "parallel",
        "log_every",
        "pictures_every",
        "checkpoint_every",
        "keep_checkpoints",
        "keep_checkpoint_every",
        "score_every",
        "score_images",
    ),
}
"""Fields that change how a run proceeds and what is kept of it, but none of the weights on the way:
a run continues when they change."""

EVALUATION = "evaluation_sha256"
"""In the provenance: a hash of each evaluation set, by which two detectors were measured on the
same pictures or not, whatever they were trained on."""


def provenance(
    recipe: Mapping[str, Any], index: Index, vocabulary: Vocabulary, start: str = ""
) -> dict[str, Any]:
    """Everything that the weights depend on; `run` is a hash over it.

    Args:
        recipe: the plain form of the recipe.
        start: hash of the weights that training starts from; empty for training from scratch.
    """
    content = [
        decisive(recipe),
        index.dataset_version,
        vocabulary.content_hash,
        *([start] if start else []),
    ]
    return {
        "run": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12],
        "recipe": recipe,
        "dataset_version": index.dataset_version,
        EVALUATION: {name: index.sha256(name) for name in sorted(index.ground_truth)},
        "vocabulary_hash": vocabulary.content_hash,
        "omnidet_version": omnidet.__version__,
        **({"start_weights_sha256": start} if start else {}),
        "shards": index.location
        if storage.is_s3(index.location)
        else str(Path(index.location).resolve()),
        "git_commit": git_commit(),
    }


def git_commit() -> str:
    """The commit of the code, marked `-dirty` if files were changed since.

    `OMNIDET_GIT_COMMIT` overrides it, for installations without a checkout.
    """
    given = os.environ.get("OMNIDET_GIT_COMMIT")
    if given:
        return given
    root = Path(omnidet.__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"],
            cwd=root, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def decisive(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What the weights depend on in a recipe's plain form."""
    return {
        part: {k: v for k, v in recipe[part].items() if k not in _OPERATION[part]}
        if part in _OPERATION
        else recipe[part]
        for part in _PARTS_OF_TRAINING
    }


def alone(folder: Location, world: distributed.World) -> AbstractContextManager[None]:
    """Raise ValueError, on the main rank, if another process here trains in the same folder."""
    if storage.is_s3(folder) or not world.is_main:
        return nullcontext()
    lock = Path(f"{folder}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    return storage.locked(
        lock, f"another process trains in {folder}: wait for it to end, or give another --work"
    )


def others(work: Location, facts: Mapping[str, Any]) -> list[str]:
    """Lines that say why a new run starts although there are others.

    A changed recipe starts a run of its own. Without a word about it, the work of the other run
    would seem lost.

    Args:
        facts: provenance of the run that starts; its `run` is the name of its folder in `work`.
    """
    from omnidet.training import checkpoint

    names = [name for name in storage.list_folders(work) if not name.startswith(".")]
    lines = []
    for name in [] if facts["run"] in names else names:
        place = checkpoint.latest(storage.join(work, name, "checkpoints"))
        if place is None:
            continue
        other = checkpoint.provenance(place)
        changed = []
        if "recipe" in other:
            changed = _differences(decisive(other["recipe"]), decisive(facts["recipe"]))
        hashes = ("dataset_version", "vocabulary_hash")
        changed += [key for key in hashes if other.get(key) != facts[key]]
        listed = ", ".join(changed[:5]) + (", ..." if changed[5:] else "")
        lines.append(
            f"a new run starts in {storage.join(work, facts['run'])}: "
            f"the one in {place} differs in {listed}"
        )
    return lines


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Names of the fields in which two plain forms differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return [
            d
            for k in {**old, **new}
            for d in _differences(old.get(k), new.get(k), f"{path}.{k}".lstrip("."))
        ]
    return [] if old == new else [path]
