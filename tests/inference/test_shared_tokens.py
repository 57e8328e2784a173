"""Names that share tokens: what is left out by them cannot be among the best, whatever the names
are made of.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from omnidet.inference import bounds, search, shared_tokens
from omnidet.inference.choice import choose
from omnidet.inference.names import Name, wanted
from omnidet.inference.prompt import encoded
from omnidet.inference.search import best_pairs
from omnidet.model.confidence import Line
from omnidet.schema import PhraseTable
from tests import toys


class _World:
    """Random tokens, and names made of them."""

    def __init__(self, seed: int, num_tokens: int, width: int, line: Line = Line()) -> None:  # noqa: B008
        self.draw = torch.Generator().manual_seed(seed)
        self.rows_TD = torch.randn(num_tokens, width, generator=self.draw) * width**-0.5
        self.biases_T = torch.randn(num_tokens, generator=self.draw) * 0.5 - 4.6
        self.line = line

    def scored(self, table: PhraseTable) -> tuple[Tensor, Tensor]:
        def sums(values_TD: Tensor) -> Tensor:
            return functional.embedding_bag(
                table.token_ids_K,
                values_TD,
                table.offsets_P,
                per_sample_weights=table.weights_K,
                mode="sum",
            )

        return sums(self.rows_TD) * self.line.scale, sums(self.biases_T[:, None])[
            :, 0
        ] * self.line.scale

    def table(self, num_names: int, shortest: int = 1, longest: int = 3) -> PhraseTable:
        counts = torch.randint(shortest, longest + 1, (num_names,), generator=self.draw)
        ids = torch.randint(0, len(self.rows_TD), (int(counts.sum()),), generator=self.draw)
        weights = torch.rand(len(ids), generator=self.draw) + 0.01
        owner = torch.repeat_interleave(counts)
        sums = torch.zeros(num_names).index_add(0, owner, weights)
        return PhraseTable(ids, weights / sums[owner], counts.cumsum(0) - counts)

    def offsets(self, num_names: int) -> Tensor:
        """What a line adds to each name's bias."""
        return torch.randn(num_names, generator=self.draw) * self.line.spread + self.line.offset

    def regions(self, num_regions: int) -> Tensor:
        return torch.randn(num_regions, self.rows_TD.shape[1], generator=self.draw) * 3


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch)


def _set(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    """Sizes at which small cases take the way of large ones."""
    monkeypatch.setattr(search, "FEW_PAIRS", 0)
    monkeypatch.setattr(search, "FIRST_NAMES", 16)
    small = {
        "LEAST_NAMES": 1,
        "NAMES_PER_TOKEN": 0,
        "PAIRS_AT_ONCE": 2048,
        "NAMES_AT_ONCE": 64,
    }
    for name, value in {**small, **values}.items():
        monkeypatch.setattr(shared_tokens, name, value)
    monkeypatch.setattr(bounds, "BLOCKS_AT_ONCE", 8)


def _assert_same(
    embeddings: Tensor, rows: Tensor, biases: Tensor, count: int, shared: object
) -> tuple[Tensor, Tensor, Tensor]:
    """The best pairs, which must not depend on the tokens."""
    assert isinstance(shared, shared_tokens.SharedTokens)
    expected = best_pairs(embeddings, rows, biases, count)
    found = best_pairs(embeddings, rows, biases, count, shared)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    return found


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**31),
    num_tokens=st.integers(1, 200),
    num_names=st.integers(1, 2000),
    longest=st.integers(1, 70),
    width=st.integers(1, 65),
    num_regions=st.integers(1, 60),
    count=st.integers(1, 400),
    crowd=st.sampled_from([1, 64, 10**9]),
    line=st.sampled_from([Line(), Line(0.3, -2.0, 0.5), Line(40.0, 90.0, 3.0), Line(1.0, 0, 50.0)]),
    shortest=st.sampled_from([0, 1]),
)
def test_the_best_pairs_are_those_without_tokens(
    seed, num_tokens, num_names, longest, width, num_regions, count, crowd, line, shortest
):
    with pytest.MonkeyPatch.context() as patch:
        _set(patch, CROWD=crowd)
        world = _World(seed, num_tokens, width, line)
        table = world.table(num_names, shortest, longest)
        rows, biases = world.scored(table)
        biases = biases + world.offsets(num_names)
        shared = shared_tokens.share(table, rows, biases, world.scored)
        _assert_same(world.regions(num_regions), rows, biases, count, shared)


