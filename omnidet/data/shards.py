"""Shard folders: the index, and the Records of a shard.

A shard folder holds `index.json` and sets of shards such as `train/coco/000000.tar`. A shard is a
WebDataset tar that any WebDataset reader opens. A sample is two members, the image as it came and a
`.json` with the rest of the Record. `shard_writer.py` writes the tars.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from omnidet import storage
from omnidet.data.reading import record_json
from omnidet.data.reading.record_json import SCHEMA_VERSION, refused, require
from omnidet.data.shard_cache import ShardCache
from omnidet.schema import Record

MAX_COUNTED_NAMES = 20_000
"""A set with more distinct phrases holds descriptions: V3Det, with most names, has 13,204."""

DEFAULT_CACHE = ShardCache()
_FOLDER = "folder"
"""In the index: which folder it was written for."""

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Shard:
    """One tar of a set."""

    path: str
    """Relative to the index."""
    samples: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The content of a shard folder's `index.json`."""

    location: str
    """The folder, local or `s3://`."""
    dataset_version: str
    """Hash over the hashes of all shards. It names the data in every later artifact."""
    sets: Mapping[str, tuple[Shard, ...]]
    """Shards of each set: `train/coco`, `eval/lvis`, ..."""
    ground_truth: Mapping[str, Mapping[str, Any]]
    """For each evaluation set that has one: `file`, the official annotation file relative to the
    index, and `names`, the words for each category id that the detector is asked for."""
    report: Mapping[str, Any]
    """What the build dropped: quarantined records by reason, held-out images by benchmark."""
    names: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """For each training set: how many images each name occurs in. Missing for a set with more than
    `MAX_COUNTED_NAMES` phrases, and in an index that an earlier version wrote."""

    def shards(self, set_name: str) -> tuple[Shard, ...]:
        """The shards of a set. Raises ValueError that lists the known ones."""
        if set_name not in self.sets:
            raise ValueError(
                f"{self.location} has no set {set_name!r}: "
                f"it holds {', '.join(self.sets) or 'nothing'}"
            )
        return self.sets[set_name]

    def sha256(self, set_name: str) -> str:
        """Hash of a set: of its shards, and of its ground truth if it has one."""
        hashes = [shard.sha256 for shard in self.shards(set_name)]
        if set_name in self.ground_truth:
            hashes.append(str(self.ground_truth[set_name].get("sha256")))
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def write_index(
    folder: storage.Location,
    sets: Mapping[str, tuple[Shard, ...]],
    ground_truth: Mapping[str, Mapping[str, Any]],
    report: Mapping[str, Any],
    names: Mapping[str, Mapping[str, int]] | None = None,
    written_for: str = "",
) -> None:
    """Write `index.json`, which makes the folder a complete shard folder.

    Args:
        written_for: full path of the folder, if it names files elsewhere: where all were moved
            together, they are found from there.
    """
    hashes = [shard.sha256 for name in sorted(sets) for shard in sets[name]]
    hashes += [str(ground_truth[name].get("sha256")) for name in sorted(ground_truth)]
    content = {
        "schema_version": SCHEMA_VERSION,
        "dataset_version": hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        "sets": {
            name: [dataclasses.asdict(shard) for shard in sets[name]] for name in sorted(sets)
        },
        "ground_truth": dict(ground_truth),
        "report": dict(report),
        "names": dict(names or {}),
        **({_FOLDER: written_for} if written_for else {}),
    }
    storage.write_text(
        storage.join(folder, storage.INDEX_NAME),
        json.dumps(content, indent=1, ensure_ascii=False) + "\n",
    )


def read_index(location: storage.Location) -> Index:
    """The index of a shard folder. Raises FileNotFoundError or ValueError with the remedy."""
    path = storage.join(location, storage.INDEX_NAME)
    if not storage.exists(path):
        raise FileNotFoundError(f"{path} does not exist: build the shards with `omnidet shards`")
    with refused(f"{path} is not a shard index", "build the shards again"):
        text = storage.read_text(path)
        content = json.loads(text)
        if "\\ud" in text:  # half a character: JSON can hold it, a file name cannot
            json.dumps(content, ensure_ascii=False).encode()
        version = content["schema_version"]
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {version!r:.40}, this is {SCHEMA_VERSION}: "
            "build the shards again"
        )
    with refused(f"{path} is not a shard index", "build the shards again"):
        sets = {
            name: tuple(_shard(shard) for shard in shards)
            for name, shards in content["sets"].items()
        }
        truths, report, names = content["ground_truth"], content["report"], content.get("names", {})
        written_for = content.get(_FOLDER, "")
        require(isinstance(written_for, str), written_for)
        for truth in truths.values():
            require(
                isinstance(truth["file"], str)
                and all(isinstance(n, str) for n in truth["names"].values()),
                truth,
            )
            require(all(number.lstrip("-").isdecimal() for number in truth["names"]), truth)
        require(
            isinstance(report, dict) and all(isinstance(part, dict) for part in report.values()),
            report,
        )
        require(
            all(isinstance(n, int) and n > 0 for counts in names.values() for n in counts.values()),
            "names",
        )
        require(isinstance(content["dataset_version"], str), content["dataset_version"])
    index = Index(str(location), content["dataset_version"], sets, truths, report, names)
    return _found_again(index, written_for) if written_for else index


def _found_again(index: Index, before: str) -> Index:
    """The index with the files that it names elsewhere, where they were moved together with it.

    Args:
        before: the folder that it was written for.
    """
    now = str(Path(index.location).resolve())
    if storage.is_s3(index.location) or now == before:
        return index

    def place(path: str) -> str:
        moved = Path(os.path.normpath(f"{now}/{os.path.relpath(path, before)}"))
        return str(moved) if not Path(path).exists() and moved.exists() else path

    sets = {
        name: tuple(dataclasses.replace(shard, path=place(shard.path)) for shard in shards)
        for name, shards in index.sets.items()
    }
    truths = {name: {**t, "file": place(t["file"])} for name, t in index.ground_truth.items()}
    return dataclasses.replace(index, sets=sets, ground_truth=truths)


def _shard(entry: Any) -> Shard:
    """An entry of the index, checked: its hash becomes the name of a file in the cache."""
    shard = Shard(**entry)
    counts = (
        isinstance(shard.samples, int)
        and isinstance(shard.size_bytes, int)
        and min(shard.samples, shard.size_bytes) >= 0
    )
    require(counts and isinstance(shard.path, str) and bool(_SHA256.fullmatch(shard.sha256)), entry)
    return shard


def combine(out: storage.Location, indexes: Sequence[Index]) -> Index:
    """Write one index over the sets of several shard folders, which stay where they are.

    A set replaces that of the same name in an earlier folder.
    """
    sets: dict[str, tuple[Shard, ...]] = {}
    truths: dict[str, Mapping[str, Any]] = {}
    names: dict[str, Mapping[str, int]] = {}
    for index in indexes:
        location = (
            index.location if storage.is_s3(index.location) else str(Path(index.location).resolve())
        )
        for name, shards in index.sets.items():
            sets[name] = tuple(
                dataclasses.replace(s, path=storage.join(location, s.path)) for s in shards
            )
            truths.pop(name, None)
            names.pop(name, None)
        for name, truth in index.ground_truth.items():
            truths[name] = {**truth, "file": storage.join(location, truth["file"])}
        names.update(index.names)
    report = {key: {} for key in ("held_out", "quarantined")} | dict(indexes[-1].report)
    folder = "" if storage.is_s3(out) else str(Path(out).resolve())
    with storage.staged_directory(out) as stage:
        write_index(stage, sets, truths, report, names, folder)
    return read_index(out)


def records(index: Index, set_name: str) -> Iterator[Record]:
    """All records of a set, in order."""
    for shard in index.shards(set_name):
        reader = open_shard(index.location, shard)
        for i in range(shard.samples):
            yield reader.read(i)


def texts(index: Index, set_name: str) -> Iterator[Record]:
    """All records of a set without their images, for passes over the words."""
    for shard in index.shards(set_name):
        reader = open_shard(index.location, shard)
        for i in range(shard.samples):
            yield reader.read_texts(i)


class ShardReader:
    """Random access to the samples of one shard."""

    def __init__(self, location: str, shard: Shard, cache: ShardCache = DEFAULT_CACHE) -> None:
        """Check the shard against the index and find its samples.

        Raises FileNotFoundError or ValueError, naming the shard.
        """
        self.name, self.shard, self.cache = storage.join(location, shard.path), shard, cache
        self.is_remote = storage.is_s3(location)
        if self.is_remote:
            self.table = cache.table(self.name, shard.size_bytes, shard.sha256)
        else:
            self.path = Path(self.name)
            if not self.path.exists():
                raise self._missing()
            self.table = cache.checked(self.path, self.name, shard.size_bytes, shard.sha256)
        if len(self.table) != shard.samples:
            raise ValueError(
                f"{self.name} holds {len(self.table)} samples, the index says {shard.samples}: "
                "build it again"
            )

    def read(self, i: int) -> Record:
        """Sample `i` of the shard."""
        text, text_length, image, image_length = self.table[i].tolist()
        first, last = min(text, image), max(text + text_length, image + image_length)
        with self._open() as file:  # the two are adjacent: one read
            both = memoryview(_at(file, first, last - first))
        return record_json.decode(
            bytes(both[text - first :][:text_length]),
            bytes(both[image - first :][:image_length]),
            self.name,
        )

    def read_texts(self, i: int) -> Record:
        """Sample `i` without its image, for passes over the words."""
        with self._open() as file:
            return record_json.decode(_at(file, *self.table[i, :2].tolist()), b"", self.name)

    def _open(self) -> BinaryIO:
        if self.is_remote:  # the cache may have removed it since
            return self.cache.open(self.name, self.shard.size_bytes, self.shard.sha256)
        try:
            return self.path.open("rb", buffering=0)
        except FileNotFoundError:  # it was there when the shard was checked
            raise self._missing() from None

    def _missing(self) -> FileNotFoundError:
        return FileNotFoundError(
            f"{self.name} does not exist though the index names it: put it back where it was, or "
            "build the shards again"
        )


@functools.lru_cache(maxsize=1024)
def open_shard(location: str, shard: Shard, cache: ShardCache = DEFAULT_CACHE) -> ShardReader:
    """A reader whose shard is checked once per process."""
    return ShardReader(location, shard, cache)


def _at(file: Any, offset: int, length: int) -> bytes:
    file.seek(offset)
    content: bytes = file.read(length)
    return content


def num_samples(shards: Iterable[Shard]) -> int:
    """Total number of samples."""
    return sum(shard.samples for shard in shards)
