"""Images with true and found boxes -> the figures of the report's galleries."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from omnidet.data.reading import picture_files
from omnidet.evaluation.box_iou import iou_xyxy
from omnidet.evaluation.mistakes import LEAST_IOU
from omnidet.report.charts import number

Box = tuple[float, float, float, float]

KINDS = {"names": "By class name", "phrase": "By free phrase"}
"""What a sample may show, with the heading of samples that belong to no group."""
NUM_COLOURS = 10
"""Label colours of the template: each has a contrast of at least 4.5:1 with its white text."""
IMAGE_SIDES = (640, 480, 360, 240)
"""Longer side of embedded pictures in pixels: the largest that keeps all below `MOST_BYTES`."""
MOST_BYTES = 6_000_000
"""Size of all pictures together, so that a report opens at once and can be sent by mail."""
JPEG_QUALITY = 82
STAGE_RATIO = 4 / 3
"""Width to height of the frame that every picture is fitted into, as in the template."""
LABEL_SIZE = 0.042
"""Height of a label as a share of the frame's width: about 12 pixels on a page."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of the gallery; boxes are xyxy in pixels of the image."""

    title: str
    """For class names the image, for phrases the phrase."""
    kind: Literal["names", "phrase"]
    image: bytes
    truth: Sequence[tuple[Box, str]]
    predicted: Sequence[tuple[Box, str, float]]
    group: str = ""
    """Heading of the gallery that the picture belongs to."""
    mistakes: Sequence[str] = ()
    """What is wrong with each of `predicted`, "" if it is right. Empty if that is unknown."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"sample {self.title!r} has kind {self.kind!r}: give one of {', '.join(KINDS)}"
            )
        if self.mistakes and len(self.mistakes) != len(self.predicted):
            raise ValueError(
                f"sample {self.title!r} has {len(self.mistakes)} mistakes for "
                f"{len(self.predicted)} found boxes: give one for each box, or none"
            )


def encode(images: Sequence[bytes], most_bytes: int = MOST_BYTES) -> list[tuple[bytes, int, int]]:
    """Each picture as JPEG with its original width and height, at most `most_bytes` together."""
    # Encoded again without metadata: a browser would rotate a JPEG by its orientation, but not the
    # boxes on it.
    opened = []
    for content in images:
        with picture_files.opened(content) as picture:
            full = picture.convert("RGB")
        size = full.size
        full.thumbnail((IMAGE_SIDES[0], IMAGE_SIDES[0]))
        opened.append((full, *size))
    encoded: list[tuple[bytes, int, int]] = []
    for side in IMAGE_SIDES:
        encoded = [(_jpeg(picture, side), width, height) for picture, width, height in opened]
        if sum(len(content) for content, _, _ in encoded) <= most_bytes:
            break
    return encoded


def _jpeg(picture: Image.Image, side: int) -> bytes:
    small = picture.copy()
    small.thumbnail((side, side))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return content.getvalue()


def colours(samples: Sequence[Sample]) -> dict[str, int]:
    """The colour of each label, the same on the whole page."""
    labels = sorted(
        {label for s in samples for label in [t[1] for t in s.truth] + [p[1] for p in s.predicted]}
    )
    return {label: index % NUM_COLOURS for index, label in enumerate(labels)}


def galleries(
    samples: Sequence[Sample], encoded: Sequence[tuple[bytes, int, int]], colour: Mapping[str, int]
) -> list[dict[str, object]]:
    """Samples by group: `heading`, `kind` and the `pictures` that the template draws."""
    found: dict[tuple[str, str], list[dict[str, object]]] = {}
    for sample, image in zip(samples, encoded, strict=True):
        heading = sample.group or KINDS[sample.kind]
        found.setdefault((sample.kind, heading), []).append(_picture(sample, *image, colour))
    return [
        {"kind": kind, "heading": heading, "pictures": drawn}
        for (kind, heading), drawn in found.items()
    ]


def _picture(
    sample: Sample, jpeg: bytes, width: int, height: int, colour: Mapping[str, int]
) -> dict[str, object]:
    size = round(LABEL_SIZE * max(width, height * STAGE_RATIO), 2)
    mistakes = list(sample.mistakes) or [""] * len(sample.predicted)
    found = sorted(zip(sample.predicted, mistakes, strict=True), key=lambda pair: pair[0][2])
    shown = [
        (box, f"✗ {label}" if mistake else label, score) for (box, label, score), mistake in found
    ]
    places = _label_places(shown, size, width, height)
    return {
        "title": sample.title,
        "source": "data:image/jpeg;base64," + base64.b64encode(jpeg).decode(),
        "width": width,
        "height": height,
        "font": size,
        "alt": f"{sample.title}: {len(sample.truth)} true and {len(sample.predicted)} found boxes",
        "truth": [(_rectangle(box), label) for box, label in sample.truth],
        "predicted": [
            {
                "box": _rectangle(box),
                "label": label,
                "text": text,
                "score": number(score),
                "colour": colour[label],
                "mistake": mistake,
                "x": round(x, 1),
                "y": round(y, 1),
            }
            for ((box, label, score), mistake), (_, text, _), (x, y) in zip(
                found, shown, places, strict=True
            )
        ],
        "found": _found(sample),
    }


def _rectangle(box: Box) -> tuple[float, ...]:
    """x, y, width and height, for SVG."""
    x0, y0, x1, y1 = box
    return tuple(round(v, 1) for v in (x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0)))


def _label_places(
    predicted: Sequence[tuple[Box, str, float]], size: float, width: int, height: int
) -> list[tuple[float, float]]:
    """The left end of each label's base line.

    A label is above its box, inside it or below it: where it hides least of the other labels.
    """
    taken: list[Box] = []
    places: list[tuple[float, float]] = []
    for (x0, y0, _, y1), label, score in reversed(predicted):
        length = 0.6 * size * len(f"{label} {number(score)}")
        x = max(0.2 * size, min(x0, width - length))
        lines = (y0 - 0.35 * size, y0 + 1.1 * size, y1 - 0.4 * size, y1 + 1.1 * size)
        tries = [(x, max(size, min(y, height - 0.3 * size))) for y in lines]
        areas = [(x, y - size, x + length, y) for x, y in tries]
        hidden = [sum(float(iou_xyxy(np.array(a), np.array(t))) for t in taken) for a in areas]
        best = hidden.index(min(hidden))
        places.append(tries[best])
        taken.append(areas[best])
    return places[::-1]


def _found(sample: Sample) -> tuple[int, int]:
    """How many of the true boxes are found, and how many there are.

    A true box is found if its IoU with a found box of its label, or with the best box of the
    phrase, is at least .5.
    """
    best = sorted(sample.predicted, key=lambda p: -p[2])[: 1 if sample.kind == "phrase" else None]
    hits = 0
    for true_box, true_label in sample.truth:
        rivals = [box for box, label, _ in best if sample.kind == "phrase" or label == true_label]
        if rivals and bool((iou_xyxy(np.array(rivals), np.array(true_box)) >= LEAST_IOU).any()):
            hits += 1
    return hits, len(sample.truth)
