"""Whether a detector was trained on what it is to be measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        Whether that could be checked: the shards must be those of the training.
    """
    streams = provenance.get("recipe", {}).get("streams", [])
    if provenance.get("dataset_version") != index.dataset_version or not streams:
        return False
    named = dict.fromkeys(name for stream in streams for name in stream["sets"])
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
