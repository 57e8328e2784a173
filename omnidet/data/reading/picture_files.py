"""Which picture files are opened, everywhere: formats, sizes, and how long decoding may take.

Pillow reads some forty formats, some of them by starting other programs (EPS: Ghostscript). Here it
is asked for those alone that pictures come in. A small file can hold a picture that takes minutes
and gigabytes: what its header says is judged before anything is decoded.
"""

from __future__ import annotations

import io
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000")
"""By Pillow's names. MPO, what some cameras write, is opened as JPEG."""
MAX_PIXELS = 160_000_000
"""Cameras reach 150 million, telephones 108; 480 MB when it is decoded. Pillow refuses 179."""
MAX_SIDE = 32_767
MAX_ASPECT = 500
"""Longer to shorter side. At the largest input of a detector such a strip is two pixels high."""
MAX_SCANNED_PIXELS = 10 * MAX_PIXELS
"""Pixels times passes over them, in a JPEG file: progressive ones have about ten passes, and a
small file can ask for thousands."""
TOO_LARGE = "image too large"
TOO_LONG = "image too elongated"

DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    ArithmeticError,
    TypeError,
    Image.DecompressionBombError,
)
"""What Pillow raises for a file that is damaged or too large."""

_SCAN = re.compile(rb"\xff\xda")


@dataclass(frozen=True)
class PictureLimits:
    """The largest picture that is decoded."""

    max_pixels: int = MAX_PIXELS
    max_side: int = MAX_SIDE
    max_aspect: int = MAX_ASPECT

    def problem(self, width: int, height: int) -> str | None:
        """`TOO_LARGE` or `TOO_LONG`, or None for a picture that may be decoded."""
        if width * height > self.max_pixels or max(width, height) > self.max_side:
            return TOO_LARGE
        return TOO_LONG if max(width, height) > self.max_aspect * min(width, height) else None

    def require(self, width: int, height: int) -> None:
        """Raise ValueError that names the size and the limit."""
        problem = self.problem(width, height)
        if problem:
            remedy = "cut it into parts" if problem == TOO_LONG else "make it smaller"
            raise ValueError(
                f"{width} x {height} pixels: at most {self.max_pixels} pixels, {self.max_side} "
                f"a side, and one side {self.max_aspect} times the other: {remedy}"
            )


STANDARD = PictureLimits()


@contextmanager
def opened(content: bytes | Path, deadline: float | None = None) -> Iterator[Image.Image]:
    """A picture file in Pillow's hands, with its header read and nothing decoded.

    Raises one of `DAMAGED`, of which UnidentifiedImageError is the one for a file in another
    format.

    Args:
        deadline: of `time.monotonic`. Decoding ends with TimeoutError at the next block of the
            file after it.
    """
    source: Any = content if isinstance(content, Path) else _Timed(content, deadline)
    with warnings.catch_warnings():
        # Pillow's limit is another one than `PictureLimits`.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(source, formats=FORMATS)
    with image:
        yield image


def require_few_passes(content: bytes, width: int, height: int) -> None:
    """Raise ValueError for a JPEG file that goes over its pixels too often."""
    if not content.startswith(b"\xff\xd8"):
        return
    most = max(1, MAX_SCANNED_PIXELS // max(1, width * height))
    for number, _ in enumerate(_SCAN.finditer(content), 1):
        if number > min(most, _MAX_PASSES):
            raise ValueError(f"its {width} x {height} pixels are coded in more than {most} passes")


_MAX_PASSES = 1000
"""However small the picture is."""


class _Timed(io.BytesIO):
    """The content of a file, which cannot be read after the deadline."""

    def __init__(self, content: bytes, deadline: float | None) -> None:
        super().__init__(content)
        self.deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise TimeoutError("it takes too long to decode: send a smaller or simpler picture")
        return super().read(size)
