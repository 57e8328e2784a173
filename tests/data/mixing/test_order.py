"""The order of a set: shuffled, and computed by any process for any position at once."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import pytest

from omnidet.data.mixing.order import Order

SIZES = [5, 1, 7, 3, 4, 6, 2]


def epoch_order(epoch, seed=0, window=3, sizes=SIZES):
    order = Order(sizes, seed, window)
    return [order.place(epoch * sum(sizes) + position) for position in range(sum(sizes))]


@pytest.mark.parametrize("window", [1, 2, 3, 7, 100])
def test_order_is_a_permutation(window):
    everything = [(s, i) for s, size in enumerate(SIZES) for i in range(size)]
    for epoch in range(4):
        assert sorted(epoch_order(epoch, window=window)) == everything


def test_order_differs_between_epochs_and_seeds():
    orders = [
        tuple(epoch_order(epoch, seed)) for epoch, seed in itertools.product(range(5), range(2))
    ]
    assert len(set(orders)) == 10
    firsts = {order[0][0] for order in (epoch_order(epoch) for epoch in range(40))}
    assert firsts == set(range(len(SIZES))), "each shard comes first in some epoch"


def test_samples_within_a_shard_are_shuffled_too():
    orders = {
        tuple(epoch_order(epoch, seed, sizes=[6]))
        for epoch, seed in itertools.product(range(5), range(2))
    }
    assert len(orders) == 10


def test_order_is_a_pure_function():
    first = epoch_order(2)
    order = Order(SIZES, 0, 3)
    for position in reversed(range(sum(SIZES))):
        order.place(sum(SIZES) + position)
        assert order.place(2 * sum(SIZES) + position) == first[position]


@pytest.mark.parametrize("window", [1, 2, 3])
def test_order_has_no_more_than_a_window_of_shards_open(window):
    most = 0
    for epoch in range(10):
        left, begun = Counter(dict(enumerate(SIZES))), set()
        for shard, _ in epoch_order(epoch, window=window):
            begun.add(shard)
            left[shard] -= 1
            most = max(most, len([s for s in begun if left[s]]))
            assert len([s for s in begun if left[s]]) <= window
    assert most == window


def test_order_mixes_the_shards_of_a_window():
    order = [shard for shard, _ in epoch_order(0, window=2, sizes=[50] * 4)]
    changes = sum(a != b for a, b in itertools.pairwise(order[:100]))
    assert len(set(order[:100])) == 2
    assert changes > 30


def test_an_empty_shard_is_skipped():
    assert sorted(epoch_order(0, sizes=[0, 3, 0, 0, 2, 0])) == [
        (1, 0),
        (1, 1),
        (1, 2),
        (4, 0),
        (4, 1),
    ]


@pytest.mark.parametrize("window", [1, 2, 3, 100])
def test_the_shards_needed_soon_are_those_of_the_next_window(window):
    windows = []
    for epoch in range(3):
        left = epoch_order(epoch, window=window)
        while left:
            held = list(dict.fromkeys(shard for shard, _ in left))[:window]
            windows.append((set(held), sum(SIZES[shard] for shard in held)))
            left = left[windows[-1][1] :]
    order, position = Order(SIZES, 0, window), 0
    for (_, size), (soon, _) in itertools.pairwise(windows):
        for _ in range(size):
            assert set(order.shards_after(position)) == soon
            position += 1


def test_a_draw_takes_no_time_even_with_hundreds_of_thousands_of_shards():
    """A web dataset of 400 M images: the cost of an epoch is paid once."""
    order = Order([1000] * 400_000, 0, 16)
    order.place(200_000_000)
    started = time.process_time()
    for position in range(200_000_000, 200_001_000):
        order.place(position)
    assert time.process_time() - started < 0.5, "a loop over the shards would take minutes"
