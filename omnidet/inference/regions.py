"""Opened pictures -> what the detector sees in them: boxes in their own pixels, embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from omnidet import boxes
from omnidet.inference.pictures import Picture
from omnidet.model.detector import Detector
from omnidet.schema import FloatArray


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
    sides = [detector.config.side(picture.width, picture.height) for picture in opened]
    prepared = [picture.letterboxed(side) for picture, side in zip(opened, sides, strict=True)]
    found: dict[int, tuple[FloatArray, Tensor]] = {}
    for side in sorted(set(sides)):  # images of one size go through the detector together
        members = [i for i, own in enumerate(sides) if own == side]
        stacked_BHWC = np.stack([prepared[i].pixels for i in members])
        pixels_BCHW = torch.from_numpy(stacked_BHWC).permute(0, 3, 1, 2)
        with torch.autocast(device.type, precision, enabled=is_half):
            embeddings_BQD, boxes_BQ4, _ = detector.regions(pixels_BCHW.to(device))
        corners_BQ4 = (boxes.cxcywh_to_xyxy(boxes_BQ4) * side).cpu().numpy()
        for i, corners_Q4, embeddings_QD in zip(members, corners_BQ4, embeddings_BQD, strict=True):
            found[i] = opened[i].unboxed(corners_Q4, prepared[i].record), embeddings_QD
    return [found[i] for i in range(len(opened))]
