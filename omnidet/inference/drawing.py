"""A picture with what was found drawn on it, and the things that were found cut out of it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from omnidet.inference.detections import Detections
from omnidet.inference.pictures import AnyPicture, read

READABLE_SIDE = 480
"""Smaller pictures are enlarged: labels are not readable on thumbnails."""


def draw(image: AnyPicture, found: Detections, phrases: Sequence[str]) -> Image.Image:
    """The picture with boxes and labels, in one colour for each phrase; the best is on top."""
    picture = read(image).image()
    scale = max(1.0, READABLE_SIDE / max(picture.size))
    if scale > 1:
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)))
    canvas = ImageDraw.Draw(picture)
    size = max(10, max(picture.size) // 80)
    font = ImageFont.load_default(size)
    best_first = zip(found.boxes_xyxy, found.scores, found.phrase, strict=True)
    for box, score, phrase in reversed(list(best_first)):
        colour = f"hsl({int(phrase) * 137 % 360}, 90%, 45%)"
        x0, y0, x1, y1 = (float(v) * scale for v in box)
        canvas.rectangle(
            (x0, y0, max(x0, x1), max(y0, y1)), outline=colour, width=max(2, size // 6)
        )
        label = f"{phrases[int(phrase)]} {score:.2f}"
        place = x0, max(0, y0 - size - 2)
        canvas.rectangle(canvas.textbbox(place, label, font), fill=colour)
        canvas.text(place, label, fill="white", font=font)
    return picture


def crops(image: AnyPicture, found: Detections) -> list[Image.Image]:
    """Each thing that was found, cut out along its box; a pixel wide and high at least."""
    picture = read(image).image()
    cut = []
    for x0, y0, x1, y1 in found.boxes_xyxy.tolist():
        left, top = min(int(x0), picture.width - 1), min(int(y0), picture.height - 1)
        right, bottom = max(round(x1), left + 1), max(round(y1), top + 1)
        cut.append(picture.crop((left, top, right, bottom)))
    return cut
