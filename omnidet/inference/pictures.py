"""Any picture -> the picture as a viewer shows it: turned as EXIF says, on white, in 8 bits.

Encoded pictures that need none of this are kept as they are, for the decoder of
`data/transforms/decode.py` that training uses.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from omnidet import storage
from omnidet.data.reading import picture_files
from omnidet.data.reading.picture_files import DAMAGED, STANDARD, PictureLimits
from omnidet.data.reading.pixels import DEEP_MODES, flat, orientation
from omnidet.data.transforms.decode import decode
from omnidet.data.transforms.example import Example, Pixels
from omnidet.data.transforms.letterbox import letterbox
from omnidet.schema import FloatArray, Record


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that was opened, as a viewer shows it."""

    name: str
    """For messages."""
    width: int
    height: int
    content: bytes | Pixels
    """The file where it can be decoded as it is, or RGB pixels (height, width, 3)."""

    def letterboxed(
        self, side: int, deadline: float | None = None, *, by_pillow: bool = False
    ) -> Example:
        """The picture in a square as the detector takes it.

        Args:
            deadline: of `time.monotonic`; decoding is given up after it.
            by_pillow: scale without torch (`data/transforms/letterbox.py`).

        Raises ValueError if the file is damaged.
        """
        record = Record(b"", self.width, self.height, source="", image_id="")
        if not isinstance(self.content, bytes):
            return letterbox(Example(self.content, record), side, by_pillow=by_pillow)
        record = Record(self.content, self.width, self.height, source="", image_id="")
        try:
            decoded = decode(record, side, deadline=deadline)
        except DAMAGED as error:
            raise ValueError(_unreadable(self.name, error)) from error
        return letterbox(decoded, side, by_pillow=by_pillow)

    def unboxed(self, boxes_xyxy: FloatArray, letterboxed: Record) -> FloatArray:
        """Boxes (K, 4) in pixels of the square -> in those of the picture, clipped to it.

        Args:
            letterboxed: the record of the square; its width and height are those of the part that
                the picture takes up.
        """
        factors = [self.width / letterboxed.width, self.height / letterboxed.height] * 2
        limits = np.array([self.width, self.height] * 2, np.float32)
        clipped: FloatArray = np.clip(boxes_xyxy * np.array(factors, np.float32), 0, limits)
        return clipped

    def image(self) -> Image.Image:
        """The picture in Pillow's hands, RGB. Raises ValueError if the file is damaged."""
        if not isinstance(self.content, bytes):
            return Image.fromarray(self.content)
        try:
            with picture_files.opened(self.content) as opened:
                return opened.convert("RGB")
        except DAMAGED as error:
            raise ValueError(_unreadable(self.name, error)) from error


_LONGEST_PATH = 4096  # Linux's limit

AnyPicture = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | Pixels | Picture
)
"""A file (local or `s3://`), its content, a Pillow image, or RGB pixels (height, width, 3) of
uint8. Binary streams such as `io.BytesIO` are read to their end.
"""


def is_one(given: object) -> bool:
    """Whether it is a picture, not a list of pictures."""
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray, Picture)
    return isinstance(given, kinds) or hasattr(given, "read")


def named(images: Any) -> list[tuple[AnyPicture, str]]:
    """One image, or those of a list, with their names for messages.

    Raises ValueError for what is neither.
    """
    if is_one(images):
        return [(images, "the image")]
    if not isinstance(images, Iterable):
        raise ValueError(
            f"images are of type {type(images).__name__}: give a file's path, its bytes, "
            "a PIL image or an array of RGB pixels, or a list of them"
        )
    if isinstance(images, Mapping | Set):
        raise ValueError(
            f"images are a {type(images).__name__}, whose order would be lost: give a list"
        )
    given: list[Any] = list(images)
    if len(given) == 1:
        return [(given[0], "the image")]
    return [(image, f"image {number}") for number, image in enumerate(given)]


