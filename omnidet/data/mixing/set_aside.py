"""Training pictures that are not trained on: what scores mean is fitted on them afterwards.

They are chosen by a hash of their id, so a picture is set aside in every set that has it, and a
later training with the same share sets the same ones aside. Nothing is read for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from omnidet.counted import counted
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
    sizes = _sizes(index, streams)
    shares = [min(MOST_SHARE, most / size) for size in sizes if size >= LEAST_PICTURES]
    share = min(shares, default=0.0)
    boxes = _boxes(index, streams)
    return SetAside() if boxes is not None and share * boxes < LEAST_BOXES else SetAside(share)


def why_none(index: shards.Index, streams: Sequence[Stream]) -> str:
    """Why no pictures are set aside where they are asked for: there are too few. For people."""
    boxes = _boxes(index, streams)
    names = "" if boxes is None else f" with {counted(boxes, 'name')} to find in them"
    return (
        f"{counted(sum(_sizes(index, streams)), 'training picture')}{names} are too few to set "
        f"some aside ({LEAST_PICTURES} with {LEAST_BOXES / MOST_SHARE:.0f} would do)"
    )


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


def _sizes(index: shards.Index, streams: Sequence[Stream]) -> list[int]:
    return [shards.num_samples(index.shards(name)) for name in _sets(streams)]


def _boxes(index: shards.Index, streams: Sequence[Stream]) -> int | None:
    """How many there are at least: one for each name in each picture; None if not counted."""
    names = _sets(streams)
    if not all(name in index.names for name in names):
        return None
    return sum(sum(index.names[name].values()) for name in names)


def _sets(streams: Sequence[Stream]) -> list[str]:
    return list(dict.fromkeys(name for s in streams if s.boxes for name in s.sets))
