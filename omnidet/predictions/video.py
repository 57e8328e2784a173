"""Frames of a video file or a camera, by PyAV (`pip install 'omnidet[video]'`)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from omnidet import extras
from omnidet.data.transforms.example import Pixels
from omnidet.predictions.inputs import CAMERA

DIGITS = 6
"""Of the number of a frame, in the names of files."""
_WHOLE = 0.9
"""Share of the frames that a file says it has: some count a few that nobody is shown."""


def frames(name: str, every: int = 1, most: int | None = None) -> Iterator[tuple[int, Pixels]]:
    """Every `every`-th frame with its number, from 0; RGB (height, width, 3) of uint8.

    Args:
        name: a file, or `camera:0`.
        most: end after so many.

    Raises ValueError for a file without a video or that breaks off, OSError for a camera that
    cannot be opened, and ImportError that says what to install without PyAV.
    """
    extras.require("video", "av")
    import av

    is_camera = name.startswith(CAMERA)
    try:
        opened = (
            av.open(f"/dev/video{name.removeprefix(CAMERA)}", format="v4l2")
            if is_camera
            else av.open(name)
        )
    except (av.FFmpegError, ValueError) as error:
        what = "no such camera can be opened" if is_camera else "cannot be read as a video"
        raise ValueError(f"{name}: {what} ({_brief(error)}): name another") from error
    with closing(opened):
        if not opened.streams.video:
            raise ValueError(f"{name} holds no video: name another file")
        stream, count = opened.streams.video[0], 0
        try:
            for number, frame in enumerate(opened.decode(stream)):
                count = number + 1
                if number % every:
                    continue
                if most is not None and number // every >= most:
                    return
                yield number, np.ascontiguousarray(_upright(frame))
        except av.FFmpegError as error:
            raise ValueError(f"{name} breaks off ({_brief(error)}): mend it") from error
        if not count:
            raise ValueError(f"{name} has no frame that can be decoded: mend it")
        # FFmpeg reports no error where a file was cut off between two frames.
        if count < _WHOLE * stream.frames:
            raise ValueError(f"{name} breaks off after {count} of {stream.frames} frames: mend it")


def _upright(frame: Any) -> Pixels:
    """The pixels as a player shows them: telephones store a turn beside the video, and mirror what
    the front camera sees.
    """
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            return _placed(pixels, struct.unpack("=9i", bytes(side)[:36]))
    return pixels


def _placed(pixels: Pixels, matrix: Sequence[int]) -> Pixels:
    """The pixels where FFmpeg's matrix puts them, by quarter turns and mirrors: what is at x, y
    goes to ax + cy, bx + dy. PyAV's `rotation` leaves out the mirrors.
    """
    a, b, _, c, d = matrix[:5]
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
