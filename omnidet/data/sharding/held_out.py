"""Evaluation images, which no training shard may hold.

Rule 2 of the data: COCO train2017 and LVIS train hold validation and test images of RefCOCOg, 15,000 LVIS validation images
are COCO train2017's, and lists from the web hold near copies of COCO and Flickr30K. One set of held-out ids (train2014 and
train2017 share theirs) and a perceptual hash for web images are applied to every stream, and what is dropped is counted by
benchmark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnidet.data import shards
from omnidet.data.reading.annotations import Piece
from omnidet.data.reading.perceptual_hash import MAX_DISTANCE, perceptual_hash
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sharding.parallel import in_order
from omnidet.data.sources import by_name
from omnidet.schema import Record

CURATED = ("coco:", "flickr30k:")
"""Collections whose ids tell for sure which picture it is."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What no training shard may hold."""

    benchmarks: Mapping[str, str]
    """Image id -> the first benchmark that holds it, as `refcocog umd/test`."""
    hashes: npt.NDArray[np.uint64]
    """(n,) perceptual hashes of evaluation images."""
    hash_ids: tuple[str, ...]
    """The image id of each hash."""

    @property
    def image_ids(self) -> frozenset[str]:
        """Ids of every held-out image."""
        return frozenset(self.benchmarks)

    @property
    def digest(self) -> str:
        """Hash over all of it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """For a file that other machines read."""
        return json.dumps(
            {
                "benchmarks": dict(self.benchmarks),
                "hashes": dict(zip(self.hash_ids, self.hashes.tolist(), strict=True)),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> HeldOut:
        """What `to_json` wrote."""
        content = json.loads(text)
        return cls(
            content["benchmarks"],
            np.array(list(content["hashes"].values()), np.uint64),
            tuple(content["hashes"]),
        )

    def reason(self, record: Record) -> str | None:
        """The benchmark that holds the record's image, "near copy of <benchmark>" for a web image, or None.

        An image of several benchmarks counts for the first, so the counts of the reasons add up to what was dropped.
        """
        if record.image_id in self.benchmarks:
            return self.benchmarks[record.image_id]
        if record.image_id.startswith(CURATED) or not len(self.hashes):
            return None
        own = perceptual_hash(record.image)
        if own is None:
            return None
        distances = np.bitwise_count(self.hashes ^ own)
        nearest = int(distances.argmin())
        return (
            f"near copy of {self.benchmarks[self.hash_ids[nearest]]}"
            if distances[nearest] <= MAX_DISTANCE
            else None
        )


def collect(
    evaluations: Iterable[tuple[str, str, str]], hash_images: bool = True, workers: int = 1
) -> HeldOut:
    """The held-out images of (source name, root, split) entries, in the order in which reasons name them.

    `hash_images` reads every evaluation image once, in `workers` processes (0: one a core); without it only ids are compared.
    What the adapters refuse of an
    evaluation set is noted where the set is evaluated, not here.
    """
    benchmarks: dict[str, str] = {}
    hashes: dict[str, np.uint64] = {}
    for name, root, split in evaluations:
        source = by_name(name)
        for image_id in sorted(source.image_ids(root, split)):
            benchmarks.setdefault(image_id, f"{name} {split}")
        pieces = source.pieces(root, split, Quarantine()) if hash_images else ()
        for found in in_order(_hashes, None, pieces, workers):
            hashes = {**found, **hashes}
    return HeldOut(benchmarks, np.array(list(hashes.values()), np.uint64), tuple(hashes))


def _hashes(_: None, piece: Piece) -> dict[str, np.uint64]:
    """The hash of each image of a piece by its id."""
    found = ((record.image_id, perceptual_hash(record.image)) for record in piece(Quarantine()))
    return {image_id: own for image_id, own in found if own is not None}


def trained_on(index: shards.Index, training_sets: Iterable[str], evaluation_set: str) -> list[str]:
    """Ids of an evaluation set's images that stand in training sets too; a folder that `build` wrote has none.

    Reads the words of every training set of a collection whose ids tell which picture it is; others cannot be compared by id.
    """
    held = {record.image_id for record in shards.texts(index, evaluation_set)}
    found: set[str] = set()
    for name in training_sets:
        for record in shards.texts(index, name):
            if not record.image_id.startswith(CURATED):
                break
            found |= {record.image_id} & held
    return sorted(found)
