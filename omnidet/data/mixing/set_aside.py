"""Training pictures that are not trained on: what scores mean is fitted on them afterwards.

They are chosen by a hash of their id, so a picture is set aside in every set that has it, and a
later training with the same share sets the same ones aside. Nothing is read for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from omnidet.data import shards
from omnidet.data.mixing.config import Stream
from omnidet.schema import Record

MOST_SHARE = 0.05
LEAST_PICTURES = 60
"""Smaller sets have none to spare."""
LEAST_BOXES = 30
"""Fewer boxes say too little about scores: nothing is fitted, so nothing is set aside for it."""


@dataclass(frozen=True)
class SetAside:
    """Which pictures are kept from training."""

    share: float = 0.0
    """Of all pictures."""

    def __contains__(self, image_id: str) -> bool:
        if not self.share:
            return False
        digest = hashlib.sha256(image_id.encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * 2.0**64


def set_aside(index: shards.Index, streams: Sequence[Stream], most: int) -> SetAside:
    """Which pictures to set aside, so that about `most` of the largest set with boxes are.

    The share is the same for all sets: a twentieth at most, and none if all sets are small, or if
    it would hold too few boxes.
    """
    names = _sets(streams)
    sizes = [shards.num_samples(index.shards(name)) for name in names]
    shares = [min(MOST_SHARE, most / size) for size in sizes if size >= LEAST_PICTURES]
    share = min(shares, default=0.0)
    counted = all(name in index.names for name in names)  # a box at least, for each name in each
    boxes = sum(sum(index.names.get(name, {}).values()) for name in names)
    return SetAside() if counted and share * boxes < LEAST_BOXES else SetAside(share)


def records(
    index: shards.Index, streams: Sequence[Stream], aside: SetAside, most: int
) -> Iterator[Record]:
    """The pictures that were set aside, at most so many of each set with boxes."""
    for name in _sets(streams) if aside.share else ():
        left = most
        for shard in index.shards(name):
            reader = shards.open_shard(index.location, shard)
            for i in range(shard.samples):
                if left and reader.read_texts(i).image_id in aside:
                    left -= 1
                    yield reader.read(i)
            if not left:
                break


def _sets(streams: Sequence[Stream]) -> list[str]:
    return list(dict.fromkeys(name for s in streams if s.boxes for name in s.sets))
