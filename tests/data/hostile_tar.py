"""A tar file that a reader must refuse."""

from __future__ import annotations

import tarfile
from pathlib import Path


def write_tar_that_leads_back(path: Path, kind: bytes = b"0") -> None:
    """A header with a negative size, so that the next member would be before it."""
    member = tarfile.TarInfo("a.txt")
    member.type = kind
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\xff" + (256**11 - 1024).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + bytes(2048))
