"""What is asked about each image: names, the boxes they name, which names give negatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from omnidet.schema import Record


@dataclass(frozen=True)
class LabelSpace:
    """The names that are asked about one image, and the boxes they name."""

    names: tuple[str, ...]
    negative: tuple[bool, ...]
    """Whether regions that the name does not describe are negatives for it."""
    boxes_xyxy: np.ndarray
    named: np.ndarray
    """(boxes, names): whether the name describes the box."""

    @classmethod
    def of_names(cls, names: Sequence[str], most: int, random: np.random.Generator) -> LabelSpace:
        """Of an image without supervised boxes: at most so many names, which teach nothing."""
        if len(names) > most:
            names = [names[i] for i in np.sort(random.choice(len(names), most, replace=False))]
        count = len(names)
        boxes = np.zeros((0, 4), np.float32)
        return cls(tuple(names), (False,) * count, boxes, np.zeros((0, count), bool))


class Stacked(TypedDict):
    """The fields of a Batch that come from label spaces."""

    name_BL: Tensor
    negative_BL: Tensor
    boxes_cxcywh_BN4: Tensor
    box_valid_BN: Tensor
    named_BNL: Tensor


def label_space(
    record: Record, max_names: int, max_boxes: int, random: np.random.Generator
) -> LabelSpace:
    """A record's label space, cut to so many names and boxes; `random` draws what is left out."""
    boxes = record.boxes_xyxy
    kept = np.arange(len(boxes))
    if len(boxes) > max_boxes:
        kept = np.sort(random.choice(len(boxes), max_boxes, replace=False))
    capped = len(kept) < len(boxes)
    present = record.phrases[:max_names]
    absent: tuple[str, ...] = record.absent
    room = max_names - len(present)
    if len(absent) > room:
        absent = tuple(absent[i] for i in np.sort(random.choice(len(absent), room, replace=False)))
    named = np.zeros((len(boxes), len(present) + len(absent)), bool)
    for column, members in enumerate(record.phrase_boxes[: len(present)]):
        named[list(members), column] = True
    # If boxes were left out, here or in the dataset, regions without a box may still show the name.
    negative = tuple(phrase not in record.not_exhaustive and not capped for phrase in present)
    negative += (True,) * len(absent)
    return LabelSpace((*present, *absent), negative, boxes[kept], named[kept])


def stack(
    spaces: Sequence[LabelSpace], phrases: Mapping[tuple[str, bool], int], side: int
) -> Stacked:
    """Stack the label spaces of all images, padded to the most names and the most boxes."""
    num_images = len(spaces)
    num_names = max((len(s.names) for s in spaces), default=0)
    num_boxes = max((len(s.boxes_xyxy) for s in spaces), default=0)
    name_BL = np.full((num_images, num_names), -1, np.int64)
    negative_BL = np.zeros((num_images, num_names), bool)
    boxes_BN4 = np.zeros((num_images, num_boxes, 4), np.float32)
    valid_BN = np.zeros((num_images, num_boxes), bool)
    named_BNL = np.zeros((num_images, num_boxes, num_names), bool)
    for b, space in enumerate(spaces):
        names, boxes = len(space.names), space.boxes_xyxy
        name_BL[b, :names] = [phrases[name, True] for name in space.names]
        negative_BL[b, :names] = space.negative
        # Double precision: the difference of two corners must not lose the last bits of a thin box.
        corners = boxes.astype(np.float64) / side
        boxes_BN4[b, : len(boxes), :2] = (corners[:, :2] + corners[:, 2:]) / 2
        boxes_BN4[b, : len(boxes), 2:] = corners[:, 2:] - corners[:, :2]
        # A box that has lost all its names to a crop or a limit cannot be matched to anything.
        valid_BN[b, : len(boxes)] = space.named.any(1)
        named_BNL[b, : len(boxes), :names] = space.named
    return {
        "name_BL": torch.from_numpy(name_BL),
        "negative_BL": torch.from_numpy(negative_BL),
        "boxes_cxcywh_BN4": torch.from_numpy(boxes_BN4),
        "box_valid_BN": torch.from_numpy(valid_BN),
        "named_BNL": torch.from_numpy(named_BNL),
    }
