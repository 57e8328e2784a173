"""Evaluation images, which no training shard may hold.

Datasets overlap: COCO train2017 and LVIS train hold validation and test images of RefCOCOg, 15,000
LVIS validation images are COCO train2017's, and lists from the web hold near copies of COCO and
Flickr30K. One set of held-out ids, shared by all datasets of a collection, and a perceptual hash
for web images are applied to every stream. What is dropped is counted by benchmark.
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
from omnidet.data.sources import by_name, is_curated
from omnidet.schema import Record


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What no training shard may hold."""

    benchmarks: Mapping[str, str]
    """Image id -> the first benchmark that holds it, such as `refcocog umd/test`."""
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
        """Hash over everything held out."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """As text, for a file that other machines read."""
        return json.dumps(
            {
                "benchmarks": dict(self.benchmarks),
                "hashes": dict(zip(self.hash_ids, self.hashes.tolist(), strict=True)),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> HeldOut:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        return cls(
            content["benchmarks"],
            np.array(list(content["hashes"].values()), np.uint64),
            tuple(content["hashes"]),
        )

    def union(self, other: HeldOut) -> HeldOut:
        """Both; an image of both counts for this one's benchmark."""
        return HeldOut(
            {**other.benchmarks, **self.benchmarks},
            np.concatenate([self.hashes, other.hashes]),
            (*self.hash_ids, *other.hash_ids),
        )

    def reason(self, record: Record) -> str | None:
        """The benchmark that holds the record's image, or None; for a web image a near copy counts.

        An image of several benchmarks counts for the first: the counts add up to what was dropped.
        """
        if record.image_id in self.benchmarks:
            return self.benchmarks[record.image_id]
        if is_curated(record.image_id) or not len(self.hashes):
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
    """The held-out images of (source name, root, split) entries; the first entry counts first.

    What the adapters refuse of an evaluation set is noted when its shards are built, not here.

    Args:
        evaluations: what is evaluated on.
        hash_images: whether every evaluation image is read once; without it, only ids are compared.
        workers: number of processes that read; 0 for one per core.
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
    """Image id -> hash, for each image of a piece that can be read."""
    found = ((record.image_id, perceptual_hash(record.image)) for record in piece(Quarantine()))
    return {image_id: own for image_id, own in found if own is not None}


def trained_on(
    training: shards.Index,
    training_sets: Iterable[str],
    evaluation: shards.Index,
    evaluation_set: str,
) -> list[str]:
    """Ids of an evaluation set's images that are in training sets too.

    In a folder that `build` wrote there are none. Only curated training sets are read, and only
    their texts: images of the web cannot be compared by id.
    """
    held = {record.image_id for record in shards.texts(evaluation, evaluation_set)}
    found: set[str] = set()
    for name in training_sets:
        for record in shards.texts(training, name):
            if not is_curated(record.image_id):
                break
            found |= {record.image_id} & held
    return sorted(found)
