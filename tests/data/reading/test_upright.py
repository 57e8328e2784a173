"""A photograph that its tag turns: the box is on the thing, whichever way boxes were drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.reading.upright import ORIENTATION, UNKNOWN, orientation, upright
from omnidet.data.transforms.decode import decode
from omnidet.inference.pictures import read
from omnidet.schema import Record

STORE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a picture must be stored for its tag to turn it upright."""
BOX = (10, 20, 30, 60)
"""Of a red rectangle in the picture as it is seen, 120 x 80."""


def seen() -> Image.Image:
    picture = Image.new("RGB", (120, 80))
    picture.paste((255, 0, 0), BOX)
    return picture


def stored(tag: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    out = io.BytesIO()
    picture = seen().transpose(STORE[tag]) if tag > 1 else seen()
    picture.save(
        out, kind, exif=exif, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {})
    )
    return out.getvalue()


def red_box(image: bytes) -> tuple[int, int, int, int]:
    """Of the pixels as they are stored, whatever a tag says."""
    pixels = np.array(Image.open(io.BytesIO(image)).convert("RGB")).astype(int)
    rows, columns = np.nonzero(pixels[..., 0] > 128)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def record(image: bytes, size: tuple[int, int], box=BOX, **more) -> Record:
    boxes = np.array([box] if box else [], np.float32).reshape(-1, 4)
    named = {"phrases": ("red",), "phrase_boxes": ((0,),)} if box else {}
    fields = {"width": size[0], "height": size[1], "boxes_xyxy": boxes, **named, **more}
    return Record(image=image, source="test", image_id="test:1", **fields)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("tag", [5, 6, 7, 8])
def test_boxes_drawn_in_the_turned_picture(tag, kind):
    made = upright(record(stored(tag, kind), (120, 80)))
    assert (made.width, made.height) == (120, 80)
    assert orientation(made.image) == 1
    assert red_box(made.image) == BOX


@pytest.mark.parametrize("tag", [5, 6, 7, 8])
def test_boxes_drawn_in_the_stored_picture(tag):
    image = stored(tag)
    own = red_box(image)
    made = upright(record(image, (80, 120), own))
    assert (made.width, made.height) == (80, 120)
    assert orientation(made.image) == 1
    assert red_box(made.image) == own
    assert len(made.image) == len(image)  # the tag was changed in place, no pixel was


@pytest.mark.parametrize("tag", [2, 3, 4])
def test_where_the_size_cannot_say_the_picture_is_refused(tag):
    assert upright(record(stored(tag), (120, 80))) == UNKNOWN
    quarantine = Quarantine()
    assert clean(record(stored(tag), (120, 80)), quarantine) is None
    assert quarantine.counts == {f"test: record: {UNKNOWN}": 1}


@pytest.mark.parametrize("tag", [3, 6])
def test_without_boxes_the_picture_is_turned_whatever_size_is_stated(tag):
    for size in {(120, 80), (80, 120) if tag == 6 else (120, 80)}:
        made = upright(record(stored(tag), size, box=None, caption="a red thing"))
        assert (made.width, made.height) == (120, 80)
        assert red_box(made.image) == BOX


@pytest.mark.parametrize("tag", [1, 9, 0])
def test_a_picture_that_no_tag_turns_is_left_as_it_came(tag):
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    out = io.BytesIO()
    seen().save(out, "JPEG", exif=exif)
    same = record(out.getvalue(), (120, 80))
    assert upright(same) is same


def test_another_size_is_left_to_the_checks():
    quarantine = Quarantine()
    assert clean(record(stored(6), (60, 40)), quarantine) is None
    assert quarantine.counts == {"test: record: image size differs from the annotation": 1}


@pytest.mark.parametrize("content", [b"", b"\xff\xd8Exif\x00\x00", b"II*\x00", b"EXIF"])
def test_what_is_no_image_is_left_to_the_checks(content):
    broken = record(content, (120, 80))
    assert upright(broken) is broken
    assert clean(broken, Quarantine()) is None


def test_an_image_after_cleaning_needs_no_turning():
    made = clean(record(stored(6), (120, 80)), Quarantine())
    assert red_box(made.image) == BOX
    assert made.boxes_xyxy.tolist() == [list(BOX)]


def test_a_tag_in_the_other_byte_order_is_changed_in_place_too():
    exif = Image.Exif()
    exif.endian = ">"
    exif[ORIENTATION] = 6
    out = io.BytesIO()
    seen().transpose(STORE[6]).save(out, "JPEG", quality=95, exif=exif)
    assert orientation(out.getvalue()) == 6
    made = upright(record(out.getvalue(), (80, 120), red_box(out.getvalue())))
    assert orientation(made.image) == 1


@pytest.mark.parametrize("size", [(120, 80), (80, 120)], ids=["turned", "stored"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_damaged_picture_with_a_tag_is_refused_by_name(kind, size):
    whole = stored(6, kind)
    quarantine = Quarantine()
    assert clean(record(whole[: len(whole) * 3 // 4], size), quarantine) is None
    assert quarantine.counts == {"test: record: truncated image": 1}


def test_a_picture_of_too_many_pixels_with_a_tag_is_refused_by_name():
    bomb = bytearray(stored(6))
    at = bomb.index(b"\xff\xc0") + 5
    bomb[at : at + 4] = b"\xf0\x00\xf0\x00"  # height and width
    quarantine = Quarantine()
    assert clean(record(bytes(bomb), (120, 80)), quarantine) is None
    assert quarantine.counts == {"test: record: image too large": 1}


def test_transparent_and_deep_pictures_are_trained_on_as_a_detector_that_is_asked_sees_them():
    layers = Image.new("RGBA", (120, 80), (0, 0, 0, 0))
    layers.paste((255, 0, 0, 255), BOX)
    deep = Image.fromarray(np.full((80, 120), 40_000, np.uint16))
    for picture, kind in [(layers, "PNG"), (layers, "WEBP"), (layers, "GIF"), (deep, "PNG")]:
        out = io.BytesIO()
        picture.save(out, kind, **({"lossless": True} if kind == "WEBP" else {}))
        cleaned = clean(record(out.getvalue(), (120, 80)), Quarantine())
        trained_on = decode(cleaned).pixels
        asked = read(out.getvalue(), "picture").letterboxed(120).pixels[:80]
        np.testing.assert_array_equal(trained_on, asked)
        background = 156 if picture is deep else 255
        assert trained_on[0, 0].tolist() == [background] * 3


def test_a_picture_with_an_opaque_fourth_channel_is_left_as_it_came():
    out = io.BytesIO()
    seen().convert("RGBA").save(out, "PNG")
    same = record(out.getvalue(), (120, 80))
    assert upright(same) is same
