"""The official annotation file of an evaluation set, which is stored with its shards."""

from __future__ import annotations

from pathlib import Path

from omnidet import storage
from omnidet.data import shards


def ground_truth(index: shards.Index, set_name: str) -> tuple[Path, dict[str, str]]:
    """The path of the set's annotation file, and what each category id is called.

    Raises:
        ValueError: if the set has no annotation file, or the file is corrupt.
    """
    truth = index.ground_truth.get(set_name)
    if truth is None:
        raise ValueError(
            f"{index.location} has no ground truth for {set_name!r}: build the shards again, with "
            "it as an evaluation set"
        )
    path = storage.local_copy(storage.join(index.location, truth["file"]), ".cache/shards")
    if storage.sha256(path) != truth["sha256"]:
        raise ValueError(f"{path} is corrupt (its hash is not the index's): build the shards again")
    names: dict[str, str] = truth["names"]
    return path, names
