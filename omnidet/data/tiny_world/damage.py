"""Faults of image files, planted on purpose: truncated, missing, or a decompression bomb."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from omnidet.data.tiny_world.config import TinyWorld

FILE_DAMAGE = ("truncated image", "image too large", "missing image")


def damages(config: TinyWorld, kinds: Sequence[str]) -> dict[int, str]:
    """Number of the image -> fault. The first images, all for training, are the broken ones."""
    return dict(enumerate(kind for kind in kinds for _ in range(config.broken)))


def write_image(path: Path, jpeg: bytes, damage: str = "") -> None:
    """Write an image file with its damage, if it has any."""
    content = damaged(jpeg, damage)
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content)


def damaged(jpeg: bytes, damage: str) -> bytes | None:
    """The content of the damaged file; None if it is missing."""
    if damage == "truncated image":
        return jpeg[: len(jpeg) // 2]
    if damage == "image too large":
        return _bomb()
    return None if damage == "missing image" else jpeg


@functools.cache
def _bomb(side: int = 20_000) -> bytes:
    """A PNG of a few kilobytes that decodes to 400 million pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + side // 8) * side), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )
