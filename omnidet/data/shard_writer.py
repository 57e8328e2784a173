"""Record -> tar: WebDataset shards that any WebDataset reader opens.

Built twice from the same input, the bytes are the same: keys are in order, and members carry
neither time nor owner.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from omnidet import storage
from omnidet.data.reading import record_json
from omnidet.data.shards import Shard
from omnidet.schema import Record

_BUFFER_BYTES = 1 << 20
_MAGIC = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif", b"BM": "bmp"}


def write_set(
    records: Iterable[Record], folder: Path, name: str, samples_per_shard: int
) -> tuple[Shard, ...]:
    """Write the records in their order as `folder/name/000000.tar`, ...; `name` may be empty.

    Returns what was written, with paths relative to `folder`.
    """
    numbered = zip(itertools.count(), records, strict=False)
    keyed = ((f"{i:09d}", record) for i, record in numbered)
    paths = (f"{name}/{number:06d}.tar".lstrip("/") for number in itertools.count())
    return _write_shards(keyed, folder, paths, samples_per_shard)


def write_piece(
    records: Iterable[Record], folder: Path, number: int, samples_per_shard: int
) -> tuple[Shard, ...]:
    """Write the records of one piece of a set as `folder/<number>.tar`, `<number>_001.tar`, ...

    Keys begin with the number of the piece: they are unique in the set although pieces are written
    independently. Without records no file is written.
    """
    keyed = ((f"{number:06d}-{i:06d}", record) for i, record in enumerate(records))
    paths = (f"{number:06d}_{i:03d}.tar" if i else f"{number:06d}.tar" for i in itertools.count())
    return _write_shards(keyed, folder, paths, samples_per_shard)


def _write_shards(
    keyed: Iterable[tuple[str, Record]], folder: Path, paths: Iterator[str], samples_per_shard: int
) -> tuple[Shard, ...]:
    shards, left = [], iter(keyed)
    for first in left:
        chosen = itertools.chain([first], itertools.islice(left, samples_per_shard - 1))
        shards.append(_write_shard(chosen, folder, next(paths)))
    return tuple(shards)


def _write_shard(keyed: Iterable[tuple[str, Record]], folder: Path, path: str) -> Shard:
    """Write one tar record by record; it gets its name once it is complete.

    Only one record is in memory at a time.
    """
    from webdataset import TarWriter  # the package imports torch

    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    count = 0
    with storage.naming(target), part.open("wb", buffering=_BUFFER_BYTES) as file:
        hashed = _Hashed(file)
        with TarWriter(hashed, user="omnidet", group="omnidet", mtime=0, encoder=False) as tar:
            for key, record in keyed:
                image, annotation = record.image, record_json.encode(record)
                tar.write({"__key__": key, _suffix(image): image, "json": annotation})
                count += 1
    part.replace(target)
    return Shard(path, count, hashed.size, hashed.digest.hexdigest())


class _Hashed:
    """A file for the tar writer, hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        self.size += len(content)
        return self.file.write(content)


def _suffix(image: bytes) -> str:
    """Name suffix for an encoded image."""
    for magic, suffix in _MAGIC.items():
        if image.startswith(magic):
            return suffix
    return "bin"
