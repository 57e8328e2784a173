"""Images with true and found boxes -> the figures of the report's galleries."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from PIL import Image

from omnidet import boxes
from omnidet.report.charts import number

Box = tuple[float, float, float, float]

KINDS = {"names": "By class name", "phrase": "By free phrase"}
"""The galleries, with their headings."""
NUM_COLOURS = 10
"""Label colours of the template: all at least 4.5:1 against the white text upon them."""
IMAGE_SIDE = 720
"""Longer side of an embedded picture in pixels: sharp on a phone and on a desk, some 60 kB each."""
MIN_IOU = 0.5
STAGE_RATIO = 4 / 3
"""Width to height of the frame that every picture is fitted into, as the template has it."""
LABEL_SIZE = 0.042
"""Height of a label as a share of the frame's width: about 12 pixels on a page."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of the gallery; boxes are xyxy in pixels of the image."""

    title: str
    """The file for class names, the phrase for phrases."""
    kind: Literal["names", "phrase"]
    image: bytes
    truth: Sequence[tuple[Box, str]]
    predicted: Sequence[tuple[Box, str, float]]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"sample {self.title!r} has kind {self.kind!r}: give one of {', '.join(KINDS)}")


def figures(samples: Sequence[Sample]) -> list[tuple[str, str, list[dict[str, object]]]]:
    """The galleries: kind, heading and what the template draws of each sample. A label has one colour in all of them."""
    labels = sorted({label for s in samples for label in [t[1] for t in s.truth] + [p[1] for p in s.predicted]})
    colours = {label: index % NUM_COLOURS for index, label in enumerate(labels)}
    return [(kind, text, [_picture(s, colours) for s in samples if s.kind == kind]) for kind, text in KINDS.items()]


def _picture(sample: Sample, colours: Mapping[str, int]) -> dict[str, object]:
    """What the template draws of a sample."""
    # Stored pixels, written anew: a browser would turn a JPEG with an orientation mark away from under its boxes.
    with Image.open(io.BytesIO(sample.image)) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    image.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=88)
    size = round(LABEL_SIZE * max(width, height * STAGE_RATIO), 2)
    predicted = sorted(sample.predicted, key=lambda p: p[2])
    return {
        "title": sample.title,
        "source": "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode(),
        "width": width,
        "height": height,
        "font": size,
        "alt": f"{sample.title}: {len(sample.truth)} true and {len(sample.predicted)} found boxes",
        "truth": [(_rectangle(box), label) for box, label in sample.truth],
        "predicted": [(_rectangle(box), label, number(score), colours[label]) for box, label, score in predicted],
        "label_places": _label_places(predicted, size, width, height),
        "found": _found(sample),
    }


def _rectangle(box: Box) -> tuple[float, ...]:
    """x, y, width and height as SVG takes them."""
    x0, y0, x1, y1 = box
    return tuple(round(v, 1) for v in (x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0)))


def _label_places(
    predicted: Sequence[tuple[Box, str, float]], size: float, width: int, height: int
) -> list[tuple[float, float]]:
    """Where each label begins (x, base line): above its box, within it or below, where it hides the fewest other labels."""
    taken: list[Box] = []
    places: list[tuple[float, float]] = []
    for (x0, y0, _, y1), label, score in reversed(predicted):
        length = 0.6 * size * len(f"{label} {number(score)}")
        x = max(0.2 * size, min(x0, width - length))
        lines = (y0 - 0.35 * size, y0 + 1.1 * size, y1 - 0.4 * size, y1 + 1.1 * size)
        tries = [(x, max(size, min(y, height - 0.3 * size))) for y in lines]
        areas = [(x, y - size, x + length, y) for x, y in tries]
        hidden = [sum(float(boxes.iou(torch.tensor(a), torch.tensor(t))) for t in taken) for a in areas]
        best = hidden.index(min(hidden))
        places.append(tries[best])
        taken.append(areas[best])
    return places[::-1]


def _found(sample: Sample) -> tuple[int, int]:
    """How many of the true boxes have a found box of their label, or the best box of the phrase, at IoU >= 0.5."""
    best = sorted(sample.predicted, key=lambda p: -p[2])[: 1 if sample.kind == "phrase" else None]
    hits = 0
    for true_box, true_label in sample.truth:
        rivals = [box for box, label, _ in best if sample.kind == "phrase" or label == true_label]
        if rivals and bool((boxes.iou(torch.tensor(rivals), torch.tensor(true_box)) >= MIN_IOU).any()):
            hits += 1
    return hits, len(sample.truth)
