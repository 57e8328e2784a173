"""Whether a detector was trained on what it is to be measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnidet import storage
from omnidet.data import shards
from omnidet.data.sharding.held_out import trained_on
from omnidet.measures.config import EvaluationConfig

SHOWN = 3
"""Images that the message names."""


@dataclass(frozen=True)
class Compared:
    """What a comparison of training and evaluation pictures came to."""

    is_whole: bool
    """Whether the shards of the training were at hand."""
    notes: tuple[str, ...] = ()
    """For people."""


def require_unseen(
    provenance: Mapping[str, Any], index: shards.Index, config: EvaluationConfig
) -> Compared:
    """Raise ValueError if an evaluation set holds an image that the detector was trained on, in
    shards that hold its training sets; where those are elsewhere, somebody may want just that, and
    a note says it.

    Args:
        provenance: of the detector.
    """
    streams = provenance.get("recipe", {}).get("streams", [])
    named = list(dict.fromkeys(name for stream in streams for name in stream["sets"]))
    training = _training_shards(provenance, index)
    if not named or training is None:
        return UNKNOWN
    trained = [name for name in named if name in training.sets]
    is_here = training is index or all(
        [s.sha256 for s in training.shards(name)] == [s.sha256 for s in index.sets.get(name, ())]
        for name in trained
    )
    notes = []
    for name in dict.fromkeys(benchmark.set_name for benchmark in config.benchmarks):
        if name not in index.sets:
            continue
        try:
            both = trained_on(training, trained, index, name)
        except (OSError, ValueError):
            if training is index:
                raise
            return UNKNOWN  # the index of the training's shards is there, but not all of its files
        if not both:
            continue
        more = ", ..." if both[SHOWN:] else ""
        said = (
            f"{name}: {len(both)} of its images were trained on ({', '.join(both[:SHOWN])}{more})"
        )
        if is_here:
            raise ValueError(
                f"{said}: build the shards with this set among the evaluation sets, which holds "
                "its images out, and train again"
            )
        notes.append(f"note: {said}: its numbers say how well these are remembered")
    return Compared(True, tuple(notes))


UNKNOWN = Compared(
    False,
    (
        "note: the detector was trained on other shards than these, so whether it has seen some of "
        "these evaluation pictures before cannot be checked",
    ),
)


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
