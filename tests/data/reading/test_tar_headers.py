"""Headers of an untrusted tar."""

from __future__ import annotations

import io
import tarfile

import pytest

from omnidet.data.reading.tar_headers import BLOCK_BYTES, CarefulStream, members
from tests.data.hostile_tar import write_tar_that_leads_back


def test_a_stream_reads_no_more_than_its_limit_at_once():
    stream = CarefulStream(io.BytesIO(b"0123456789"), 4, ValueError)
    assert stream.read(4) == b"0123"
    for size in (5, -1, 10**12):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            stream.read(size)
    assert stream.seek(8) == stream.tell() == 8
    assert stream.read(4) == b"89"


def test_the_last_block_is_remembered():
    stream = CarefulStream(io.BytesIO(b"x" * BLOCK_BYTES + bytes(BLOCK_BYTES)), 1 << 20, ValueError)
    stream.read(BLOCK_BYTES)
    assert stream.last_block == b"x" * BLOCK_BYTES
    stream.read(100)
    assert stream.last_block == b"x" * BLOCK_BYTES


def test_members_in_order(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("b", "a"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"123"))
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert [member.name for member in members(tar)] == ["b", "a"]


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, b"Z"])
def test_a_header_that_leads_back_is_an_error(tmp_path, kind):
    write_tar_that_leads_back(tmp_path / "a.tar", kind)
    with tarfile.open(tmp_path / "a.tar") as tar, pytest.raises(tarfile.ReadError, match="back"):
        list(members(tar))
