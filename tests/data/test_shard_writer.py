"""Writing shards: open to any WebDataset reader, sorted, and named after the kind of image."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image
from webdataset import tariterators

from omnidet.data import shard_writer, shards
from omnidet.schema import Record
from tests import full_disk, toys


def webdataset_samples(path: Path):
    """By webdataset's own reader, on a file that is opened here as it leaves its own ones open."""
    with path.open("rb") as stream:
        files = tariterators.tar_file_expander([{"url": path.name, "stream": stream}])
        return list(tariterators.group_by_keys(files))


def test_exact_number_leaves_no_empty_shard(tmp_path):
    written = shard_writer.write_set(toys.records(6), tmp_path, "train/toy", 3)
    assert [shard.samples for shard in written] == [3, 3]
    assert shard_writer.write_set([], tmp_path, "train/none", 3) == ()


def test_webdataset_opens_them_and_keys_are_unique_and_sorted(tmp_path):
    made = list(toys.records(25))
    written = shard_writer.write_set(made, tmp_path, "train/toy", 10)
    assert [shard.path for shard in written] == [f"train/toy/{i:06d}.tar" for i in range(3)]
    samples = [s for shard in written for s in webdataset_samples(tmp_path / shard.path)]
    keys = [s["__key__"] for s in samples]
    assert keys == sorted(set(keys))
    assert len(keys) == 25
    for record, sample in zip(made, samples, strict=True):
        assert sample["png"] == record.image
        assert json.loads(sample["json"])["image_id"] == record.image_id
    for shard in written:
        with tarfile.open(tmp_path / shard.path) as tar:
            assert {(m.mtime, m.uname, m.gname) for m in tar} == {(0, "omnidet", "omnidet")}
            assert len({(m.uid, m.gid, m.mode) for m in tar}) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_member_is_named_after_the_kind_of_image(tmp_path, kind):
    out = io.BytesIO()
    Image.new("RGB", (4, 3)).save(out, kind)
    record = Record(out.getvalue(), 4, 3, "toy", "toy:1", caption="x")
    members = shard_writer.write_set([record], tmp_path, "s", 1)
    (sample,) = webdataset_samples(tmp_path / members[0].path)
    suffix = {"JPEG": "jpg", "TIFF": "bin"}.get(kind, kind.lower())
    assert sample[suffix] == record.image
    assert shards.ShardReader(str(tmp_path), members[0]).read(0).image == record.image


def test_pieces_are_numbered_apart(tmp_path):
    """Keys stay unique in the set although each piece is written alone."""
    made = list(toys.records(5))
    written = [
        shard_writer.write_piece(own, tmp_path, number, 2)
        for number, own in ((0, made[:3]), (7, made[3:]), (8, []))
    ]
    paths = [[shard.path for shard in own] for own in written]
    assert paths == [["000000.tar", "000000_001.tar"], ["000007.tar"], []]
    keys = [
        s["__key__"] for own in paths for path in own for s in webdataset_samples(tmp_path / path)
    ]
    assert keys == [
        "000000-000000",
        "000000-000001",
        "000000-000002",
        "000007-000000",
        "000007-000001",
    ]


def test_what_is_returned_describes_the_file(tmp_path):
    (shard,) = shard_writer.write_set(toys.records(2), tmp_path, "s", 2)
    content = (tmp_path / shard.path).read_bytes()
    assert shard.size_bytes == len(content)
    assert shard.sha256 == hashlib.sha256(content).hexdigest()


def test_a_shard_has_its_name_once_it_is_complete(tmp_path):
    def dying():
        yield from toys.records(1)
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="source"):
        shard_writer.write_set(dying(), tmp_path, "s", 2)
    assert list(tmp_path.rglob("*.tar")) == []


def test_a_full_disk_is_named_and_leaves_no_shard(tmp_path):
    with full_disk.room_for(2_000), pytest.raises(OSError, match=r"000000\.tar cannot be written"):
        shard_writer.write_set(toys.records(25), tmp_path, "train/toy", 10)
    assert not list((tmp_path / "train/toy").glob("[0-9]*.tar"))
