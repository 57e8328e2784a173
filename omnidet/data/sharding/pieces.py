"""One piece of a dataset -> its shards: read, hold out, clean, write; several pieces at once.

A worker process is sent the annotations of one piece: only the first process holds a whole
annotation file.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omnidet import storage
from omnidet.data import shard_writer
from omnidet.data.reading import picture_files
from omnidet.data.reading.annotations import Piece
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.reading.record_json import SCHEMA_VERSION
from omnidet.data.sharding.held_out import HeldOut
from omnidet.data.sharding.parallel import in_order
from omnidet.schema import Record

PIECES = ".pieces"
"""Folder of an unfinished set, with one receipt per piece."""
PARTS = ".parts"
"""Folder of an unfinished set, with one file per part of the build."""
JPEG_QUALITY = 92
"""JPEG quality of images that are scaled down."""


@dataclass(frozen=True)
class PieceConfig:
    """What determines the bytes of a shard besides its input."""

    samples_per_shard: int
    max_side: int | None = None
    decode_images: bool = False


@dataclass(frozen=True)
class SetToBuild:
    """What all pieces of a set have in common."""

    location: str
    """Folder of the set, local or `s3://`."""
    source: str
    """Name of the dataset."""
    config: PieceConfig
    kept_out: HeldOut | None
    """What a training set may not hold; None for an evaluation set."""
    is_mended: bool = False
    """Whether an earlier build was refused for its data, which may have been corrected since."""

    @functools.cached_property
    def held_out_digest(self) -> str:
        """Hash over what is held out."""
        return self.kept_out.digest if self.kept_out else ""


def build(
    numbered: Iterable[tuple[int, Piece]], wanted: SetToBuild, workers: int
) -> Iterator[dict[str, Any]]:
    """Build the pieces, `workers` at once (0: one per core). Yields their receipts, in order."""
    return in_order(build_piece, wanted, numbered, workers)


def build_piece(wanted: SetToBuild, numbered: tuple[int, Piece]) -> dict[str, Any]:
    """Write the shards of one piece unless they are there, and its receipt, which is returned."""
    number, piece = numbered
    location, config = wanted.location, wanted.config
    path = storage.join(location, PIECES, f"{number:06d}.json")
    own_input, before = fingerprint(wanted, piece), _read_receipt(path)
    is_same = before.get("input") == own_input and not (wanted.is_mended and before["counts"])
    if is_same and all(_is_there(location, shard) for shard in before["shards"]):
        return before
    quarantine, dropped, names = Quarantine(), Counter[str](), Counter[str]()
    records = _counted(_usable(piece, wanted, quarantine, dropped), names)
    if storage.is_s3(location):
        with tempfile.TemporaryDirectory(prefix="omnidet-") as temporary:
            written = shard_writer.write_piece(
                records, Path(temporary), number, config.samples_per_shard
            )
            for shard in written:
                storage.upload(Path(temporary, shard.path), storage.join(location, shard.path))
    else:
        written = shard_writer.write_piece(
            records, Path(location), number, config.samples_per_shard
        )
    receipt = {
        "number": number,
        "input": own_input,
        "shards": [dataclasses.asdict(shard) for shard in written],
        "held_out": dict(dropped),
        "names": dict(names),
        "quarantine": quarantine.lines,
        "counts": dict(quarantine.counts),
    }
    storage.write_text(path, json.dumps(receipt))
    return receipt


def fingerprint(wanted: SetToBuild, piece: Piece) -> str:
    """Hash over all that a piece is made from, except the images themselves.

    After a change of input, a rerun does not keep the shards. The dataset and what is read of it
    count; the modules, functions and classes that do the reading do not, so that moving or renaming
    them does not rebuild a set that is half done.
    """
    what = (
        wanted.source,
        _plain(piece.args),
        _plain(piece.keywords),
        _plain(wanted.config),
        wanted.held_out_digest,
        SCHEMA_VERSION,
    )
    return hashlib.sha256(repr(what).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    """The value as lists, pairs and scalars, without the names of its classes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.compare]
    if isinstance(value, Mapping):
        return [(_plain(key), _plain(own)) for key, own in value.items()]
    if isinstance(value, frozenset | set):
        return sorted(map(_plain, value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(own) for own in value]
    return value


def _usable(
    piece: Piece, wanted: SetToBuild, quarantine: Quarantine, dropped: Counter[str]
) -> Iterator[Record]:
    """The records that go into shards; what is held out is counted in `dropped`, by reason."""
    for record in piece(quarantine):
        reason = wanted.kept_out.reason(record) if wanted.kept_out else None
        if reason:
            dropped[reason] += 1
            continue
        cleaned = clean(record, quarantine, decode=wanted.config.decode_images)
        if cleaned is not None:
            max_side = wanted.config.max_side
            yield scaled_down(cleaned, max_side) if max_side else cleaned


def _counted(records: Iterator[Record], names: Counter[str]) -> Iterator[Record]:
    """The same records. `names` then says how many of them each phrase occurs in."""
    for record in records:
        names.update(set(record.phrases))
        yield record


def scaled_down(record: Record, max_side: int) -> Record:
    """The record with its longer side at `max_side` pixels; a smaller one is returned as it is."""
    longest = max(record.width, record.height)
    if longest <= max_side:
        return record
    width, height = (
        max(1, round(side * max_side / longest)) for side in (record.width, record.height)
    )
    with picture_files.opened(record.image) as image:
        image.draft("RGB", (width, height))
        smaller = image.convert("RGB").resize(
            (width, height), Image.Resampling.BICUBIC, reducing_gap=3.0
        )
    out = io.BytesIO()
    smaller.save(out, "JPEG", quality=JPEG_QUALITY)
    scale = np.array([width / record.width, height / record.height] * 2)
    boxes = (record.boxes_xyxy.astype(np.float64) * scale).astype(np.float32)
    return dataclasses.replace(
        record, image=out.getvalue(), width=width, height=height, boxes_xyxy=boxes
    )


def _read_receipt(path: str) -> dict[str, Any]:
    """What an earlier build of the piece wrote; empty if nothing, or if it cannot be read."""
    try:
        content: dict[str, Any] = json.loads(storage.read_text(path))
    except (FileNotFoundError, ValueError):
        return {}
    return content


def _is_there(location: str, shard: dict[str, Any]) -> bool:
    return storage.size(storage.join(location, shard["path"])) == int(shard["size_bytes"])
