"""Whether a detector was trained on what it is to be measured on."""

from __future__ import annotations

from collections.abc import Mapping
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
        Whether that could be checked: the shards of the training must be at hand.
    """
    streams = provenance.get("recipe", {}).get("streams", [])
    named = list(dict.fromkeys(name for stream in streams for name in stream["sets"]))
    training = _training_shards(provenance, index)
    if not named or training is None:
        return False
    trained = [name for name in named if name in training.sets]
    for name in dict.fromkeys(benchmark.set_name for benchmark in config.benchmarks):
        if name not in index.sets:
            continue
        try:
            both = trained_on(training, trained, index, name)
        except (OSError, ValueError):
            if training is index:
                raise
            return False  # the index of the training's shards is there, but not all of its files
        if both:
            more = ", ..." if both[SHOWN:] else ""
            raise ValueError(
                f"{name}: {len(both)} of its images were trained on "
                f"({', '.join(both[:SHOWN])}{more}): build the shards with this set among the "
                "evaluation sets, which holds its images out, and train again"
            )
    return True


def _training_shards(provenance: Mapping[str, Any], index: shards.Index) -> shards.Index | None:
    """The shards of the training: those that are given, or those at the place it read them from, as
    where a detector is taught more. None where that is out of reach or holds others by now."""
    if provenance.get("dataset_version") == index.dataset_version:
        return index
    place = str(provenance.get("shards", ""))
    if not place or (storage.is_s3(place) and not storage.is_s3(index.location)):
        return None  # a store of others may be out of reach, and is not waited for
    try:
        own = shards.read_index(place)
    except (OSError, ValueError):  # gone, or no longer what it was
        return None
    return own if own.dataset_version == provenance.get("dataset_version") else None