@pytest.mark.parametrize("crowd", [1, 10**9])
@pytest.mark.parametrize(
    "odd",
    ["negative weights", "sums of two", "rows from elsewhere", "duplicates", "tiny rows", "zeros"],
)
def test_names_that_are_no_means_of_tokens_are_found(monkeypatch, odd, crowd):
    _set(monkeypatch, CROWD=crowd)
    world = _World(3, 40, 24)
    table = world.table(900, 1, 4)
    if odd == "negative weights":  # that sum to 1
        table = world.table(900, 2, 2)
        table.weights_K[::2] = 2.0
        table.weights_K[1::2] = -1.0
    elif odd == "sums of two":
        table.weights_K[:] *= 2
    elif odd == "duplicates":
        table = PhraseTable(
            table.token_ids_K.repeat(2),
            table.weights_K.repeat(2),
            torch.cat([table.offsets_P, table.offsets_P + len(table.weights_K)]),
        )
    rows, biases = world.scored(table)
    if odd == "rows from elsewhere":
        rows[::7] += torch.randn(len(rows[::7]), 24, generator=world.draw)
    elif odd == "tiny rows":
        rows[::2] *= 1e-30
    elif odd == "zeros":
        rows, biases = torch.zeros_like(rows), torch.zeros_like(biases)
    shared = shared_tokens.share(table, rows, biases, world.scored)
    embeddings = world.regions(50)
    _, region, name = _assert_same(embeddings, rows, biases, 200, shared)
    if odd == "zeros":  # all scores are equal: the order decides
        assert torch.equal(region * len(rows) + name, torch.arange(200))


@pytest.mark.parametrize("crowd", [0.001, 10**9])
@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_no_bound_is_below_its_score(monkeypatch, in_bfloat16, crowd):
    _set(monkeypatch, CROWD=crowd, PAIRS_AT_ONCE=2**20)
    world = _World(5, 300, 48)
    table = world.table(5000)
    rows, biases = world.scored(table)
    shared = shared_tokens.share(table, rows, biases, world.scored)
    embeddings = world.regions(64)
    parts = list(shared.candidates(embeddings, lambda: -100.0, in_bfloat16))
    places, bounds = (torch.cat(part) for part in zip(*parts, strict=True))
    assert torch.equal(places.unique(), torch.arange(64 * 5000))
    region, name = places // 5000, places % 5000
    scores = search.exact_logits(embeddings[region], rows[name], biases[name])
    assert bool((bounds >= scores).all())
    assert float((bounds - scores).max()) < (4 if in_bfloat16 else 0.1)


@pytest.mark.parametrize("crowd", [0.001, 10**9])
def test_what_a_row_is_away_from_its_tokens_is_in_the_bound(monkeypatch, crowd):
    _set(monkeypatch, CROWD=crowd, PAIRS_AT_ONCE=2**20)
    world = _World(5, 300, 48)
    world.biases_T[:] = 0.0  # the allowance for biases, and for a low bar, must not hide it
    table = world.table(2000)
    rows, biases = world.scored(table)
    embeddings = world.regions(4)
    towards = functional.normalize(embeddings[:1], dim=1)  # the worst case for the first region
    rows += towards * rows.norm(dim=1, keepdim=True) * (0.9 * shared_tokens._LEAST_FIT)
    shared = shared_tokens.share(table, rows, biases, world.scored)
    assert len(shared.uses_T) == 300  # all are still means of the tokens
    lowest = float((embeddings @ rows.T).min())
    parts = list(shared.candidates(embeddings, lambda: lowest, in_bfloat16=False))
    places, bounds = (torch.cat(part) for part in zip(*parts, strict=True))
    region, name = places // 2000, places % 2000
    scores = search.exact_logits(embeddings[region], rows[name], biases[name])
    assert bool((bounds >= scores).all())


@pytest.mark.parametrize("crowd", [1, 10**9])
def test_scores_that_are_almost_equal_are_told_apart(monkeypatch, crowd):
    _set(monkeypatch, CROWD=crowd, PAIRS_AT_ONCE=2**20)
    world = _World(5, 300, 48)
    world.rows_TD = world.rows_TD[:1] * 20 + world.rows_TD * 1e-5
    world.biases_T = torch.linspace(-4, -3.9999, 300)
    table = world.table(5000)
    rows, biases = world.scored(table)
    shared = shared_tokens.share(table, rows, biases, world.scored)
    _assert_same(world.regions(64), rows, biases, 100, shared)


def test_most_pairs_are_left_out(monkeypatch):
    world = _World(1, 500, 64)
    table = world.table(20_000)
    rows, biases = world.scored(table)
    shared = shared_tokens.share(table, rows, biases, world.scored)
    seen, scored = 0, 0
    consider, exact = search._Search.consider, search.exact_logits

    def considered(self, places, bounds):
        nonlocal seen
        seen += len(places)
        consider(self, places, bounds)

    def logits(embeddings, rows, biases):
        nonlocal scored
        scored += len(rows)
        return exact(embeddings, rows, biases)

    monkeypatch.setattr(search._Search, "consider", considered)
    monkeypatch.setattr(search, "exact_logits", logits)
    best_pairs(world.regions(100), rows, biases, 300, shared)
    assert 300 <= scored <= seen < 100 * 20_000 / 50


