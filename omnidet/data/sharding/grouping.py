"""Which sets one machine builds: small ones together, large ones on their own.

A machine that is started for a set of a few hundred pictures takes longer to start than to build.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from omnidet import storage
from omnidet.data import sources
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sharding import build
from omnidet.data.sharding.config import ShardsConfig

PICTURES = 20_000
"""So many pictures are worth a machine of their own."""

SetPart = tuple[str, tuple[int, int]]
"""A set, and which part i of n of it."""


def group(
    data: storage.Location,
    config: ShardsConfig,
    sets: Iterable[str],
    paths: Mapping[str, str] | None = None,
    pictures: int = PICTURES,
) -> list[list[SetPart]]:
    """What each machine builds: every set of the plan, in `config.parts` parts.

    Those that together have at most so many pictures share a machine. The shards are the same
    however they are grouped.

    Args:
        data: folder of the datasets.
        paths: folders of single datasets that are elsewhere, by adapter name.
    """
    enough = -(-pictures * config.parts // config.samples_per_shard)
    sizes: dict[SetPart, float] = {}
    for name in sets:
        pieces = _count_pieces(name, data, config, paths, enough)
        share = pieces * config.samples_per_shard / config.parts
        sizes |= {(name, (i + 1, config.parts)): share for i in range(config.parts)}
    groups: list[list[SetPart]] = []
    room: list[float] = []
    for part, size in sorted(sizes.items(), key=lambda item: -item[1]):  # the largest first
        place = next((i for i, left in enumerate(room) if size <= left), len(groups))
        if place == len(groups):
            groups.append([])
            room.append(pictures)
        groups[place].append(part)
        room[place] -= size
    return groups


def _count_pieces(
    set_name: str,
    data: storage.Location,
    config: ShardsConfig,
    paths: Mapping[str, str] | None,
    most: int,
) -> int:
    """How many pieces a set is cut into, of about `samples_per_shard` pictures each; at most `most`
    are counted. Annotations are read, pictures are not.
    """
    dataset = build.dataset_of(config, set_name)
    root = build.root_of(dataset, data, paths)
    source = sources.by_name(dataset.source)
    pieces = source.pieces(root, dataset.split, Quarantine(), config.samples_per_shard)
    return sum(1 for _ in itertools.islice(pieces, most))
