"""One piece of a dataset -> its shards: read, hold out, clean, write; several pieces at once.

What a worker process is sent is one piece's annotations: no process but the first holds a whole annotation file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omnidet import storage
from omnidet.data import shards
from omnidet.data.reading.annotations import Piece
from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sharding.held_out import HeldOut
from omnidet.data.sharding.parallel import in_order
from omnidet.schema import Record

PIECES = ".pieces"
"""Folder of an unfinished set: what each piece gave."""
PARTS = ".parts"
"""Folder of an unfinished set: what each part of the build gave."""
JPEG_QUALITY = 92
"""Of images that are scaled down."""


@dataclass(frozen=True)
class PieceConfig:
    """What decides over the bytes of a shard besides its input."""

    samples_per_shard: int
    max_side: int | None = None
    decode_images: bool = False


@dataclass(frozen=True)
class Place:
    """What is the same for all pieces of a set."""

    location: str
    """The folder of the set, local or `s3://`."""
    config: PieceConfig
    kept_out: HeldOut | None
    """What training sets may not hold; None for an evaluation set."""
    held_out_digest: str


def build(
    numbered: Iterable[tuple[int, Piece]],
    location: str,
    config: PieceConfig,
    kept_out: HeldOut | None,
    workers: int,
) -> Iterator[dict[str, Any]]:
    """Build the pieces into the folder of their set, `workers` at once (0: one a core), and give what each gave, in order."""
    place = Place(location, config, kept_out, kept_out.digest if kept_out else "")
    return in_order(build_piece, place, numbered, workers)


def build_piece(place: Place, numbered: tuple[int, Piece]) -> dict[str, Any]:
    """Write the shards of one piece unless they stand there, and what it gave to `.pieces/<number>.json`."""
    number, piece = numbered
    location, config = place.location, place.config
    receipt, own_input = (
        storage.join(location, PIECES, f"{number:06d}.json"),
        _fingerprint(place, piece),
    )
    before = _receipt(receipt)
    if (
        before.get("input") == own_input
        and "names" in before
        and all(_is_there(location, shard) for shard in before["shards"])
    ):
        return before
    quarantine, dropped, names = Quarantine(), Counter[str](), Counter[str]()
    records = _counted(_usable(piece, config, place.kept_out, quarantine, dropped), names)
    if storage.is_s3(location):
        with tempfile.TemporaryDirectory(prefix="omnidet-") as temporary:
            written = shards.write_piece(records, Path(temporary), number, config.samples_per_shard)
            for shard in written:
                storage.upload(Path(temporary, shard.path), storage.join(location, shard.path))
    else:
        written = shards.write_piece(records, Path(location), number, config.samples_per_shard)
    content = {
        "number": number,
        "input": own_input,
        "shards": [dataclasses.asdict(shard) for shard in written],
        "held_out": dict(dropped),
        "names": dict(names),
        "quarantine": quarantine.lines,
        "counts": dict(quarantine.counts),
    }
    storage.write_text(receipt, json.dumps(content))
    return content


def _usable(
    piece: Piece,
    config: PieceConfig,
    kept_out: HeldOut | None,
    quarantine: Quarantine,
    dropped: Counter[str],
) -> Iterator[Record]:
    for record in piece(quarantine):
        reason = kept_out.reason(record) if kept_out else None
        if reason:
            dropped[reason] += 1
            continue
        cleaned = clean(record, quarantine, decode=config.decode_images)
        if cleaned is not None:
            yield scaled_down(cleaned, config.max_side) if config.max_side else cleaned


def _counted(records: Iterator[Record], names: Counter[str]) -> Iterator[Record]:
    """The same records; in how many of them each phrase occurs is known when they are through."""
    for record in records:
        names.update(set(record.phrases))
        yield record


def scaled_down(record: Record, max_side: int) -> Record:
    """The record with its longer side at `max_side` pixels; a smaller one is left as it is."""
    longest = max(record.width, record.height)
    if longest <= max_side:
        return record
    width, height = (
        max(1, round(side * max_side / longest)) for side in (record.width, record.height)
    )
    with Image.open(io.BytesIO(record.image)) as image:
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


def _fingerprint(place: Place, piece: Piece) -> str:
    """Hash over all that a piece is made from, but for the images: a rerun with other input does not keep its shards."""
    what = (
        piece.func.__module__,
        piece.func.__qualname__,
        piece.args,
        place.config,
        place.held_out_digest,
    )
    return hashlib.sha256(
        repr((*what, shards.SCHEMA_VERSION)).encode("utf-8", "surrogatepass")
    ).hexdigest()


def _receipt(location: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(storage.read_text(location))
    except (FileNotFoundError, ValueError):
        return {}
    return content


def _is_there(location: str, shard: dict[str, Any]) -> bool:
    return storage.size(storage.join(location, shard["path"])) == int(shard["size_bytes"])
