"""Detections in the official result format: read piece by piece, checked and put into columns.

A file is a JSON list of objects, as for COCO and LVIS, or JSON lines. It is never held as a whole:
6 million detections take 300 MB as columns and ten times as much as Python objects.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from omnidet import storage
from omnidet.evaluation.truth import FAR, Doubles, Truth, is_box
from omnidet.schema import IntArray

ROWS_AT_ONCE = 50_000
CHARACTERS_AT_ONCE = 1 << 22
LONGEST_ROW = 1 << 24
_BETWEEN = re.compile(r"[\s,]*")


class Detection(TypedDict):
    """One predicted box."""

    image_id: int
    category_id: int
    bbox: list[float]
    """x, y of the upper left corner, width, height, in pixels of the original image."""
    score: float


@dataclass(frozen=True, eq=False)
class DetectionColumns:
    """D detections in the order of their file; images and categories as numbered in the truth."""

    image_D: npt.NDArray[np.int32]
    category_D: npt.NDArray[np.int32]
    boxes_xywh_D4: Doubles
    score_D: Doubles

    def __len__(self) -> int:
        return len(self.score_D)

    def select(self, kept: npt.NDArray[Any]) -> DetectionColumns:
        """The detections of a mask, or of indices in their order."""
        return DetectionColumns(
            self.image_D[kept], self.category_D[kept], self.boxes_xywh_D4[kept], self.score_D[kept]
        )

    def best(self, group_D: npt.NDArray[Any], most: int) -> DetectionColumns:
        """The `most` detections of the highest score of each group; of equal scores the first."""
        order = np.lexsort((-self.score_D, group_D))
        return self.select(np.sort(order[rank(group_D[order]) < most]))


def rank(group_D: npt.NDArray[Any]) -> IntArray:
    """The position of each element within its run of equal values, from 0."""
    if not len(group_D):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.r_[True, group_D[1:] != group_D[:-1]])
    lengths = np.diff(np.r_[starts, len(group_D)])
    return np.arange(len(group_D)) - np.repeat(starts, lengths)


def collect(detections: Iterable[Mapping[str, Any]], truth: Truth) -> tuple[DetectionColumns, int]:
    """Detections on the images of the truth, and how many others were on images it leaves out.

    Raises:
        ValueError: if a detection cannot be counted; it is named by its index from 0.
    """
    images = {image_id: index for index, image_id in enumerate(truth.image_ids)}
    images |= dict.fromkeys(truth.left_out, -1)
    categories = {category_id: index for index, category_id in enumerate(truth.category_ids)}
    parts: list[DetectionColumns] = []
    rows, first, left_out = iter(detections), 0, 0
    while batch := list(itertools.islice(rows, ROWS_AT_ONCE)):
        columns = _columns(batch, images, categories)
        if columns is None:  # look again, slowly, to name the detection
            check(batch, images, categories, first)
            last = first + len(batch) - 1
            raise ValueError(f"detections {first} to {last} mix texts and numbers: write numbers")
        known = columns.image_D >= 0
        left_out += int((~known).sum())
        parts.append(columns if known.all() else columns.select(known))
        first += len(batch)
    if not parts:
        nothing = np.zeros(0, np.int32)
        return DetectionColumns(nothing, nothing, np.zeros((0, 4)), np.zeros(0)), 0
    names = ("image_D", "category_D", "boxes_xywh_D4", "score_D")
    whole = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    return DetectionColumns(*whole), left_out


def _columns(
    rows: Sequence[Mapping[str, Any]], images: Mapping[int, int], categories: Mapping[int, int]
) -> DetectionColumns | None:
    """None if a row cannot be counted."""
    try:
        image = np.array([images[row["image_id"]] for row in rows], np.int32)
        category = np.array([categories[row["category_id"]] for row in rows], np.int32)
        boxes = np.array([row["bbox"] for row in rows])
        score = np.array([row["score"] for row in rows])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if boxes.shape != (len(rows), 4) or score.shape != (len(rows),):
        return None
    if boxes.dtype.kind not in "if" or score.dtype.kind not in "if":
        return None
    if not ((np.abs(boxes) < FAR).all() and np.isfinite(score).all() and (boxes[:, 2:] >= 0).all()):
        return None
    return DetectionColumns(image, category, boxes.astype(np.float64), score.astype(np.float64))


def check(
    detections: Sequence[Mapping[str, Any]],
    image_ids: Collection[int],
    category_ids: Collection[int],
    first: int = 0,
) -> None:
    """Raise ValueError at the first detection that cannot be counted; an empty list is fine.

    A box may reach beyond its image: the official tools count it unchanged, and so does this.
    """
    for index, detection in enumerate(detections, first):
        if not isinstance(detection, Mapping):
            raise ValueError(
                f"detection {index} is {str(detection)[:40]!r}: give an object with image_id, "
                "category_id, bbox and score"
            )
        missing = [
            name for name in ("image_id", "category_id", "bbox", "score") if name not in detection
        ]
        if missing:
            raise ValueError(
                f"detection {index} has no {missing[0]!r}: give image_id, category_id, bbox and "
                "score"
            )
        for field, known in (("image_id", image_ids), ("category_id", category_ids)):
            value = detection[field]
            if isinstance(value, str):
                raise ValueError(
                    f"detection {index}: {field} is the text {value[:40]!r}: give the number"
                )
            if not isinstance(value, int | float) or value not in known:
                remedy = (
                    "evaluate the same split"
                    if field == "image_id"
                    else "map the names to its category ids"
                )
                raise ValueError(
                    f"detection {index}: {field} {value!r} is not in the ground truth: {remedy}"
                )
        score, box = detection["score"], detection["bbox"]
        if not isinstance(score, int | float):
            raise ValueError(f"detection {index}: score is {score!r:.60}: give a number")
        if not is_number(score):
            raise ValueError(
                f"detection {index}: score is {str(score)[:60]}: the model diverged, use an "
                "earlier checkpoint"
            )
        if not is_box(box):
            raise ValueError(
                f"detection {index}: bbox is {str(box)[:60]}: give finite [x, y, width, height] "
                "in pixels"
            )


def is_number(value: Any) -> bool:
    """Whether the value is a finite number that a double can hold."""
    return isinstance(value, int | float) and -sys.float_info.max <= value <= sys.float_info.max


def read_rows(location: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list or of JSON lines, one by one, in bounded memory.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is neither, or is truncated.
    """
    if not storage.is_s3(location) and not Path(location).is_file():
        raise FileNotFoundError(f"{location} does not exist: give a file of results")
    decoder = json.JSONDecoder()
    in_list = ended = False
    count, place, text = 0, 0, ""
    with storage.local_copy(location, ".cache/results").open(encoding="utf-8-sig") as file:
        try:
            while more := file.read(CHARACTERS_AT_ONCE):
                text, place = text[place:] + more, 0
                if not count and not in_list:
                    place = _skip(text, 0)
                    in_list = text.startswith("[", place)
                    place += in_list
                while (place := _skip(text, place)) < len(text) and not ended:
                    if in_list and text[place] == "]":
                        ended, place = True, place + 1
                        break
                    try:
                        row, end = decoder.raw_decode(text, place)
                    except json.JSONDecodeError:
                        break  # the rest may be in the next piece
                    except RecursionError:
                        raise ValueError(
                            f"{location}: item {count} is nested too deeply: write a list of flat "
                            "objects"
                        ) from None
                    if not isinstance(row, dict):
                        raise ValueError(
                            f"{location}: item {count} is {str(row)[:40]!r}: give objects"
                        )
                    yield row
                    count, place = count + 1, end
                if len(text) - place > LONGEST_ROW:
                    break  # no object is as long as that
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{location} is not text after item {count} ({error.reason}): give a JSON file"
            ) from error
    rest = text[_skip(text, place) :]
    nothing = not count and not in_list and Path(location).suffix != ".jsonl"
    if rest or nothing or (in_list and not ended):
        raise ValueError(
            f"{location} is not whole JSON: it is truncated or damaged after item {count}: "
            "write it again"
        )


def _skip(text: str, place: int) -> int:
    match = _BETWEEN.match(text, place)
    return match.end() if match else place
