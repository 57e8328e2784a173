"""How often a detector frames one thing twice under one name."""

from __future__ import annotations

import numpy as np

from omnidet.evaluation.box_iou import iou_xywh
from omnidet.evaluation.truth import Doubles
from omnidet.schema import IntArray

SAME_THING = 0.7
"""IoU above which two boxes of a name frame the same thing."""


def images_with_doubles(
    image_D: IntArray, category_D: IntArray, boxes_xywh_D4: Doubles
) -> frozenset[int]:
    """The images in which two detections of one category have an IoU above `SAME_THING`."""
    found = set()
    order = np.lexsort((category_D, image_D))
    keys = np.stack([image_D[order], category_D[order]])
    starts = np.flatnonzero(np.r_[True, (np.diff(keys) != 0).any(0)]) if len(order) else order
    for members in np.split(order, starts[1:]):
        image = int(image_D[members[0]]) if len(members) else -1
        if len(members) > 1 and image not in found:
            boxes_N4 = boxes_xywh_D4[members]
            overlap_NN = np.stack([iou_xywh(box, boxes_N4) for box in boxes_N4])
            if (np.triu(overlap_NN, 1) > SAME_THING).any():
                found.add(image)
    return frozenset(found)
