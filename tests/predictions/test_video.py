"""Frames of a real video, which is written here."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from omnidet.predictions import video

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Ten frames, each brighter than the one before."""
    path = tmp_path_factory.mktemp("video") / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            pixels = np.full((48, 64, 3), 20 * number + 20, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    return path


def test_every_frame_in_order(film):
    frames = list(video.frames(str(film)))
    assert [number for number, _ in frames] == list(range(10))
    assert all(pixels.shape == (48, 64, 3) and pixels.dtype == np.uint8 for _, pixels in frames)
    assert [round(float(pixels.mean())) for _, pixels in frames] == pytest.approx(
        [20 * n + 20 for n in range(10)], abs=4
    )


def test_every_third_frame_and_two_at_most(film):
    assert [number for number, _ in video.frames(str(film), every=3)] == [0, 3, 6, 9]
    assert [number for number, _ in video.frames(str(film), every=3, most=2)] == [0, 3]


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((0, 1, -1, 0), lambda pixels: np.rot90(pixels, -1)),
        ((-1, 0, 0, -1), lambda pixels: np.rot90(pixels, 2)),
        ((0, -1, 1, 0), lambda pixels: np.rot90(pixels)),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), lambda pixels: pixels.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1)),
    ],
)
def test_a_film_is_turned_and_mirrored_as_players_show_it(tmp_path, matrix, shown):
    """As the file's own matrix says: telephones mirror what the front camera sees."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        pixels = np.zeros((48, 64, 3), np.uint8)
        pixels[:16, :16] = 250  # in one corner: no two of the eight ways look the same
        pixels[:16, 16:40] = 120
        out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    ((_, upright),) = video.frames(str(path))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44  # behind the header, times, ids and volume of version 0
    a, b, c, d = (65536 * value for value in matrix)
    struct.pack_into(">5i", content, at, a, b, 0, c, d)
    path.write_bytes(content)
    ((_, turned),) = video.frames(str(path))
    assert turned.tolist() == shown(upright).tolist()


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "no.mp4").write_text("no video")
    for name in ("no.mp4", "nowhere.mp4"):
        with pytest.raises(ValueError, match=name):
            list(video.frames(str(tmp_path / name)))


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="camera:99"):
        list(video.frames("camera:99"))


def test_a_file_that_was_cut_off_is_named(tmp_path):
    """Its header stands at the front, as it does in files for the web, and FFmpeg sees no error."""
    whole = tmp_path / "whole.avi"
    with av.open(str(whole), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        noise = np.random.default_rng(0)
        for _ in range(20):
            pixels = noise.integers(0, 255, (48, 64, 3), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    assert len(list(video.frames(str(whole)))) == 20
    content = whole.read_bytes()
    cut, empty = tmp_path / "cut.avi", tmp_path / "empty.avi"
    cut.write_bytes(content[: len(content) // 2])
    empty.write_bytes(content[: content.index(b"movi") + 4])
    seen = []
    with pytest.raises(ValueError, match=r"cut\.avi breaks off after \d+ of 20 frames"):
        seen += [number for number, _ in video.frames(str(cut))]
    with pytest.raises(ValueError, match=r"empty\.avi"):
        list(video.frames(str(empty)))