def read(
    given: AnyPicture,
    name: str = "the image",
    limits: PictureLimits = STANDARD,
    deadline: float | None = None,
) -> Picture:
    """Open a picture. Raises ValueError or FileNotFoundError that says what is wrong with it.

    Args:
        name: for messages; files are called by their path instead.
        limits: what a file's header may say.
        deadline: of `time.monotonic`; decoding is given up after it.
    """
    if isinstance(given, Picture):
        return given
    if isinstance(given, str | os.PathLike):
        path = os.fspath(given)
        return _from_bytes(content_of(path), path, limits, deadline)
    if isinstance(given, bytes | bytearray | memoryview):
        return _from_bytes(bytes(given), name, limits, deadline)
    if isinstance(given, Image.Image):
        try:
            return _from_pixels(_viewed(given), name)
        except DAMAGED as error:
            raise ValueError(_unreadable(name, error)) from error
    if isinstance(given, np.ndarray):
        return _from_array(given, name)
    if hasattr(given, "read"):
        return _from_stream(given, name, limits, deadline)
    raise ValueError(
        f"{name} is of type {type(given).__name__}: give a file's path, its bytes, "
        "a PIL image, or an array of RGB pixels"
    )


def _from_stream(given: Any, name: str, limits: PictureLimits, deadline: float | None) -> Picture:
    content = given.read()
    if not isinstance(content, bytes):
        raise ValueError(f"{name} is a file opened as text: open it with mode 'rb'")
    return _from_bytes(content, name, limits, deadline)


def content_of(path: str) -> bytes:
    """The bytes of a file, local or `s3://`. Raises ValueError or OSError that says what is wrong
    with the path.
    """
    if path.startswith(("http://", "https://")):
        raise ValueError(
            f"image {path} is a web address: give its content, or use `omnidet predict`, which "
            "fetches it"
        )
    if len(path) > _LONGEST_PATH or path.startswith("data:"):
        raise ValueError(
            f"image {path[:40]!r}... is a text of {len(path)} characters and no path: give the "
            "bytes that it encodes"
        )
    try:
        return storage.read_bytes(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"image {path} does not exist: name a picture") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"image {path} is a folder: name one picture in it") from None


def _from_bytes(
    content: bytes, name: str, limits: PictureLimits, deadline: float | None
) -> Picture:
    try:
        with picture_files.opened(content, deadline) as opened:
            width, height = opened.size
            limits.require(width, height)
            picture_files.require_few_passes(content, width, height)
            if _is_plain(opened):
                return Picture(name, width, height, content)
            return _from_pixels(_viewed(opened), name)
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{name} cannot be read as an image: it is in no known format, or empty"
        ) from error
    except DAMAGED as error:
        raise ValueError(_unreadable(name, error)) from error


def _from_array(given: Any, name: str) -> Picture:
    is_rgb = given.ndim == 3 and given.shape[2] == 3 and given.size > 0
    if not is_rgb or given.dtype != np.uint8:
        raise ValueError(
            f"{name} is an array of shape {given.shape} and type {given.dtype}: "
            "give RGB pixels, (height, width, 3) of uint8"
        )
    # torch takes no negative strides, which `array[..., ::-1]` (BGR to RGB) has.
    return _from_pixels(np.ascontiguousarray(given), name)


def _from_pixels(pixels: Pixels, name: str) -> Picture:
    height, width = pixels.shape[:2]
    return Picture(name, width, height, pixels)


def _is_plain(image: Image.Image) -> bool:
    """Whether the stored pixels are what a viewer shows."""
    is_flat = image.mode not in DEEP_MODES and not image.has_transparency_data
    return is_flat and orientation(image) == 1


def _viewed(image: Image.Image) -> Pixels:
    """RGB pixels of what a viewer shows."""
    if orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    return np.array(flat(image))


def _unreadable(name: str, error: Exception) -> str:
    return f"{name} cannot be read as an image: {error}"
