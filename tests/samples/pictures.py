"""Drawn photographs: smooth noise, different for each number, with coloured boxes for things."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 160, 120


def jpeg(number: int, things: Iterable[tuple[str, tuple[int, int, int, int]]] = ()) -> bytes:
    """A JPEG of WIDTH x HEIGHT with (colour, xywh) things."""
    noise = np.random.default_rng(number).integers(60, 190, (6, 8, 3), np.uint8)
    picture = Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    for colour, (x, y, w, h) in things:
        ImageDraw.Draw(picture).rectangle((x, y, x + w - 1, y + h - 1), fill=colour)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=92)
    return out.getvalue()


def write(path: Path, content: bytes | str | Any) -> None:
    """Bytes and text as they are, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    path.write_bytes(content)
