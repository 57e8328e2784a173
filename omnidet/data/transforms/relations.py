"""Expressions with a relation, composed from names and boxes: "star left of circle".

A dataset of names and boxes says where things are without putting it into words. Most expressions
that people write need no relation to be understood ("small star left of circle", where there is one
star), so a detector can do well on them and never learn what "left of" means; those composed here
are preferably such that the head alone fits something else as well.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omnidet.config import require
from omnidet.data.relations import SIDES, Point, is_relational, offset
from omnidet.data.transforms.example import Example, Transform
from omnidet.schema import Record


@dataclass(frozen=True)
class Relations:
    """Adds phrases such as "star left of circle" to an image, with the boxes that they fit.

    The landmark is a phrase that names one box, and all of what both phrases name must have boxes.
    A box is left of the landmark if its centre is clearly so, and further so than it is above or
    below; a phrase is added only if each other box of its head is on the other side. Where all are,
    it is one that names nothing in the image. Put it behind crops and flips, which would make a
    relation untrue.
    """

    kind: ClassVar[str] = "relations"

    phrases: int = 2
    """Most phrases with a box to add to an image."""
    absent: int = 1
    """Most phrases to add that name nothing in the image."""
    clear: float = 0.15
    """Least distance of centres, as a share of the image's longer side."""
    tries: int = 60
    """Combinations of head, relation and landmark that are looked at, for images with many."""

    def __post_init__(self) -> None:
        require(self.phrases >= 0, f"relations: phrases={self.phrases}: give 0 or more")
        require(self.absent >= 0, f"relations: absent={self.absent}: give 0 or more")
        require(0 < self.clear < 1, f"relations: clear={self.clear}: give a share from 0 to 1")
        require(self.tries >= 1, f"relations: tries={self.tries}: give 1 or more")

    def for_words(self, is_known: Callable[[str], bool]) -> Transform:
        """The same, composing only phrases all of whose words are known."""
        return functools.partial(self._composed, is_known)

    def lacking(self, is_known: Callable[[str], bool]) -> str:
        """A line for people about relations whose words are unknown; empty if there are none."""
        unknown = [relation for relation in SIDES if not is_known(relation)]
        if not unknown:
            return ""
        return (
            f"transform relations: no phrase is composed with {', '.join(map(repr, unknown))}, for "
            "no text of the training data holds these words"
        )

    def __call__(self, example: Example, random: np.random.Generator) -> Example:
        return self._composed(None, example, random)

    def _composed(
        self,
        is_known: Callable[[str], bool] | None,
        example: Example,
        random: np.random.Generator,
    ) -> Example:
        record = example.record
        needed: dict[str, tuple[int, ...]] = {}
        spare: dict[str, tuple[int, ...]] = {}
        absent: list[str] = []
        known = {*record.phrases, *record.absent}
        for phrase, boxes, fitting in itertools.islice(self._phrases(record, random), self.tries):
            if phrase in known or not (is_known is None or is_known(phrase)):
                continue
            if not fitting:
                absent.append(phrase)
            else:
                (needed if len(fitting) < len(boxes) else spare)[phrase] = fitting
            if len(needed) >= self.phrases and len(absent) >= self.absent:
                break
        added = dict(list({**needed, **spare}.items())[: self.phrases])
        record = dataclasses.replace(
            record,
            phrases=(*record.phrases, *added),
            phrase_boxes=(*record.phrase_boxes, *added.values()),
            absent=(*record.absent, *absent[: self.absent]),
        )
        return dataclasses.replace(example, record=record)

    def _phrases(
        self, record: Record, random: np.random.Generator
    ) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
        """In random order: a phrase that is clear, the boxes of its head, those that it fits."""
        known = [
            (phrase, boxes)
            for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True)
            if phrase not in record.not_exhaustive and not is_relational(phrase)
        ]
        landmarks = [(phrase, boxes[0]) for phrase, boxes in known if len(boxes) == 1]
        corners = record.boxes_xyxy.tolist()
        centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in corners]
        clear = self.clear * max(record.width, record.height)
        total = len(known) * len(landmarks) * len(SIDES)
        for number in random.permutation(total).tolist() if total else ():
            rest, relation = divmod(number, len(SIDES))
            head, landmark = divmod(rest, len(landmarks))
            (name, boxes), (other, place) = known[head], landmarks[landmark]
            if boxes == (place,):
                continue
            fitting = _fitting(centres, boxes, place, SIDES[relation], clear)
            if fitting is not None:
                yield f"{name} {SIDES[relation]} {other}", boxes, fitting


def _fitting(
    centres: Sequence[Point], boxes: Sequence[int], landmark: int, relation: str, clear: float
) -> tuple[int, ...] | None:
    """Those of the boxes to which the relation applies; None if that is unclear for one of them."""
    fitting = []
    for box in boxes:
        if box == landmark:
            continue
        along, across = offset(centres[box], centres[landmark], relation)
        if along >= clear and along >= across:
            fitting.append(box)
        elif along > 0:
            return None
    return tuple(fitting)
