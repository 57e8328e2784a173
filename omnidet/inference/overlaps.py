"""Boxes that frame the same thing: of two under one name the better one is kept.

No torch here: exported detectors do it too.
"""

from __future__ import annotations

import numpy as np

from omnidet.inference.question import shown
from omnidet.schema import FloatArray, IntArray

SAME_THING = 0.7
"""Intersection over union above which two boxes of a name are taken for the same thing, where
that is asked for."""


def one_each(
    boxes_Q4: FloatArray, region_K: IntArray, name_K: IntArray, same_thing: float | None
) -> list[int]:
    """Places of the pairs that are no second phrase, or box, of a better one of the same name.

    Args:
        region_K: the region of each pair, best first.
        name_K: its name.
        same_thing: intersection over union above which a box is another one's; None keeps all.
    """
    kept: list[int] = []
    seen: set[tuple[int, int]] = set()
    by_name: dict[int, list[int]] = {}
    for place, (region, name) in enumerate(zip(region_K.tolist(), name_K.tolist(), strict=True)):
        if (region, name) in seen:
            continue
        seen.add((region, name))
        others = by_name.setdefault(name, [])
        if same_thing is not None and others:
            shares = overlaps(boxes_Q4[region], boxes_Q4[others])
            if float(shares.max()) > same_thing:
                continue
        others.append(region)
        kept.append(place)
    return kept


def overlaps(box: FloatArray, others_K4: FloatArray) -> FloatArray:
    """Intersection over union (K,) of a box with others."""
    width = np.minimum(box[2], others_K4[:, 2]) - np.maximum(box[0], others_K4[:, 0])
    height = np.minimum(box[3], others_K4[:, 3]) - np.maximum(box[1], others_K4[:, 1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area = (box[2] - box[0]) * (box[3] - box[1])
    areas_K = (others_K4[:, 2] - others_K4[:, 0]) * (others_K4[:, 3] - others_K4[:, 1])
    shares: FloatArray = common / np.maximum(area + areas_K - common, 1e-9)
    return shares


def checked_overlap(given: bool | float) -> float | None:
    """The share above which boxes overlap too much; None where all are kept.

    Raises ValueError unless it is True, False or a share from 0 to 1.
    """
    if isinstance(given, bool):
        return SAME_THING if given else None
    if not isinstance(given, int | float) or not 0 <= given <= 1:  # NaN compares false
        raise ValueError(
            f"no_overlaps {shown(given)}: give True, False, or the share of overlap from 0 to 1 "
            "above which two boxes are the same thing"
        )
    return float(given)
