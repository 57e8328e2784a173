"""Shards: the same bytes twice, open to any WebDataset reader, and complete or refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnidet.data import shard_writer, shards
from omnidet.data.reading import record_json
from omnidet.schema import Record
from tests.data.sources.handmade import jpeg


def make(i, **more):
    fields = {
        "boxes_xyxy": np.array([[i, 0.1, i + 2.7, 9]], np.float32),
        "phrases": (f"thing {i}", "Ding ü"),
        "phrase_boxes": ((0,), (0,)),
        "absent": ("cow", "hot dog"),
        "not_exhaustive": ("Ding ü",),
        "caption": f"Number {i}. 红色 🙂",
    }
    return Record(jpeg(i), 40, 30, "toy", f"toy:{i}", **(fields | more))


def write(folder: Path, count=7, per_shard=3, name="train/toy") -> shards.Index:
    written = shard_writer.write_set((make(i) for i in range(count)), folder, name, per_shard)
    shards.write_index(folder, {name: written}, {}, {"held_out": {}})
    return shards.read_index(str(folder))


def assert_same(one: Record, other: Record) -> None:
    for field in dataclasses.fields(Record):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "boxes_xyxy":
            assert a.dtype == b.dtype == np.float32
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()
        else:
            assert a == b
            assert type(a) is type(b)


# Writing


def test_built_twice_the_bytes_are_the_same(tmp_path):
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    files = sorted(
        p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()
    )
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert first.dataset_version == second.dataset_version
    assert write(tmp_path / "c", count=6).dataset_version != first.dataset_version


def test_index_says_what_is_there(tmp_path):
    index = write(tmp_path)
    members = index.shards("train/toy")
    assert [m.path for m in members] == [f"train/toy/{i:06d}.tar" for i in range(3)]
    assert [m.samples for m in members] == [3, 3, 1]
    assert shards.num_samples(members) == 7
    assert [m.size_bytes for m in members] == [(tmp_path / m.path).stat().st_size for m in members]
    assert index.report == {"held_out": {}}
    with pytest.raises(ValueError, match=f"{tmp_path} .*'train/other'.* train/toy"):
        index.shards("train/other")


# Reading


def test_records_there_and_back(tmp_path):
    index = write(tmp_path)
    for i, (record, texts) in enumerate(
        zip(shards.records(index, "train/toy"), shards.texts(index, "train/toy"), strict=True)
    ):
        assert_same(record, make(i))
        assert_same(texts, dataclasses.replace(make(i), image=b""))
    assert i == 6


def test_samples_are_read_in_any_order(tmp_path):
    index = write(tmp_path)
    reader = shards.ShardReader(index.location, index.shards("train/toy")[1])
    for i in (2, 0, 1, 0):
        assert_same(reader.read(i), make(3 + i))


words = st.text(max_size=20)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def any_record(draw):
    boxes = draw(st.lists(st.lists(floats, min_size=4, max_size=4), max_size=4))
    phrases = tuple(draw(st.lists(words, max_size=4)))
    indices = (
        st.lists(st.integers(0, len(boxes) - 1), max_size=3).map(tuple) if boxes else st.just(())
    )
    return Record(
        image=draw(st.binary(min_size=1, max_size=600)),
        width=draw(st.integers(1, 10_000)),
        height=draw(st.integers(1, 10_000)),
        source=draw(words),
        image_id=draw(words),
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        phrases=phrases,
        phrase_boxes=tuple(draw(indices) for _ in phrases),
        absent=tuple(draw(st.lists(words, max_size=3))),
        not_exhaustive=tuple(draw(st.lists(words, max_size=3))),
        caption=draw(words),
    )


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(any_record(), min_size=1, max_size=3))
def test_any_record_there_and_back_exactly(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("any")
    (member,) = shard_writer.write_set(made, folder, "s", 10)
    reader = shards.ShardReader(str(folder), member)
    for i, record in enumerate(made):
        assert_same(reader.read(i), record)


# Refusing


def flip_byte(path, _):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path, _):
    path.write_bytes(path.read_bytes()[:-512])


def lengthen(path, _):
    path.write_bytes(path.read_bytes() + b"\0" * 512)


def empty(path, _):
    path.write_bytes(b"")


def exchange(path, index):
    path.write_bytes(Path(index.location, index.shards("train/toy")[0].path).read_bytes())


@pytest.mark.parametrize("damage", [flip_byte, cut, lengthen, empty, exchange])
def test_corrupt_shard_is_named(tmp_path, damage):
    index = write(tmp_path)
    damage(tmp_path / "train/toy/000001.tar", index)
    reading = shards.records(index, "train/toy")
    assert [next(reading).image_id for _ in range(3)] == ["toy:0", "toy:1", "toy:2"], (
        "the shard before it is sound"
    )
    with pytest.raises(ValueError, match=r"train/toy/000001\.tar is corrupt") as caught:
        next(reading)
    assert "\n" not in str(caught.value)


def test_missing_shard_is_named(tmp_path):
    index = write(tmp_path)
    (tmp_path / "train/toy/000002.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"train/toy/000002\.tar") as caught:
        list(shards.texts(index, "train/toy"))
    assert "\n" not in str(caught.value)


def test_a_shard_that_goes_while_it_is_read_is_named(tmp_path):
    index = write(tmp_path)
    reader = shards.ShardReader(index.location, index.shards("train/toy")[2])
    (tmp_path / "train/toy/000002.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"train/toy/000002\.tar"):
        reader.read(0)


@pytest.mark.parametrize("samples", [2, 4])
def test_another_count_is_named(tmp_path, samples):
    member = write(tmp_path).shards("train/toy")[0]
    with pytest.raises(ValueError, match=rf"000000\.tar .*3 samples.* {samples}:"):
        shards.ShardReader(str(tmp_path), dataclasses.replace(member, samples=samples))


def change_index(folder, **changes):
    content = json.loads((folder / "index.json").read_text()) | changes
    (folder / "index.json").write_text(
        json.dumps({k: v for k, v in content.items() if v is not None})
    )


def test_other_schema_version_of_the_index_is_refused(tmp_path):
    write(tmp_path)
    change_index(tmp_path, schema_version=99)
    with pytest.raises(ValueError, match=r"index\.json .*99.* 1:"):
        shards.read_index(str(tmp_path))


def test_a_sample_of_another_schema_version_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(record_json, "SCHEMA_VERSION", 2)
        members = shard_writer.write_set([make(5)], tmp_path, "s", 1)
    with pytest.raises(ValueError, match=r"000000\.tar: sample toy:5 "):
        shards.ShardReader(str(tmp_path), members[0]).read(0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b'{"schema_version": 1}',
        b"\xff\xfe",
        b'{"schema_version": 1, "sets": {"a": [{}]}}',
    ],
)
def test_what_is_not_an_index_is_refused(tmp_path, content):
    (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"index\.json is not a shard index"):
        shards.read_index(str(tmp_path))


def test_missing_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/index\.json .*`omnidet shards`"):
        shards.read_index(str(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "../../../out"},  # the name of a file in the cache
        {"sha256": None},
        {"samples": "3"},
        {"size_bytes": -1},
        {"path": ["a"]},
        {"path": "\ud800"},
    ],
)
def test_an_index_with_another_kind_of_entry_is_refused(tmp_path, change):
    written = shard_writer.write_set([make(0)], tmp_path, "s", 1)
    shards.write_index(tmp_path, {"s": written}, {}, {})
    content = json.loads((tmp_path / "index.json").read_text())
    content["sets"]["s"][0].update(change)
    (tmp_path / "index.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"index\.json is not a shard index"):
        shards.read_index(str(tmp_path))


def test_a_damaged_sample_is_refused_with_the_name_of_its_shard(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(record_json, "encode", lambda _: b"{}")
        (member,) = shard_writer.write_set([make(1)], tmp_path, "s", 1)
    with pytest.raises(ValueError, match=r"s/000000\.tar: "):
        shards.ShardReader(str(tmp_path), member).read(0)


# Combining


def test_an_index_over_several_folders(tmp_path):
    """A later folder replaces a set of the same name, with its ground truth and counts."""
    first, second = tmp_path / "first", tmp_path / "second"
    sets = {name: shard_writer.write_set([make(i)], first, name, 1) for i, name in enumerate("ab")}
    truth = {"file": "a/ground_truth.json", "names": {"1": "cat"}}
    shards.write_index(first, sets, {"a": truth}, {}, {"a": {"cat": 1}, "b": {"dog": 2}})
    shards.write_index(second, {"a": shard_writer.write_set([make(7)], second, "a", 1)}, {}, {})
    indexes = [shards.read_index(str(folder)) for folder in (first, second)]
    combined = shards.combine(tmp_path / "out", indexes)
    assert [r.image_id for r in shards.records(combined, "a")] == ["toy:7"]
    assert [r.image_id for r in shards.records(combined, "b")] == ["toy:1"]
    assert combined.ground_truth == {}
    assert combined.names == {"b": {"dog": 2}}
    other = shards.combine(tmp_path / "other", indexes[::-1])
    assert other.ground_truth["a"]["file"] == f"{first}/a/ground_truth.json"
    assert [r.image_id for r in shards.records(other, "a")] == ["toy:0"]


def test_folders_that_are_moved_together_are_found(tmp_path):
    """An index over several folders names them by full paths: a project may be moved or renamed."""
    made, before, after = make(0), tmp_path / "before", tmp_path / "after"
    written = {"train/a": shard_writer.write_set([made], before / "one", "train/a", 1)}
    (before / "one/truth.json").write_text("{}")
    truths = {"train/a": {"file": "truth.json", "names": {}}}
    shards.write_index(before / "one", written, truths, {})
    both = shards.combine(before / "runs/both", [shards.read_index(before / "one")])
    before.rename(after)
    index = shards.read_index(after / "runs/both")
    assert index.dataset_version == both.dataset_version
    assert [r.image_id for r in shards.records(index, "train/a")] == [made.image_id]
    assert index.ground_truth["train/a"]["file"] == str(after / "one/truth.json")
    (after / "runs/both").rename(tmp_path / "alone")  # what it names stays where it was built
    after.rename(before)
    alone = shards.read_index(tmp_path / "alone")
    assert [r.image_id for r in shards.records(alone, "train/a")] == [made.image_id]
