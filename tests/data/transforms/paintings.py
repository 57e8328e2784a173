"""Painted examples, by which a test sees whether boxes follow the image."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

from omnidet.data.transforms.example import Example
from omnidet.schema import Record

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


def painted(width, height, *boxes, **more):
    """Black, with a rectangle of its own colour for each box; the phrases are "a", "b", ..."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for (x0, y0, x1, y1), colour in zip(boxes, COLOURS, strict=False):
        pixels[y0:y1, x0:x1] = colour
    fields = {
        "boxes_xyxy": np.array(boxes, np.float32).reshape(-1, 4),
        "phrases": tuple("abc"[: len(boxes)]),
        "phrase_boxes": tuple((i,) for i in range(len(boxes))),
    }
    return Example(pixels, Record(b"", width, height, "toy", "toy:1", **(fields | more)))


def found(example, colour):
    """The tight box around the pixels that are nearer to a colour than to black."""
    channel = example.pixels[..., int(np.argmax(COLOURS[colour]))]
    others = np.delete(example.pixels, int(np.argmax(COLOURS[colour])), axis=2).max(2)
    rows, columns = np.nonzero((channel > 127) & (others < 127))
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def assert_framed(example, tolerance):
    """Each remaining box frames the rectangle of its phrase."""
    record = example.record
    assert example.pixels.dtype == np.uint8
    for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True):
        assert len(boxes) == 1
        np.testing.assert_allclose(
            record.boxes_xyxy[boxes[0]], found(example, "abc".index(phrase)), atol=tolerance
        )


def encoded(example, kind, **options):
    """The pixels as a file of that kind."""
    out = io.BytesIO()
    Image.fromarray(example.pixels).save(out, kind, **options)
    return out.getvalue()


def with_image(example, image):
    """The record of an example with these bytes as its image."""
    return dataclasses.replace(example.record, image=image)
