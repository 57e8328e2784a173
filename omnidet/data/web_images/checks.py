"""Bytes from an unknown server -> a picture's format, size and hash, judged by the bytes alone."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import simplejpeg
from PIL import Image

from omnidet.data.reading import picture_files
from omnidet.data.reading.perceptual_hash import dhash

_KINDS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_DRAFT_SIDE = 72
"""JPEGs are decoded at 1/8, 1/4 or 1/2 of their size, at least eight times the grid of dHash."""


@dataclass(frozen=True)
class Taste:
    """Which pictures are taken."""

    max_pixels: int = 50_000_000
    """As in `quarantine`."""
    min_side: int = 16
    """In pixels. Smaller pictures are tracking pixels and rules."""
    max_aspect: float = 20.0


@dataclass(frozen=True)
class Picture:
    """What is known of a picture."""

    kind: str
    """File extension: jpg, png or webp."""
    width: int
    height: int
    hash: int
    """Perceptual, 64 bits."""


def examine(content: bytes, taste: Taste) -> Picture | str:
    """The picture, or in a few words why it is not taken.

    Decodes it once, after a check of its number of pixels.
    """
    form = _form(content)
    if form is None:
        is_page = content[:200].lstrip()[:1] == b"<"
        return "a web page, not a picture" if is_page else "unknown picture format"
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
    # What Pillow's decoders raise.
    except picture_files.DAMAGED as error:
        return "truncated image" if "truncated" in str(error).lower() else "unreadable image"


def _quickly(content: bytes, taste: Taste) -> Picture | str | None:
    """A regular JPEG, in a third of Pillow's time; None for one that Pillow has to judge."""
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
    return "too elongated" if max(width, height) > taste.max_aspect * min(width, height) else ""


def _form(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return None
