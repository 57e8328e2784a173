"""Bad records: each reason, what is kept of a record, and what its lost names no longer claim."""

from __future__ import annotations

import io
import json
import warnings
from struct import pack
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from omnidet.data.reading import picture_files
from omnidet.data.reading.picture_files import PictureLimits
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.tiny_world.damage import _bomb
from omnidet.schema import Record
from tests.data.sources.handmade import jpeg

GOOD = (1.0, 2.0, 11.0, 12.0)


def record(boxes=(), phrases=(), phrase_boxes=None, image=None, **more):
    """A 40x30 image. By default, each phrase names the box at its position."""
    named = tuple((i,) for i in range(len(phrases))) if phrase_boxes is None else phrase_boxes
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    fields = {
        "width": 40,
        "height": 30,
        "source": "toy",
        "image_id": "toy:1",
        "boxes_xyxy": xyxy,
    } | more
    return Record(
        image=jpeg(1) if image is None else image,
        phrases=tuple(phrases),
        phrase_boxes=named,
        **fields,
    )


def cleaned(given):
    quarantine = Quarantine()
    return clean(given, quarantine), dict(quarantine.counts)


def test_good_record_passes_unchanged():
    given = record(
        [GOOD, (0, 0, 40, 30)],
        ["dog", "cat"],
        absent=("cow",),
        not_exhaustive=("cat",),
        caption="A dog.",
    )
    kept, counts = cleaned(given)
    assert counts == {}
    assert kept.image == given.image
    assert kept.boxes_xyxy.dtype == np.float32
    assert kept.boxes_xyxy.tolist() == given.boxes_xyxy.tolist()
    assert (kept.phrases, kept.phrase_boxes) == (("dog", "cat"), ((0,), (1,)))
    assert (kept.absent, kept.not_exhaustive, kept.caption) == (("cow",), ("cat",), "A dog.")


def png_bytes():
    out = io.BytesIO()
    Image.new("RGB", (40, 30)).save(out, "PNG")
    return out.getvalue()


def noise(kind):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)).save(
        out, kind
    )
    return out.getvalue()


def png_of_size(width, height):
    """A valid header with the data of another picture, to test the stated size."""
    content = png_bytes()
    header = b"IHDR" + pack(">II", width, height) + content[24:29]
    return content[:12] + header + pack(">I", crc32(header)) + content[33:]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (jpeg(1)[: len(jpeg(1)) // 2], "truncated image"),
        (noise("PNG")[:-1000], "truncated image"),
        (noise("GIF")[:-1000], "truncated image"),
        (b"", "unreadable image"),
        (b"<html>404</html>", "unreadable image"),
        (b"\xff\xd8\xff", "unreadable image"),
        (_bomb(), "image too large"),  # Pillow's error
        (png_of_size(13_000, 12_500), "image too large"),  # Pillow's warning
        (jpeg(1, 30, 40), "image size differs from the annotation"),
    ],
)
def test_unusable_image(image, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept, counts = cleaned(record([GOOD], ["dog"], image=image))
    assert kept is None
    assert counts == {f"toy: record: {reason}": 1}


def test_the_largest_image_that_is_read(monkeypatch):
    monkeypatch.setattr(picture_files, "STANDARD", PictureLimits(40 * 30))
    assert cleaned(record([GOOD], ["dog"]))[0] is not None
    monkeypatch.setattr(picture_files, "STANDARD", PictureLimits(40 * 30 - 1))
    assert cleaned(record([GOOD], ["dog"]))[1] == {"toy: record: image too large": 1}


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((5, 5, 5, 9), "zero-size box"),
        ((5, 5, 9, 5), "zero-size box"),
        ((9, 5, 5, 9), "zero-size box"),
        ((5, 5, 5.5, 9), "zero-size box"),
        ((-1.5, 5, 0.5, 9), "zero-size box"),  # half a pixel of it is in the image
        ((40, 5, 50, 9), "box outside the image"),
        ((5, 30, 9, 40), "box outside the image"),
        ((-9, 5, 0, 9), "box outside the image"),
        ((5, -9, 9, 0), "box outside the image"),
        ((1000, 5, 2000, 9), "box outside the image"),
        ((0, 0, 42.5, 9), "box larger than the image"),
        ((0, 0, 9, 32.5), "box larger than the image"),
        ((-2.5, 0, 9, 9), "box larger than the image"),
        ((0, -2.5, 9, 9), "box larger than the image"),
        ((0, 0, 1e30, 9), "box larger than the image"),
        ((0, 0, float("nan"), 9), "box with a number that is not finite"),
        ((float("-inf"), 0, 9, 9), "box with a number that is not finite"),
        ((0, 0, 9, float("inf")), "box with a number that is not finite"),
    ],
)
def test_bad_box(box, reason):
    kept, counts = cleaned(record([box, GOOD], ["cat", "dog"]))
    assert counts == {f"toy: box: {reason}": 1}
    assert kept.boxes_xyxy.tolist() == [list(GOOD)]
    assert (kept.phrases, kept.phrase_boxes) == (("dog",), ((0,),))


