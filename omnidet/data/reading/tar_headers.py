"""The headers of an untrusted tar, which Python's reader believes.

It reads a header of gigabytes at once, and loops forever over one with a negative size
(CVE-2025-8194).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

BLOCK_BYTES = 512
ERRORS = (tarfile.TarError, ValueError, OverflowError, RecursionError)
"""What reading damaged headers raises."""


class CarefulStream(io.RawIOBase):
    """A stream that refuses to read more than `max_bytes` at once."""

    def __init__(
        self,
        stream: BinaryIO | io.BufferedIOBase,
        max_bytes: int,
        refuse: Callable[[str], Exception],
    ) -> None:
        """`refuse` makes the error for a problem."""
        self._stream, self._max_bytes, self._refuse = stream, max_bytes, refuse
        self.last_block = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._max_bytes:
            raise self._refuse(f"has a header or a member of {size} bytes")
        content = self._stream.read(size)
        if size == BLOCK_BYTES:
            self.last_block = content
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Each member. Raises tarfile.ReadError if one does not follow the one before it."""
    before = -1
    for member in tar:
        if member.offset <= before or member.size < 0:
            raise tarfile.ReadError(f"the header at byte {member.offset} leads back")
        before = member.offset
        yield member
