"""A picture as a viewer shows it, with its boxes on the right things: what a detector that is asked
sees, too.

A camera stores pixels as its sensor has them and says in the EXIF tag `Orientation` how to turn
them. Some tools draw boxes in the turned picture, some in the stored one. The size that the
annotation states says which; where it cannot, the picture is refused. What comes out carries no
such tag, so that no later step has to know of it. The same holds for transparent pixels, behind
which a viewer shows white, and for more than 8 bits a channel.
"""

from __future__ import annotations

import dataclasses
import io
import re

from PIL import Image, ImageOps

from omnidet.data.reading import picture_files, pixels
from omnidet.schema import Record

ORIENTATION = 0x0112
UNKNOWN = "turned by its EXIF tag, and the annotation does not say which way its boxes were drawn"
"""Why a picture is refused."""
_JPEG = b"\xff\xd8"
_JPEG_QUALITY = 95
_HEAD_BYTES = 1 << 16
_TAG = re.compile(
    rb"(\x12\x01\x03\x00\x01\x00\x00\x00)([\x02-\x08])\x00|(\x01\x12\x00\x03\x00\x00\x00\x01)\x00([\x02-\x08])",
    re.DOTALL,
)
"""The tag as one short number, in either byte order."""


def orientation(image: bytes) -> int:
    """The EXIF orientation, 1 (as it is) to 8.

    Raises what Pillow raises for a file that is not an image.
    """
    if not _may_have_a_tag(image):
        return 1
    with picture_files.opened(image) as opened:
        value = opened.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(record: Record) -> Record | str:
    """The record with its picture as a viewer shows it, or why that cannot be told.

    A picture without a tag is returned as it came, byte for byte, unless it is transparent or deep.
    """
    try:
        turned = _upright(record)
        return turned if isinstance(turned, str) else _flat(turned)
    except picture_files.DAMAGED:
        return record  # the checks that follow say what is wrong with it


def _upright(record: Record) -> Record | str:
    turn = orientation(record.image)
    if turn == 1:
        return record
    with picture_files.opened(record.image) as opened:
        stored = opened.size
    turned = stored[::-1] if turn >= 5 else stored
    declared = (record.width, record.height)
    if not len(record.boxes_xyxy) and declared in (stored, turned):
        content = _turned(record.image)
    elif stored == turned:
        return UNKNOWN
    elif declared == turned:
        content = _turned(record.image)
    elif declared == stored:
        content, turned = _without_tag(record.image), stored
    else:
        return record  # its size differs from the annotation: the checks that follow say so
    return dataclasses.replace(record, image=content, width=turned[0], height=turned[1])


def _flat(record: Record) -> Record:
    """The record with its picture in 8 bits, and on white where it is transparent."""
    if record.image.startswith(_JPEG):  # neither deep nor transparent
        return record
    with picture_files.opened(record.image) as opened:
        if picture_files.STANDARD.problem(*opened.size) or pixels.is_flat(opened):
            return record
        return dataclasses.replace(record, image=_encoded(pixels.flat(opened), opened.format))


def _may_have_a_tag(image: bytes) -> bool:
    """Quick: most pictures have none, and every picture of a dataset is asked."""
    if image.startswith(_JPEG):
        return b"Exif\x00" in image[:_HEAD_BYTES]
    return image[:4] in (b"II*\x00", b"MM\x00*") or b"eXIf" in image or b"EXIF" in image


def _turned(image: bytes) -> bytes:
    with picture_files.opened(image) as opened:
        picture = ImageOps.exif_transpose(opened)
        return _encoded(picture, opened.format)


def _without_tag(image: bytes) -> bytes:
    """The same pixels, and a tag that says 1: in place where that can be done, for nothing is lost
    then."""
    head = image[:_HEAD_BYTES]
    patched = _TAG.sub(lambda m: m[1] + b"\x01\x00" if m[1] else m[3] + b"\x00\x01", head, count=1)
    if image.startswith(_JPEG) and patched != head:
        whole = patched + image[_HEAD_BYTES:]
        if orientation(whole) == 1:
            return whole
    with picture_files.opened(image) as opened:
        picture = opened.copy()
        return _encoded(picture, opened.format)


def _encoded(picture: Image.Image, kind: str | None) -> bytes:
    """JPEG stays JPEG, anything else becomes PNG, without EXIF."""
    out = io.BytesIO()
    picture.info.pop("exif", None)
    if kind in ("JPEG", "MPO") and picture.mode in ("RGB", "L"):
        picture.save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        picture.save(out, "PNG")
    return out.getvalue()
