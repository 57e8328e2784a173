"""Opened pictures -> what the detector sees in them: boxes in their own pixels, embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from omnidet import boxes
from omnidet.inference.pictures import Picture
from omnidet.model.detector import Detector
from omnidet.schema import FloatArray


@dataclass(frozen=True, eq=False)
class Seen(Picture):
    """A picture with what a detector saw in it: another question about it costs a search alone."""

    by: tuple[Detector, torch.dtype]
    """The detector, and what it multiplied in."""
    boxes_Q4: FloatArray
    embeddings_QD: Tensor


@torch.inference_mode()
def regions_of(
    detector: Detector, opened: Sequence[Picture], precision: torch.dtype = torch.float32
) -> list[tuple[FloatArray, Tensor]]:
    """For each picture its boxes (Q, 4), corners in its pixels, and embeddings (Q, D).

    Args:
        precision: what is multiplied in, where it is not 32 bits.

    Raises ValueError for a picture whose file is damaged.
    """
    device = detector.tokens.biases.device
    is_half = precision != torch.float32
    found: dict[int, tuple[FloatArray, Tensor]] = {}
    sides: dict[int, int] = {}
    for i, picture in enumerate(opened):
        if isinstance(picture, Seen) and picture.by == (detector, precision):
            found[i] = picture.boxes_Q4, picture.embeddings_QD
        else:
            sides[i] = detector.config.side(picture.width, picture.height)
    prepared = {i: opened[i].letterboxed(side) for i, side in sides.items()}
    for side in sorted(set(sides.values())):  # images of one size go through the detector together
        members = [i for i, own in sides.items() if own == side]
        stacked_BHWC = np.stack([prepared[i].pixels for i in members])
        pixels_BCHW = torch.from_numpy(stacked_BHWC).permute(0, 3, 1, 2)
        with torch.autocast(device.type, precision, enabled=is_half):
            embeddings_BQD, boxes_BQ4, _ = detector.regions(pixels_BCHW.to(device))
        corners_BQ4 = (boxes.cxcywh_to_xyxy(boxes_BQ4) * side).cpu().numpy()
        for i, corners_Q4, embeddings_QD in zip(members, corners_BQ4, embeddings_BQD, strict=True):
            found[i] = opened[i].unboxed(corners_Q4, prepared[i].record), embeddings_QD
    return [found[i] for i in range(len(opened))]
