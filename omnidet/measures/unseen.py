"""Whether a detector was trained on what it is to be measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnidet import storage
from omnidet.data import shards
from omnidet.data.sharding.held_out import trained_on
from omnidet.measures.config import EvaluationConfig

SHOWN = 3
"""Images that the message names."""


def require_unseen(
    provenance: Mapping[str, Any], index: shards.Index, config: EvaluationConfig
) -> bool:
    """Raise ValueError if an evaluation set holds an image that the detector was trained on.

    Args:
        provenance: of the detector.

    Returns:
        Whether that could be checked: the shards must be those of the training, or hold them.
    """
    streams = provenance.get("recipe", {}).get("streams", [])
    named = list(dict.fromkeys(name for stream in streams for name in stream["sets"]))
    if not named or not _holds_training(provenance, index, named):
        return False
    trained = [name for name in named if name in index.sets]
    for name in dict.fromkeys(benchmark.set_name for benchmark in config.benchmarks):
        both = trained_on(index, trained, name) if name in index.sets else []
        if both:
            more = ", ..." if both[SHOWN:] else ""
            raise ValueError(
                f"{name}: {len(both)} of its images were trained on "
                f"({', '.join(both[:SHOWN])}{more}): build the shards with this set among the "
                "evaluation sets, which holds its images out, and train again"
            )
    return True


def _holds_training(
    provenance: Mapping[str, Any], index: shards.Index, trained: Sequence[str]
) -> bool:
    """Whether the shards are those of the training, or hold its sets unchanged beside others, as
    where a detector is taught more."""
    if provenance.get("dataset_version") == index.dataset_version:
        return True
    place = str(provenance.get("shards", ""))
    if not place or (storage.is_s3(place) and not storage.is_s3(index.location)):
        return False  # a store of others may be out of reach, and is not waited for
    try:
        own = shards.read_index(place)
    except (OSError, ValueError):  # gone, or no longer what it was
        return False
    return own.dataset_version == provenance.get("dataset_version") and all(
        _hashes(own, name) == _hashes(index, name) for name in trained if name in own.sets
    )


def _hashes(index: shards.Index, set_name: str) -> list[str]:
    return [shard.sha256 for shard in index.sets.get(set_name, ())]
