"""Frames of a real video, which is written here."""

from __future__ import annotations

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


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "no.mp4").write_text("no video")
    for name in ("no.mp4", "nowhere.mp4"):
        with pytest.raises(ValueError, match=name):
            list(video.frames(str(tmp_path / name)))


def test_a_camera_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="camera:99"):
        list(video.frames("camera:99"))
