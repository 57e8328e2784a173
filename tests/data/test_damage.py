"""Damaged input: an error or a quarantined record, never a crash, a hang, or code that runs."""

from __future__ import annotations

import collections
import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnidet.data import shard_writer, shards
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sharding.held_out import perceptual_hash
from omnidet.data.sources import by_name, cc12m, refcocog
from tests import toys
from tests.data.readers import READERS
from tests.data.sources.handmade import WRITERS

BOUNDED = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "repeat", "insert"]),
        st.floats(0, 1),
        st.integers(1, 40),
        st.binary(max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, changes) -> bytes:
    for kind, place, length, some in changes:
        i = int(place * len(content))
        put = {
            "set": some,
            "cut": b"",
            "repeat": content[i : i + length] * 3,
            "insert": some + content[i : i + length],
        }[kind]
        content = content[:i] + put + content[i + (len(some) if kind == "set" else length) :]
    return content


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, tuple[Path, str]]:
    """One dataset of each kind."""
    made = {}
    for name, write in WRITERS.items():
        root = tmp_path_factory.mktemp(name)
        made[name] = (root, write(root)[0])
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_every_file_of_every_dataset(written, name):
    """What is still read is sound, however little it is."""
    root, split = written[name]
    files = sorted(p for p in root.rglob("*") if p.is_file())
    outcomes = collections.Counter()

    @BOUNDED
    @given(which=st.integers(0, len(files) - 1), changes=CHANGES)
    def read(which, changes):
        path = files[which]
        original = path.read_bytes()
        quarantine = Quarantine()
        path.write_bytes(damaged(original, changes))
        started = time.monotonic()
        try:
            for record in by_name(name).read(str(root), split, quarantine):
                cleaned = clean(record, quarantine)
                perceptual_hash(record.image)
                if cleaned is not None:
                    assert (cleaned.boxes_xyxy >= 0).all()
                    assert (cleaned.boxes_xyxy <= [cleaned.width, cleaned.height] * 2).all()
                    outcomes["read"] += 1
        except (ValueError, FileNotFoundError):
            outcomes["refused"] += 1
        finally:
            path.write_bytes(original)
        assert time.monotonic() - started < 10

    read()
    assert outcomes["read"] > 0


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("shards")
    (written,) = shard_writer.write_set(toys.records(4), folder, "train/a", 4)
    return folder, (folder / written.path).read_bytes()


@settings(BOUNDED, max_examples=80)
@given(changes=CHANGES)
def test_a_shard_that_differs_from_the_index_is_refused(shard, changes):
    folder, content = shard
    changed = damaged(content, changes)
    (folder / "b.tar").write_bytes(changed)
    with_index = shards.Shard("b.tar", 4, len(content), hashlib.sha256(content).hexdigest())
    if changed != content:
        with pytest.raises(ValueError, match=r"b\.tar is corrupt"):
            shards.ShardReader(str(folder), with_index)


@settings(BOUNDED, max_examples=150)
@given(changes=CHANGES)
def test_a_shard_that_was_damaged_before_it_was_indexed(shard, changes):
    folder, content = shard
    changed = damaged(content, changes)
    (folder / "b.tar").write_bytes(changed)
    try:
        reader = shards.ShardReader(
            str(folder), shards.Shard("b.tar", 4, len(changed), hashlib.sha256(changed).hexdigest())
        )
        for i in range(4):
            reader.read(i)
            reader.read_texts(i)
    except ValueError:
        return


@pytest.mark.slow
@settings(BOUNDED, max_examples=500)
@given(changes=CHANGES)
def test_pickles(written, tmp_path_factory, changes):
    root = written["refcocog"][0]
    path = tmp_path_factory.getbasetemp() / "refs.p"
    path.write_bytes(damaged((root / "refcocog/refs(umd).p").read_bytes(), changes))
    try:
        assert isinstance(refcocog.load_plain_pickle(path), list)
    except ValueError:
        return


@pytest.mark.parametrize(
    "bomb",
    [b"\x80\x02]r\xff\xff\xff\x7f.", b"(lp2000000000\n.", b"\x80\x05\x96\0\0\0\0\x08\0\0\0."],
)
def test_a_pickle_that_asks_for_all_the_memory(tmp_path, bomb):
    """An index of the memo, or a length, that the file has nothing for."""
    (tmp_path / "refs.p").write_bytes(bomb)
    with pytest.raises(ValueError, match=r"refs\.p is not a pickle"):
        refcocog.load_plain_pickle(tmp_path / "refs.p")


def test_a_pickle_that_would_print_endlessly(tmp_path):
    """A few bytes that contain one another: a message about them must be finite."""
    value = ["x"]
    for _ in range(60):
        value = [value, value]
    (tmp_path / "refcocog").mkdir()
    (tmp_path / "refcocog/refs(umd).p").write_bytes(pickle.dumps([{"ref_id": value}], 2))
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"ref\[0\] .*'ref_id'.* int"):
        refcocog.image_ids(str(tmp_path), "umd/train")
    assert time.monotonic() - started < 20


def test_a_tar_that_climbs_out_of_its_folder_writes_nothing(tmp_path):
    """Members are read in the tar: neither their names nor their links lead anywhere."""
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    with tarfile.open(tmp_path / "data/a.tar", "w") as tar:
        for name, content in (
            ("../../climbed.jpg", toys.png(8, 8, [])),
            ("../../climbed.txt", b"words"),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for kind, name in ((tarfile.SYMTYPE, "b.txt"), (tarfile.LNKTYPE, "b.jpg")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "../secret.txt"
            tar.addfile(member)
    before = sorted(tmp_path.rglob("*"))
    quarantine = Quarantine()
    records = list(cc12m.read(str(tmp_path / "data"), "train", quarantine))
    assert [r.caption for r in records] == ["words"]
    assert sorted(tmp_path.rglob("*")) == before
    assert "secret" not in "".join([*quarantine.lines, *(r.caption for r in records)])


@pytest.mark.slow
def test_no_reader_does_wrong_on_mutated_bytes():
    """A part of `python -m tests.data.mutations --bytes 1000000`, in a process of its own."""
    command = [sys.executable, "-m", "tests.data.mutations", "--bytes", "8000", "--seed", "1"]
    ran = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(" sound") >= len(READERS) - 2
