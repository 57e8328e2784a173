"""Pictures and broken files for the tests of this room."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image

from omnidet.data.web_images import shard


def picture(seed: int, side: int = 64, kind: str = "JPEG", quality: int = 90) -> bytes:
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8))
    out = io.BytesIO()
    noise.resize((side, side), Image.Resampling.BICUBIC).save(out, kind, quality=quality)
    return out.getvalue()


def png_of_noise(side: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)).save(
        out, "PNG"
    )
    assert len(out.getvalue()) > shard.INLINE_BYTES
    return out.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims this size. A huge one is a decompression bomb: a few bytes."""
    out = io.BytesIO()
    Image.new("1", (min(width, 5_000), min(height, 5_000))).save(out, "PNG")
    content = bytearray(out.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)
