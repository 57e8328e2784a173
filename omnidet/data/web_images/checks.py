"""Bytes of a stranger -> what picture they are, judged by the bytes alone: kind, size, whole or not, hash."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import simplejpeg
from PIL import Image

from omnidet.data.reading.perceptual_hash import dhash

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
        return (
            "a page, no picture"
            if content[:200].lstrip()[:1] == b"<"
            else "no picture of a known kind"
        )
    if form == "JPEG":
        picture = _quickly(content, taste)
        if picture is not None:
            return picture
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=(form,)) as image:
                width, height = image.size
                problem = _problem(width, height, taste)
                if problem:
                    return problem
                if form == "JPEG":
                    image.draft("L", (_DRAFT_SIDE, _DRAFT_SIDE))
                return Picture(_KINDS[form], width, height, dhash(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "too many pixels"
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        ArithmeticError,
    ) as error:  # what Pillow's decoders raise
        return "truncated image" if "truncated" in str(error).lower() else "unreadable image"


def _quickly(content: bytes, taste: Taste) -> Picture | str | None:
    """The usual JPEG, in a third of Pillow's time; None for one that is not quite as it should be, on which Pillow decides."""
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(content)
        problem = _problem(width, height, taste)
        if problem:
            return problem
        grey = simplejpeg.decode_jpeg(
            content, colorspace="GRAY", min_height=_DRAFT_SIDE, min_width=_DRAFT_SIDE, strict=True
        )
    except ValueError:
        return None
    return Picture("jpg", width, height, dhash(Image.fromarray(grey[:, :, 0])))


def _problem(width: int, height: int, taste: Taste) -> str:
    if width * height > taste.max_pixels:
        return "too many pixels"
    if min(width, height) < taste.min_side:
        return "too small"
    return "too long" if max(width, height) > taste.max_aspect * min(width, height) else ""


def _form(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return None
