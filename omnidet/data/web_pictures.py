"""Bytes of a stranger -> what picture they are, judged by the bytes alone: kind, size, whole or not, hash."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image

from omnidet.data.perceptual_hash import dhash

_KINDS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_DRAFT_SIDE = 72
"""A JPEG is decoded at an eighth, a quarter or half of its size where that is at least eight times the grid of the hash."""


@dataclass(frozen=True)
class Taste:
    """Which pictures are taken."""

    max_pixels: int = 50_000_000
    """As `quarantine` has it."""
    min_side: int = 16
    """Pixels; smaller ones count visitors and draw lines."""
    max_aspect: float = 20.0


@dataclass(frozen=True)
class Picture:
    """What is known of a picture."""

    kind: str
    """Ending of its file: jpg, png or webp."""
    width: int
    height: int
    hash: int
    """Perceptual, 64 bits."""


def examine(content: bytes, taste: Taste) -> Picture | str:
    """The picture, or why it is not taken in a few words. Decodes it once, with its pixels counted before."""
    form = _form(content)
    if form is None:
        return "a page, no picture" if content[:200].lstrip()[:1] == b"<" else "no picture of a known kind"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=(form,)) as image:
                width, height = image.size
                if width * height > taste.max_pixels:
                    return "too many pixels"
                if min(width, height) < taste.min_side:
                    return "too small"
                if max(width, height) > taste.max_aspect * min(width, height):
                    return "too long"
                if form == "JPEG":
                    image.draft("L", (_DRAFT_SIDE, _DRAFT_SIDE))
                return Picture(_KINDS[form], width, height, dhash(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too many pixels"
    except (OSError, SyntaxError, ValueError, EOFError, ArithmeticError) as error:  # what Pillow's decoders raise
        return "truncated image" if "truncated" in str(error).lower() else "unreadable image"


def _form(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return None
