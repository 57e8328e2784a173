"""The best pairs among many names: exact whatever the fast product rounds, the same to the bit
whatever else is asked.
"""

from __future__ import annotations

import pytest
import torch

from omnidet.inference import search


def _case(
    num_regions: int, num_names: int, width: int, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(num_regions, width, generator=draw)
    rows = torch.randn(num_names, width, generator=draw) * 0.1
    return embeddings, rows, torch.randn(num_names, generator=draw) * 0.2 - 4.6


def _exhaustive(embeddings, rows, biases, count):
    """All pairs by exact score; pairs of equal score in order."""
    region, name = (
        part.flatten()
        for part in torch.meshgrid(
            torch.arange(len(embeddings)), torch.arange(len(rows)), indexing="ij"
        )
    )
    logits = torch.cat(
        [
            search.exact_logits(
                embeddings[region[i : i + 50_000]],
                rows[name[i : i + 50_000]],
                biases[name[i : i + 50_000]],
            )
            for i in range(0, len(region), 50_000)
        ]
    )
    logits, order = logits.sort(descending=True, stable=True)
    return logits[:count], region[order[:count]], name[order[:count]]


@pytest.mark.parametrize(
    ("regions", "names", "width", "count"),
    [(50, 6000, 32, 300), (7, 5, 3, 300), (1, 1, 1, 1), (40, 700, 48, 1), (64, 80, 192, 100)],
)
@pytest.mark.parametrize("few", [0, search.FEW_PAIRS, 10**9])
def test_the_best_are_those_of_an_exhaustive_search(monkeypatch, few, regions, names, width, count):
    monkeypatch.setattr(search, "FEW_PAIRS", few)
    case = _case(regions, names, width)
    logits, region, name = _exhaustive(*case, count)
    found = search.best_pairs(*case, count)
    assert torch.equal(found[1], region)
    assert torch.equal(found[2], name)
    torch.testing.assert_close(found[0], logits.sigmoid().float(), rtol=1e-6, atol=0)
    expected = (case[0][region].double() * case[1][name].double()).sum(1) + case[2][name].double()
    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [3, 192, 256])
def test_few_pairs_have_the_scores_of_many_to_the_bit(monkeypatch, width):
    case = _case(40, 30, width)
    few = search.best_pairs(*case, 100)
    monkeypatch.setattr(search, "FEW_PAIRS", 0)
    many = search.best_pairs(*case, 100)
    for one, other in zip(few, many, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    more = search.best_pairs(case[0], torch.cat([case[1], case[1] + 1]), case[2].repeat(2), 2400)
    place = {(int(r), int(n)): s for s, r, n in zip(*more, strict=True)}
    assert all(place[int(r), int(n)] == s for s, r, n in zip(*few, strict=True))


def test_equal_scores_are_in_order_among_few():
    embeddings, rows, biases = torch.ones(4, 8), torch.ones(3, 8), torch.zeros(3)
    _, region, name = search.best_pairs(embeddings, rows, biases, 5)
    assert region.tolist() == [0, 0, 0, 1, 1]
    assert name.tolist() == [0, 1, 2, 0, 1]


def test_scores_that_the_fast_product_cannot_tell_apart():
    """Ten thousand names that bfloat16 cannot tell apart, the best of them last."""
    embeddings, rows, biases = _case(20, 1, 64)
    draw = torch.Generator().manual_seed(1)
    rows = rows * 30 + torch.randn(10_000, 64, generator=draw) * 1e-4
    biases = biases.expand(10_000) + torch.linspace(0, 1e-4, 10_000)
    _, region, name = _exhaustive(embeddings, rows, biases, 100)
    found = search.best_pairs(embeddings, rows, biases, 100)
    assert torch.equal(found[1], region)
    assert torch.equal(found[2], name)


def test_nothing_is_found_if_nothing_is_asked():
    embeddings, rows, biases = _case(5, 4, 8)
    assert [len(part) for part in search.best_pairs(embeddings, rows, biases, 0)] == [0, 0, 0]
    assert [len(part) for part in search.best_pairs(embeddings, rows[:0], biases[:0], 3)] == [
        0,
        0,
        0,
    ]


def test_equal_scores_come_in_a_fixed_order():
    scores, region, name = search.best_pairs(
        torch.zeros(30, 8), torch.ones(5000, 8), torch.full((5000,), -4.6), 40
    )
    assert torch.equal(region, torch.zeros(40, dtype=torch.int64))
    assert torch.equal(name, torch.arange(40))
    assert len(scores.unique()) == 1


def test_a_score_is_the_same_to_the_bit_alone_and_among_ten_thousand():
    embeddings, rows, biases = _case(60, 10_000, 96)
    scores, regions, names = search.best_pairs(embeddings, rows, biases, 300)
    for score, region, name in zip(scores[::20], regions[::20], names[::20], strict=True):
        alone, own, _ = search.best_pairs(
            embeddings, rows[name : name + 1], biases[name : name + 1], 60
        )
        assert score == alone[own == region]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_sigmoid_is_the_same_to_the_bit_in_any_place(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        values = torch.randn(
            100_003, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        among = search.probabilities(values)
        assert all(
            torch.equal(search.probabilities(values[i : i + 1])[0], among[i])
            for i in range(99_900, 100_003)
        )
    finally:
        torch.set_num_threads(before)


def test_memory_does_not_hold_regions_times_names(monkeypatch):
    largest = 0
    product = torch.Tensor.__matmul__

    def watched(left, right):
        nonlocal largest
        result = product(left, right)
        largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(torch.Tensor, "__matmul__", watched)
    search.best_pairs(*_case(30, 20_000, 16), 300)
    assert largest == 30 * search.NAMES_AT_ONCE
