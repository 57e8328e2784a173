"""Boxes and words follow the picture: a painted rectangle stays framed by its box through every
transform."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from omnidet.data.transforms.crop import crop
from omnidet.data.transforms.decode import decode
from omnidet.data.transforms.example import Example
from omnidet.data.transforms.flip import flip
from omnidet.data.transforms.letterbox import PADDING, letterbox
from omnidet.schema import Record

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))


class Fixed:
    """A generator whose `random` always says the same."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


def painted(width, height, *boxes, **more):
    """Black, with a rectangle of its own colour for each box; the phrases are "a", "b", ..."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for (x0, y0, x1, y1), colour in zip(boxes, COLOURS, strict=False):
        pixels[y0:y1, x0:x1] = colour
    fields = {
        "boxes_xyxy": np.array(boxes, np.float32).reshape(-1, 4),
        "phrases": tuple("abc"[: len(boxes)]),
        "phrase_boxes": tuple((i,) for i in range(len(boxes))),
    }
    return Example(pixels, Record(b"", width, height, "toy", "toy:1", **(fields | more)))


def found(example, colour):
    """The tight box of what is nearer to a colour than to black."""
    channel = example.pixels[..., int(np.argmax(COLOURS[colour]))]
    others = np.delete(example.pixels, int(np.argmax(COLOURS[colour])), axis=2).max(2)
    rows, columns = np.nonzero((channel > 127) & (others < 127))
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def assert_framed(example, tolerance):
    """Each box that is left frames the rectangle of its phrase."""
    record = example.record
    assert example.pixels.dtype == np.uint8
    for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True):
        assert len(boxes) == 1
        np.testing.assert_allclose(
            record.boxes_xyxy[boxes[0]], found(example, "abc".index(phrase)), atol=tolerance
        )


def encoded(example, kind, **options):
    out = io.BytesIO()
    Image.fromarray(example.pixels).save(out, kind, **options)
    return out.getvalue()


def with_image(example, image):
    record = example.record
    return Record(
        image,
        record.width,
        record.height,
        "toy",
        "toy:1",
        record.boxes_xyxy,
        record.phrases,
        record.phrase_boxes,
    )


# Flip


def test_flip_mirrors_pixels_and_boxes():
    example = painted(50, 30, (5, 3, 15, 20), (30, 10, 50, 30))
    flipped = flip(example, Fixed(0.5))
    assert flipped.record.boxes_xyxy.tolist() == [[35, 3, 45, 20], [0, 10, 20, 30]]
    assert (flipped.pixels == example.pixels[:, ::-1]).all()
    assert_framed(flipped, 0)
    assert example.record.boxes_xyxy.tolist() == [[5, 3, 15, 20], [30, 10, 50, 30]], (
        "the original is left as it was"
    )


def test_flip_leaves_half_alone():
    example = painted(50, 30, (5, 3, 15, 20))
    assert flip(example, Fixed(0.499)) is example
    random = np.random.default_rng(0)
    assert 400 < sum(flip(example, random) is example for _ in range(1000)) < 600


@pytest.mark.parametrize(
    ("words", "mirrored"),
    [
        ("star left of the circle", "star right of the circle"),
        ("the RIGHT one, Left of it", "the LEFT one, Right of it"),
        ("leftmost dog", "rightmost dog"),
        ("right-hand side, lefthand", "left-hand side, righthand"),
        ("from left to right", "from right to left"),
        ("bright leftovers, upright copyright", "bright leftovers, upright copyright"),
        ("a dog", "a dog"),
    ],
)
def test_flip_swaps_the_words_everywhere(words, mirrored):
    given = {
        "phrases": (words, "dog"),
        "absent": (words,),
        "not_exhaustive": (words,),
        "caption": f"{words}.",
    }
    record = flip(painted(50, 30, (5, 3, 15, 20), (1, 1, 9, 9), **given), Fixed(0.9)).record
    assert record.phrases == (mirrored, "dog")
    assert record.absent == record.not_exhaustive == (mirrored,)
    assert record.caption == f"{mirrored}."
    assert record.phrase_boxes == ((0,), (1,))


def test_flip_twice_is_nothing():
    example = painted(50, 30, (5, 3, 15, 20), caption="left of right")
    twice = flip(flip(example, Fixed(0.9)), Fixed(0.9))
    assert (twice.pixels == example.pixels).all()
    assert twice.record.boxes_xyxy.tolist() == example.record.boxes_xyxy.tolist()
    assert twice.record.caption == "left of right"


# Crop


def test_crop_never_cuts_a_box():
    example = painted(100, 80, (2, 3, 20, 22), (70, 50, 96, 76), (40, 30, 52, 44), absent=("z",))
    sizes, lost = set(), set()
    for seed in range(300):
        cropped = crop(example, np.random.default_rng(seed))
        record = cropped.record
        assert cropped.pixels.shape == (record.height, record.width, 3)
        assert record.width >= 60
        assert record.height >= 48
        assert_framed(cropped, 0)
        for phrase, (x0, y0, x1, y1) in zip("abc", example.record.boxes_xyxy, strict=True):
            pixels = int((cropped.pixels == COLOURS["abc".index(phrase)]).all(2).sum())
            assert pixels == ((x1 - x0) * (y1 - y0) if phrase in record.phrases else 0), (
                "whole or not there at all"
            )
        sizes.add((record.width, record.height))
        lost.update(set("abc") - set(record.phrases))
        assert set(record.absent) == {"z", *set("abc") - set(record.phrases)}
    assert len(sizes) > 20
    assert lost >= {"a", "b"}


def cropped_without_first(tries=200, **more):
    """The first crop that leaves the first box out and keeps the second."""
    example = painted(100, 80, (2, 3, 12, 13), (60, 50, 76, 66), **more)
    for seed in range(tries):
        record = crop(example, np.random.default_rng(seed)).record
        if len(record.boxes_xyxy) == 1 and record.boxes_xyxy[0, 2] - record.boxes_xyxy[0, 0] == 16:
            return record
    raise AssertionError("no such crop")


def test_lost_phrase_is_absent_only_where_it_was_verified():
    record = cropped_without_first(absent=("z",))
    assert (record.phrases, record.phrase_boxes) == (("b",), ((0,),))
    assert record.absent == ("z", "a")
    record = cropped_without_first()
    assert (record.phrases, record.absent) == (("b",), ()), "in grounding nothing was verified"
    record = cropped_without_first(absent=("z",), not_exhaustive=("a", "b"))
    assert (record.phrases, record.absent, record.not_exhaustive) == (("b",), ("z",), ("b",)), (
        "more of them may be there"
    )


def test_phrase_keeps_what_it_has_left():
    record = cropped_without_first(
        phrases=("both", "first"), phrase_boxes=((0, 1), (0,)), absent=("z",)
    )
    assert (record.phrases, record.phrase_boxes, record.absent) == (
        ("both",),
        ((0,),),
        ("z", "first"),
    )


def test_crop_without_a_window_leaves_the_picture():
    example = painted(100, 80, (0, 0, 100, 80))
    for seed in range(20):
        cropped = crop(example, np.random.default_rng(seed), min_share=0.5)
        assert cropped.record.boxes_xyxy.tolist() == [[0, 0, 100, 80]]
        assert cropped.pixels.shape == (80, 100, 3)
    assert crop(painted(1, 1), np.random.default_rng(0)).pixels.shape == (1, 1, 3)


# Letterbox


@pytest.mark.parametrize(
    ("size", "picture"),
    [
        ((300, 100), (96, 32)),  # 3:1
        ((100, 300), (32, 96)),
        ((96, 96), (96, 96)),
        ((48, 24), (96, 48)),  # up
        ((1000, 2), (96, 1)),
    ],
)
def test_letterbox_maps_boxes_and_pads_right_and_below(size, picture):
    width, height = size
    box = (width // 5, height // 4, width // 2, 3 * height // 4)
    example = letterbox(painted(width, height, box), 96)
    assert (example.record.width, example.record.height) == picture
    assert example.pixels.shape == (96, 96, 3)
    inside = np.zeros((96, 96), bool)
    inside[: picture[1], : picture[0]] = True
    assert (example.pixels[~inside] == PADDING).all()
    scale = np.array([picture[0] / width, picture[1] / height] * 2)
    np.testing.assert_allclose(example.record.boxes_xyxy, [box * scale], rtol=1e-6)
    if height > 2:
        assert not (example.pixels[inside] == PADDING).all(1).any()
        assert_framed(example, 1)


# Decode


@pytest.mark.parametrize("size", [(64, 48), (64, 64), (48, 64), (300, 260), (700, 640)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photos_are_decoded_to_the_pixels_of_pillow(size, mode):
    """At once into their place where they fit, and mirrored or cut out there."""
    noise = np.random.default_rng(0).integers(
        0, 256, (size[1] // 4, size[0] // 4, len(Image.new(mode, (1, 1)).getbands()))
    )
    image = Image.fromarray(noise.astype(np.uint8).squeeze(), mode).resize(size)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    whole = np.asarray(Image.open(io.BytesIO(content.getvalue())).convert("RGB"))
    record = Record(content.getvalue(), *size, "toy", "toy:1")
    assert (decode(record).pixels == whole).all()
    out = np.empty((64, 64, 3), np.uint8)
    for change in (lambda e, _: e, flip, crop, lambda e, r: crop(flip(e, r), r)):
        apart = letterbox(change(decode(record, 64), np.random.default_rng(1)), 64)
        here = letterbox(change(decode(record, 64, out), np.random.default_rng(1)), 64, out)
        assert here.pixels is out
        assert (here.pixels == apart.pixels).all()


def test_a_photo_cut_short_is_what_pillow_says_of_it():
    content = encoded(painted(64, 48), "JPEG")
    with pytest.raises(OSError, match=r"(?i)truncated"):
        decode(Record(content[: len(content) // 2], 64, 48, "toy", "toy:1"))


def test_decode_gives_rgb_whatever_the_file():
    for mode, kind in (("L", "PNG"), ("RGBA", "PNG"), ("P", "GIF"), ("CMYK", "JPEG"), ("1", "PNG")):
        out = io.BytesIO()
        Image.new(mode, (40, 30)).save(out, kind)
        example = decode(Record(out.getvalue(), 40, 30, "toy", "toy:1"), 16)
        assert example.pixels.shape[2] == 3
        assert example.pixels.dtype == np.uint8


def test_draft_scales_boxes_with_the_picture():
    example = painted(800, 640, (80, 64, 400, 320), (480, 400, 800, 640))
    jpeg = with_image(example, encoded(example, "JPEG", quality=95, subsampling=0))
    small = decode(jpeg, 96)
    assert (
        (small.record.width, small.record.height)
        == (small.pixels.shape[1], small.pixels.shape[0])
        == (200, 160)
    )
    assert small.record.boxes_xyxy.tolist() == [[20, 16, 100, 80], [120, 100, 200, 160]]
    assert_framed(small, 1)
    whole = decode(jpeg)
    assert whole.pixels.shape == (640, 800, 3)
    assert whole.record.boxes_xyxy.tolist() == example.record.boxes_xyxy.tolist()
    png = decode(with_image(example, encoded(example, "PNG")), 96)
    assert (png.pixels == example.pixels).all()


def test_draft_never_falls_below_the_asked_size():
    """A wide picture: its shorter side decides."""
    example = painted(900, 300, (90, 30, 300, 270))
    small = decode(with_image(example, encoded(example, "JPEG", quality=95)), 128)
    assert small.pixels.shape == (150, 450, 3)
    assert_framed(small, 1)


@pytest.mark.parametrize("size", [(300, 100), (500, 333), (90, 200)])
def test_the_whole_chain_keeps_boxes_on_their_things(size):
    width, height = size
    boxes = [
        (width // 10, height // 10, width // 3, height // 2),
        (width // 2, height // 2, 9 * width // 10, 9 * height // 10),
    ]
    example = painted(width, height, *boxes)
    record = with_image(example, encoded(example, "JPEG", quality=95, subsampling=0))
    for seed, chain in itertools.product(range(5), [(flip, crop), (crop, flip)]):
        random = np.random.default_rng(seed)
        now = decode(record, 64)
        for transform in chain:
            now = transform(now, random)
        assert_framed(letterbox(now, 64), 1.5)