def test_small_overshoot_is_clipped():
    kept, counts = cleaned(record([(-2, -1, 42, 31.5), (38.5, 3, 41, 9)], ["dog", "cat"]))
    assert counts == {}
    assert kept.boxes_xyxy.tolist() == [[0, 0, 40, 30], [38.5, 3, 40, 9]]


def test_each_refusal_is_named():
    quarantine = Quarantine()
    clean(record([(5, 5, 5, 9.126)], ["dög"], caption="x"), quarantine)
    clean(record(image=b"", image_id="toy:2"), quarantine)
    assert [json.loads(line) for line in quarantine.lines] == [
        {
            "source": "toy",
            "item": "toy:1 box 0 [5.0, 5.0, 5.0, 9.13]",
            "kind": "box",
            "reason": "zero-size box",
        },
        {"source": "toy", "item": "toy:2", "kind": "record", "reason": "unreadable image"},
    ]


def test_name_whose_box_is_refused_does_not_become_absent():
    kept, _ = cleaned(
        record(
            [(5, 5, 5, 9), GOOD],
            ["cat", "dog"],
            absent=("cow", "cat"),
            not_exhaustive=("cat", "dog"),
        )
    )
    assert kept.phrases == ("dog",)
    assert kept.absent == ("cow",)
    assert kept.not_exhaustive == ("dog",)


def test_name_that_lost_some_of_its_boxes_is_not_exhaustive():
    boxes = [(5, 5, 5, 9), GOOD, (3, 3, 9, 9)]
    given = record(boxes, ["cat", "dog", "cow"], ((0, 1), (1, 2), (2,)), not_exhaustive=("cow",))
    kept, _ = cleaned(given)
    assert kept.boxes_xyxy.tolist() == [list(GOOD), [3, 3, 9, 9]]
    assert (kept.phrases, kept.phrase_boxes) == (("cat", "dog", "cow"), ((0,), (0, 1), (1,)))
    assert sorted(kept.not_exhaustive) == ["cat", "cow"]


NO_WORDS = ["", "  ", "...", "?!", "\u200b", "—"]


@pytest.mark.parametrize("text", NO_WORDS)
def test_phrase_without_words(text):
    kept, counts = cleaned(record([GOOD, GOOD], [text, "dog"], absent=("cow",)))
    assert (kept.phrases, kept.phrase_boxes) == (("dog",), ((1,),))
    assert kept.absent == ("cow",)
    assert counts == {"toy: phrase: empty phrase": 1}


@pytest.mark.parametrize("text", NO_WORDS[2:])
def test_caption_and_absent_name_without_words(text):
    """The vocabulary has no token for them, so training would stop at such a caption."""
    kept, counts = cleaned(record([GOOD], ["dog"], absent=("cow", text), caption=text))
    assert (kept.caption, kept.absent) == ("", ("cow",))
    assert counts == {"toy: caption: empty caption": 1, "toy: phrase: empty phrase": 1}
    kept, counts = cleaned(record(caption=text))
    assert kept is None
    assert counts == {
        "toy: caption: empty caption": 1,
        "toy: record: nothing is known of the image": 1,
    }


@pytest.mark.parametrize("text", ["红色", "🙂", "7", "a", "+", "é"])
def test_any_letter_digit_or_symbol_is_a_word(text):
    kept, counts = cleaned(record([GOOD], [text], absent=(f"no {text}",), caption=text))
    assert (kept.phrases, kept.caption, counts) == ((text,), text, {})


def test_what_is_left_must_say_something():
    assert cleaned(record())[1] == {"toy: record: nothing is known of the image": 1}
    kept, counts = cleaned(record([(5, 5, 5, 9)], ["dog"]))
    assert kept is None
    assert counts == {
        "toy: box: zero-size box": 1,
        "toy: record: no usable box or phrase is left": 1,
    }
    for more in ({"absent": ("cow",)}, {"caption": "A dog."}):
        kept, _ = cleaned(record([(5, 5, 5, 9)], ["dog"], **more))
        assert (kept.phrases, kept.boxes_xyxy.shape) == ((), (0, 4))
        assert cleaned(record(**more))[0] is not None, (
            "an empty negative, or a picture with a caption"
        )


def test_share_of_refused_records():
    quarantine = Quarantine(max_share=0.25)
    for reason in ("truncated image", "unreadable image", "truncated image"):
        quarantine.reject("web", "x", reason)
    for _ in range(100):
        quarantine.reject("web", "x", "zero-size box", "box")
        quarantine.reject("web2", "x", "truncated image")
    quarantine.check_share("web", kept=9)
    with pytest.raises(ValueError, match="web: 3 of 11 records are unusable") as caught:
        quarantine.check_share("web", kept=8)
    message = str(caught.value)
    assert "(2 truncated image, 1 unreadable image)" in message
    assert "0.25" in message
    assert "shards.max_bad_share" in message
    quarantine.check_share("nothing was read of it", kept=0)
