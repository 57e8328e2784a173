"""A picture with what was found drawn on it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from omnidet.inference.detector import Detections
from omnidet.inference.pictures import AnyPicture, read

READABLE_SIDE = 480
"""Smaller pictures are enlarged: labels are not readable on thumbnails."""


def draw(image: AnyPicture, found: Detections, phrases: Sequence[str]) -> Image.Image:
    """The picture with boxes and labels, in one colour for each phrase."""
    picture = read(image).image()
    scale = max(1.0, READABLE_SIDE / max(picture.size))
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    canvas = ImageDraw.Draw(picture)
    for box, score, phrase in zip(found.boxes_xyxy, found.scores, found.phrase, strict=True):
        colour = f"hsl({int(phrase) * 137 % 360}, 90%, 45%)"
        x0, y0, x1, y1 = (float(v) * scale for v in box)
        canvas.rectangle((x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=2)
        label = f"{phrases[int(phrase)]} {score:.2f}"
        left, top, right, bottom = canvas.textbbox((x0, max(0, y0 - 12)), label)
        canvas.rectangle((left, top, right, bottom), fill=colour)
        canvas.text((left, max(0, y0 - 12)), label, fill="white")
    return picture
