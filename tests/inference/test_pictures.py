"""Whatever is given as a picture is seen as a viewer shows it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from omnidet.data.reading.picture_files import PictureLimits
from omnidet.inference import pictures
from tests import toys

PICTURE = toys.png(90, 30, [(5, 5, 20, 20)])
PIXELS = np.array(Image.open(io.BytesIO(PICTURE)).convert("RGB"))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def seen(given: object) -> np.ndarray:
    return np.array(pictures.read(given).image())  # type: ignore[arg-type]


@pytest.fixture
def given(tmp_path) -> dict[str, object]:
    """The same picture in every form."""
    path = tmp_path / "picture.png"
    path.write_bytes(PICTURE)
    return {
        "path": path,
        "text": str(path),
        "bytes": PICTURE,
        "bytearray": bytearray(PICTURE),
        "memoryview": memoryview(PICTURE),
        "stream": io.BytesIO(PICTURE),
        "pil": Image.open(io.BytesIO(PICTURE)),
        "pixels": PIXELS,
        "pixels in reverse": np.ascontiguousarray(PIXELS[..., ::-1])[..., ::-1],
    }


def test_every_form_of_a_picture_is_the_same_picture(given):
    for form, picture in given.items():
        read = pictures.read(picture)  # type: ignore[arg-type]
        assert (read.width, read.height) == (90, 30), form
        assert np.array_equal(np.array(read.image()), PIXELS), form
        assert np.array_equal(
            read.letterboxed(64).pixels, pictures.read(PICTURE).letterboxed(64).pixels
        )
        assert pictures.is_one(picture)
        assert pictures.read(read) is read
    assert not pictures.is_one([PICTURE])
    assert not pictures.is_one((PICTURE, PICTURE))


def test_a_file_that_needs_nothing_is_left_to_the_decoder_of_training():
    assert pictures.read(PICTURE).content is PICTURE
    photograph = encoded(Image.fromarray(PIXELS), "JPEG")
    assert pictures.read(photograph).content == photograph


@pytest.mark.parametrize("tag", range(1, 9))
def test_exif_turns_the_picture(tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    upright = Image.fromarray(PIXELS)
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    expected = np.array(upright.transpose(turns[tag]) if tag in turns else upright)
    stored = encoded(upright, exif=exif)
    assert np.array_equal(seen(stored), expected)
    assert np.array_equal(seen(Image.open(io.BytesIO(stored))), expected)
    read = pictures.read(stored)
    assert (read.width, read.height) == (expected.shape[1], expected.shape[0])
    assert read.letterboxed(64).record.width == (64 if read.width > read.height else 21)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_put_on_white(mode):
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    clear.putpixel((0, 0), (0, 0, 0, 255))
    options = {}
    if mode == "P":
        clear = clear.convert("RGB").quantize(4)
        options = {"transparency": clear.getpixel((1, 1))}
    else:
        clear = clear.convert(mode)
    image = Image.open(io.BytesIO(encoded(clear, "PNG" if mode != "PA" else "TIFF", **options)))
    pixels = seen(image)
    assert pixels[1, 1].tolist() == [255, 255, 255]
    assert pixels[0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([[0, 32768], [65535, 257]], np.uint16), [[0, 128], [255, 1]]),
        (np.array([[0.0, 0.5], [1.0, 0.25]], np.float32), [[0, 128], [255, 64]]),
    ],
)
def test_more_than_8_bits_are_scaled_not_cut_off(stored, expected):
    image = Image.fromarray(stored)
    pixels = seen(encoded(image, "TIFF"))
    np.testing.assert_allclose(pixels[..., 0], expected, atol=1)
    assert np.array_equal(pixels, seen(image))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_other_modes_become_rgb(mode):
    image = Image.fromarray(PIXELS).convert("RGB")
    image = image.convert("LAB") if mode == "LAB" else image.convert(mode)
    pixels = seen(image)
    assert pixels.shape == (30, 90, 3)
    assert pixels.dtype == np.uint8


PHOTOGRAPH = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), "u1")))


@pytest.mark.parametrize("content", [b"", b"no picture", PHOTOGRAPH[:2000]])
def test_what_cannot_be_read_is_named(content, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for name, form in (("image 3", content), (str(path), path)):
        with pytest.raises(ValueError, match="cannot be read as an image") as caught:
            pictures.read(form, "image 3").letterboxed(32)
        assert str(caught.value).startswith(name)
        assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        pictures.read(tmp_path / "nowhere.png")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        pictures.read(str(tmp_path))


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (PIXELS.astype(np.float32), ["(30, 90, 3)", "float32"]),
        (PIXELS[None], ["(1, 30, 90, 3)"]),
        (PIXELS.transpose(2, 0, 1), ["(3, 30, 90)"]),
        (PIXELS[..., 0], ["(30, 90)"]),
        (PIXELS[:0], ["(0, 90, 3)"]),
        (None, ["NoneType"]),
        (3, ["int"]),
        ([PICTURE], ["list"]),
    ],
)
def test_other_things_are_refused_by_name(form, words):
    with pytest.raises(ValueError, match="image 2") as caught:
        pictures.read(form, "image 2")
    assert all(word in str(caught.value) for word in words)


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded():
    half = encoded(Image.fromarray(PIXELS), "JPEG")[:700]
    with pytest.raises(ValueError, match="90 x 30 pixels: at most 2699"):
        pictures.read(half, limits=PictureLimits(2699))


def test_damage_in_a_picture_that_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    half = encoded(Image.fromarray(noise), "JPEG", exif=exif)[:2500]
    with pytest.raises(ValueError, match="image 1 cannot be read"):
        pictures.read(half, "image 1")
    with pytest.raises(ValueError, match="the image cannot be read"):
        pictures.read(Image.open(io.BytesIO(half)))


@pytest.mark.parametrize("form", ["path", "bytes", "pixels", "pil", "stream"])
def test_one_picture_and_a_list_of_one_have_the_same_name(given, form):
    ((alone, name),) = pictures.named(given[form])
    ((first, same),) = pictures.named([given[form]])
    assert alone is first is given[form]
    assert name == same == "the image"


def test_pictures_of_a_list_are_numbered():
    assert pictures.named(iter([PICTURE, "a.jpg"])) == [(PICTURE, "image 0"), ("a.jpg", "image 1")]
    assert pictures.named([]) == []


@pytest.mark.parametrize("wrong", [{"a.jpg": 1}, {"a.jpg"}, 5])
def test_what_is_no_list_of_pictures_is_named(wrong):
    with pytest.raises(ValueError, match=type(wrong).__name__):
        pictures.named(wrong)


def test_boxes_of_the_square_come_back_in_pixels_clipped():
    picture = pictures.read(toys.png(200, 100, []))
    square = picture.letterboxed(50)
    boxes = np.array([[5, 5, 25, 15], [-3, 0, 60, 50]], np.float32)
    np.testing.assert_allclose(
        picture.unboxed(boxes, square.record), [[20, 20, 100, 60], [0, 0, 200, 100]], atol=1e-4
    )
