"""Which picture files are opened, and what is refused before it is decoded."""

from __future__ import annotations

import io
import subprocess
import time
import zlib

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from omnidet.data.annotated.pictures import open_picture
from omnidet.data.reading import picture_files
from omnidet.data.reading.picture_files import PictureLimits
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.inference import pictures
from omnidet.schema import Record


def _encoded(size: tuple[int, int], kind: str, mode: str = "RGB", **how: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, 7).save(out, kind, **how)
    return out.getvalue()


def _png_that_says(width: int, height: int) -> bytes:
    """A header alone: nobody may need more to refuse it."""
    content = _encoded((3, 2), "PNG")
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = b"IHDR" + size + content[24:29]
    return content[:12] + head + zlib.crc32(head).to_bytes(4, "big") + content[33:]


@pytest.mark.parametrize("kind", [k for k in picture_files.FORMATS if k != "PPM"])
def test_every_listed_format_is_read(kind):
    assert (pictures.read(_encoded((30, 20), kind)).width, kind) == (30, kind)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
OTHERS = {
    "EPS": EPS,
    **{
        kind: _encoded((16, 16), kind, mode)
        for kind, mode in {
            "PCX": "RGB",
            "TGA": "RGB",
            "ICO": "RGB",
            "SGI": "RGB",
            "MSP": "1",
            "DDS": "RGB",
        }.items()
    },
}


@pytest.mark.parametrize("kind", OTHERS)
def test_no_other_format_is_opened_anywhere(kind, tmp_path, monkeypatch):
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "check_call", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(ValueError, match="in no known format"):
        pictures.read(OTHERS[kind])
    with pytest.raises(UnidentifiedImageError), picture_files.opened(OTHERS[kind]):
        pass
    (tmp_path / "a.png").write_bytes(OTHERS[kind])
    assert isinstance(open_picture(tmp_path / "a.png"), str)
    box = np.array([[1, 1, 8, 8]], np.float32)
    record = Record(OTHERS[kind], 16, 16, "toy", "1", box, ("dog",), ((0,),))
    assert clean(record, Quarantine()) is None


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (1, 49_000_000),
        (49_000_000, 1),
        (40_000, 1000),
        (12_650, 12_650),
        (20_000, 2),
        (2**31 - 1, 1),
    ],
)
def test_sizes_that_are_refused_unseen(width, height, tmp_path):
    content = _png_that_says(width, height)
    started = time.process_time()
    with pytest.raises(ValueError, match=r"pixels|cannot be read as an image"):
        pictures.read(content)
    (tmp_path / "a.png").write_bytes(content)
    assert isinstance(open_picture(tmp_path / "a.png"), str)
    assert time.process_time() - started < 2  # decoding the smallest of them takes longer


@pytest.mark.parametrize("size", [(8160, 6144), (9504, 6336), (12_000, 9_000), (14_204, 10_652)])
def test_what_cameras_and_telephones_write_is_not_too_large(size):
    assert picture_files.STANDARD.problem(*size) is None


def test_limits():
    limits = PictureLimits(max_pixels=600, max_side=60, max_aspect=10)
    good = [(30, 20), (60, 10), (60, 6), (1, 1)]
    assert [limits.problem(*size) for size in good] == [None] * 4
    bad = {(31, 20): picture_files.TOO_LARGE, (61, 7): picture_files.TOO_LARGE}
    bad[(60, 5)] = picture_files.TOO_LONG
    assert {size: limits.problem(*size) for size in bad} == bad
    with pytest.raises(ValueError, match=r"61 x 7 pixels.* 60 a side.*smaller"):
        limits.require(61, 7)
    with pytest.raises(ValueError, match=r"60 x 5 pixels.* cut"):  # smaller it would be as long
        limits.require(60, 5)


def test_decoding_ends_at_its_deadline(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    with picture_files.opened(out.getvalue(), time.monotonic() + 30) as image:
        image.load()
    deadline = time.monotonic() + 30
    with picture_files.opened(out.getvalue(), deadline) as image:
        monkeypatch.setattr(time, "monotonic", lambda: deadline + 0.1)
        with pytest.raises(TimeoutError, match="too long to decode"):
            image.load()


def test_a_jpeg_of_too_many_passes():
    """A small file that repeats its last scan: each one is a pass over all pixels."""
    content = _encoded((4000, 3000), "JPEG", progressive=True)
    assert pictures.read(content).width == 4000
    last = content.rindex(b"\xff\xda")
    bomb = content[:last] + content[last:-2] * 200 + content[-2:]
    with pytest.raises(ValueError, match="4000 x 3000 pixels are coded in more than 133 passes"):
        pictures.read(bomb)