def test_memory_does_not_hold_regions_times_names(monkeypatch):
    _set(monkeypatch, CROWD=10**9, PAIRS_AT_ONCE=30 * 512)
    world = _World(2, 100, 16)
    table = world.table(20_000)
    rows, biases = world.scored(table)
    shared = shared_tokens.share(table, rows, biases, world.scored)
    assert shared is not None
    sizes = []
    bag, product = functional.embedding_bag, torch.Tensor.__matmul__

    def watched_bag(*given, **options):
        sizes.append(bag(*given, **options).numel())
        return bag(*given, **options)

    def watched_product(left, right):
        sizes.append(product(left, right).numel())
        return product(left, right)

    monkeypatch.setattr(functional, "embedding_bag", watched_bag)
    monkeypatch.setattr(torch.Tensor, "__matmul__", watched_product)
    list(shared.candidates(world.regions(30), lambda: 0.0, True))
    assert len(sizes) > 30 * 20_000 // (30 * 512)
    assert max(sizes) <= 30 * 512


def test_tokens_are_used_only_where_they_are_few(monkeypatch):
    _set(monkeypatch, LEAST_NAMES=1000, NAMES_PER_TOKEN=2)
    world = _World(0, 100, 8)

    def shared(num_names: int) -> shared_tokens.SharedTokens | None:
        table = world.table(num_names, 3, 3)
        return shared_tokens.share(table, *world.scored(table), world.scored)

    assert shared(999) is None
    many = shared(1000)
    assert many is not None
    assert many.pays
    world.line = Line(2.0)
    table = world.table(1000, 3, 3)
    rows, biases = world.scored(table)
    other = shared_tokens.share(table, torch.randn(rows.shape), biases, world.scored)
    assert other is not None
    assert not other.pays  # names that are no means of these tokens
    world.rows_TD, world.biases_T = world.rows_TD.repeat(30, 1), world.biases_T.repeat(30)
    assert shared(1000) is None


@pytest.mark.parametrize("line", [Line(), Line(1.7, -0.3, 0.4, 0.2)])
def test_a_prompt_of_many_phrases_has_its_tokens(monkeypatch, line):
    _set(monkeypatch, LEAST_NAMES=100, NAMES_PER_TOKEN=2)
    detector, vocabulary = toys.toy_detector(0).eval(), toys.toy_vocabulary()
    words = ["red", "blue", "star", "ring", "circle", "left of"]
    phrases = [f"{a} {b} {c}" for a in words for b in words for c in words]
    prompt = encoded(wanted(phrases), detector, vocabulary, line)
    assert prompt.shared is not None
    # Each name is the mean of tokens, none a token of its own.
    assert len(prompt.shared.uses_T) == len(vocabulary.table(phrases).token_ids_K.unique())
    draw = torch.Generator().manual_seed(0)
    embeddings = torch.randn(20, prompt.rows_PD.shape[1], generator=draw)
    _assert_same(embeddings, prompt.rows_PD, prompt.biases_P, 100, prompt.shared)
    assert encoded(wanted(words), detector, vocabulary, line).shared is None


def test_names_with_thresholds_of_their_own_are_found_as_without_tokens(monkeypatch):
    """Each group of one threshold is a search of its own, for a part of the names."""
    _set(monkeypatch, LEAST_NAMES=100, NAMES_PER_TOKEN=2)
    detector, vocabulary = toys.toy_detector(0).eval(), toys.toy_vocabulary()
    words = ["red", "blue", "star", "ring", "circle", "left of"]
    phrases = [f"{a} {b} {c}" for a in words for b in words for c in words]
    names = [Name(p, (p,), 0.4 if place % 3 else None) for place, p in enumerate(phrases)]
    prompt = encoded(names, detector, vocabulary, Line())
    assert prompt.shared is not None
    draw = torch.Generator().manual_seed(0)
    embeddings = torch.randn(20, prompt.rows_PD.shape[1], generator=draw) * 3
    boxes = torch.rand(20, 4, generator=draw).numpy()
    bare = dataclasses.replace(prompt, shared=None)
    found, expected = (choose(boxes, embeddings, p, 50, 0.2, None) for p in (prompt, bare))
    assert len(expected.scores) == 50
    for one, other in zip(dataclasses.astuple(found), dataclasses.astuple(expected), strict=True):
        assert (one == other).all()
