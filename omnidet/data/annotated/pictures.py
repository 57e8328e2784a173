"""The picture files themselves: opened once, to know their size, which way up they are, and that
they can be decoded.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from omnidet.data.reading import jpeg_markers, picture_files, pixels

UNREADABLE = "picture that cannot be read"
TRUNCATED = "picture that is truncated"
TOO_LARGE = (
    f"picture of more than {picture_files.MAX_PIXELS // 1_000_000} million pixels, "
    f"or {picture_files.MAX_SIDE} on a side"
)
TOO_LONG = f"picture with one side more than {picture_files.MAX_ASPECT} times the other"
EMPTY = "picture file that is empty"
FORBIDDEN = "picture file that may not be opened, by its permissions"
DISGUISED = {
    re.compile(rb"....ftyp(hei|hev|mif1|msf1)"): "HEIC picture under another ending: convert it",
    re.compile(rb"version https://git-lfs"): "pointer of Git LFS: get the file with git lfs pull",
    re.compile(rb"\s*<(!doctype|html|\?xml|svg)", re.I): "web page in place of a picture",
}
"""What else a file with the name of a picture may hold, recognised by its first bytes."""


@dataclass(frozen=True)
class Opened:
    """What is known of a picture file."""

    digest: bytes
    """SHA-256 of the file: the same bytes are the same picture."""
    stored: tuple[int, int]
    """(width, height) of the pixels in the file."""
    orientation: int
    """By its EXIF tag, 1 to 8; 1 is upright."""
    is_deep: bool
    """More than 8 bits a pixel."""

    @property
    def image_id(self) -> int:
        """A hash of the bytes: the same picture has the same id in every version of every dataset;
        exact in JSON's doubles.
        """
        return int.from_bytes(self.digest[:6], "big")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as viewers show it."""
        width, height = self.stored
        return (height, width) if self.orientation in pixels.SIDEWAYS else (width, height)

    @property
    def is_plain(self) -> bool:
        """Whether the file can be taken as it is."""
        return self.orientation == 1 and not self.is_deep


def open_picture(path: Path) -> Opened | str:
    """What is known of a file, or why it cannot be used.

    It is decoded, unless it is a JPEG with all its parts.
    """
    try:
        content = path.read_bytes()
    except PermissionError:
        return FORBIDDEN
    if not content:
        return EMPTY
    try:
        with picture_files.opened(content) as image:
            problem = picture_files.STANDARD.problem(*image.size)
            if problem:
                return TOO_LARGE if problem == picture_files.TOO_LARGE else TOO_LONG
            if jpeg_markers.size_if_whole(content) is None:
                image.load()
            digest = hashlib.sha256(content).digest()
            is_deep = image.mode in pixels.DEEP_MODES
            return Opened(digest, image.size, pixels.orientation(image), is_deep)
    except Image.DecompressionBombError:
        return TOO_LARGE
    except picture_files.DAMAGED as error:
        if "truncated" in str(error).lower():
            return TRUNCATED
        return next((what for mark, what in DISGUISED.items() if mark.match(content)), UNREADABLE)


def upright(path: Path) -> tuple[bytes, str]:
    """The content of a file that is turned or deep as an upright one of 8 bits, and its ending."""
    with picture_files.opened(path) as image:
        is_jpeg = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L", "CMYK")
        turned = pixels.eight_bits(ImageOps.exif_transpose(image))
    out = io.BytesIO()
    if is_jpeg:
        turned.convert("RGB").save(out, "JPEG", quality=95, subsampling=0)
        return out.getvalue(), ".jpg"
    if turned.mode not in ("L", "RGB", "RGBA", "LA", "P", "1"):
        turned = turned.convert("RGB")
    turned.save(out, "PNG", exif=b"")
    return out.getvalue(), ".png"


def to_upright(
    corners: tuple[float, float, float, float], orientation: int, stored: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Corners in pixels as stored -> the same in the picture as viewers show it."""
    width, height = stored
    x0, y0, x1, y1 = corners
    points = [_turned(x, y, orientation, width, height) for x, y in ((x0, y0), (x1, y1))]
    (a, b), (c, d) = points
    return min(a, c), min(b, d), max(a, c), max(b, d)


def _turned(x: float, y: float, orientation: int, width: int, height: int) -> tuple[float, float]:
    """Where a point lies once the picture is turned; https://exiftool.org/TagNames/EXIF.html, tag
    0x0112.
    """
    return {
        1: (x, y),
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (height - y, x),
        7: (height - y, width - x),
        8: (y, width - x),
    }[orientation]
