"""Near copies are found, different pictures are not, and flat ones never count as copies."""

from __future__ import annotations

import random

from omnidet.data.reading.perceptual_hash import MAX_DISTANCE, NearCopies


def flipped(value: int, count: int, draw: random.Random) -> int:
    for bit in draw.sample(range(64), count):
        value ^= 1 << bit
    return value


def test_copies_within_three_bits_are_found_and_no_others():
    draw = random.Random(0)
    values = [draw.getrandbits(64) for _ in range(2000)]
    copies = NearCopies()
    assert all(copies.add(value) for value in values)
    for count in range(MAX_DISTANCE + 1):
        assert not any(copies.add(flipped(value, count, draw)) for value in values)
    assert all(copies.add(flipped(value, 8, draw)) for value in values[:200])


def test_flat_pictures_are_all_new():
    copies = NearCopies()
    assert all(copies.add(value) for value in (0, 0, 1, 3, (1 << 64) - 1, (1 << 64) - 1))
