"""What every loss promises: sums and counts by stream, never divided, and a graph to its head.

It also says nothing about what is outside the label space.
"""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch

from omnidet import plugins
from omnidet.schema import Batch, LossTerm, Matches, Predictions
from tests import toys

MODULES = plugins.names("omnidet.losses")
LOSSES = [plugins.load("omnidet.losses", name) for name in MODULES]
HEADS = {
    "names": ("z_BQD", "E_TD", "b_T"),
    "doubles": ("z_BQD", "E_TD", "b_T"),
    "boxes_l1": ("boxes_BQ4",),
    "boxes_giou": ("boxes_BQ4",),
    "token_alignment": ("z_BQD", "E_TD", "b_T"),
    "region_alignment": ("z_BQD", "E_TD", "b_T"),
    "caption": ("image_BD", "E_TD", "b_T"),
    "caption_regions": ("z_BQD", "E_TD", "b_T"),
}
"""What each loss trains. Add a new loss here."""


@pytest.fixture(params=LOSSES, ids=MODULES)
def loss(request):
    return request.param


def _leaves() -> toys.Leaves:
    """The toys' leaves, with a second box on the first thing."""
    of = toys.leaves()
    with torch.no_grad():
        of.boxes_BQ4[0, 2] = toys.batch().boxes_cxcywh_BN4[0, 0]
    return of


def _gradients(of: toys.Leaves, total: torch.Tensor) -> dict[str, torch.Tensor | None]:
    names = [f.name for f in dataclasses.fields(of)]
    return dict(
        zip(
            names,
            torch.autograd.grad(total, [getattr(of, n) for n in names], allow_unused=True),
            strict=True,
        )
    )


def test_form(loss):
    assert loss.__name__ in HEADS
    assert list(inspect.signature(loss).parameters) == ["predictions", "batch", "matches"]
    batch = toys.batch()
    term = loss(toys.predictions(batch, _leaves()), batch, toys.matches())
    assert isinstance(term, LossTerm)
    assert term.total_S.shape == term.count_S.shape == (3,)
    assert term.total_S.dtype == term.count_S.dtype == torch.float32
    assert not term.count_S.requires_grad
    assert term.total_S.isfinite().all()
    assert (term.total_S >= 0).all()


def test_gradient_flows_to_its_head_and_to_nothing_else(loss):
    of, batch = _leaves(), toys.batch()
    term = loss(toys.predictions(batch, of), batch, toys.matches())
    for name, gradient in _gradients(of, term.total_S.sum()).items():
        flows = gradient is not None and bool(gradient.abs().sum() > 0)
        assert flows == (name in HEADS[loss.__name__]), name


@pytest.mark.parametrize("padded", [True, False], ids=["padded", "no columns"])
def test_stays_connected_if_nothing_is_supervised(loss, padded):
    """DDP hangs or fails if a parameter has no gradient on one rank."""
    full = toys.batch()
    batch = dataclasses.replace(
        full,
        name_BL=torch.full_like(full.name_BL, -1),
        negative_BL=torch.zeros_like(full.negative_BL),
        box_valid_BN=torch.zeros_like(full.box_valid_BN),
        named_BNL=torch.zeros_like(full.named_BNL),
        caption_B=torch.full_like(full.caption_B, -1),
        caption_weight_BT=torch.zeros_like(full.caption_weight_BT),
    )
    if not padded:
        batch = dataclasses.replace(
            batch,
            name_BL=batch.name_BL[:, :0],
            negative_BL=batch.negative_BL[:, :0],
            boxes_cxcywh_BN4=batch.boxes_cxcywh_BN4[:, :0],
            box_valid_BN=batch.box_valid_BN[:, :0],
            named_BNL=batch.named_BNL[:, :0, :0],
        )
    of = _leaves()
    term = loss(toys.predictions(batch, of), batch, toys.no_matches())
    assert torch.equal(term.total_S, torch.zeros(3))
    assert torch.equal(term.count_S, torch.zeros(3))
    gradients = _gradients(of, term.total_S.sum())
    for name in HEADS[loss.__name__]:
        assert gradients[name] is not None, name
        assert torch.equal(gradients[name], torch.zeros_like(gradients[name]))


def _twice(
    batch: Batch, predictions: Predictions, matches: Matches
) -> tuple[Batch, Predictions, Matches]:
    count = len(batch.images_BCHW)
    shared = ("phrases", "phrase_embeddings_PD", "phrase_biases_P", "log_partition")

    def double(value):
        fields = {
            f.name: getattr(value, f.name)
            for f in dataclasses.fields(value)
            if f.name not in shared
        }
        return dataclasses.replace(
            value,
            **{
                name: torch.cat([tensor, tensor])
                for name, tensor in fields.items()
                if isinstance(tensor, torch.Tensor)
            },
        )

    again = Matches(*(torch.cat(pair) for pair in (
        (matches.image_M, matches.image_M + count), (matches.region_M,) * 2, (matches.box_M,) * 2
    )))  # fmt: skip
    return double(batch), double(predictions), again


def test_never_divides(loss):
    batch = toys.batch()
    predictions = toys.predictions(batch, _leaves())
    once = loss(predictions, batch, toys.matches())
    twice_batch, twice_predictions, twice_matches = _twice(batch, predictions, toys.matches())
    twice = loss(twice_predictions, twice_batch, twice_matches)
    torch.testing.assert_close(twice.total_S, 2 * once.total_S)
    assert torch.equal(twice.count_S, 2 * once.count_S)


def test_streams_are_separate(loss):
    """The terms of a batch are the sums over its images, each in the column of its stream."""
    batch = toys.batch()
    of, pairs = _leaves(), list(zip(*toys.MATCHES, strict=True))
    whole = loss(toys.predictions(batch, of), batch, toys.matches())
    total, count = torch.zeros(3), torch.zeros(3)
    for b in range(5):
        own = [(0, region, box) for image, region, box in pairs if image == b]
        matches = Matches(*torch.tensor(own).T) if own else toys.no_matches()
        part = toys.Leaves(
            of.z_BQD[b : b + 1], of.boxes_BQ4[b : b + 1], of.image_BD[b : b + 1], of.E_TD, of.b_T
        )
        single = toys.select(batch, [b])
        term = loss(toys.predictions(single, part), single, matches)
        stream = int(batch.stream_BS[b].argmax())
        others = [s for s in range(3) if s != stream]
        assert torch.equal(term.total_S[others], torch.zeros(2))
        total, count = total + term.total_S, count + term.count_S
    torch.testing.assert_close(whole.total_S, total)
    assert torch.equal(whole.count_S, count)


def test_says_nothing_outside_the_label_space(loss):
    """Padded names do not count, nor do unmatched regions for a name that is not exhaustive."""
    batch = toys.batch()
    given = toys.predictions(batch, _leaves())
    scores = given.scores_BQL.detach().clone()
    free = ~batch.negative_BL[:, None].expand_as(scores).clone()
    for image, region, box in zip(*toys.MATCHES, strict=True):
        free[image, region] &= ~batch.named_BNL[image, box]
    assert free[1, 1, 0]  # not exhaustive
    assert free[1, 0, 2]  # padded
    assert free[3].all()
    if loss.__name__ == "caption_regions":  # looks for things by the names that are asked
        free &= (batch.name_BL < 0)[:, None]
    changed = dataclasses.replace(given, scores_BQL=torch.where(free, 7.0, scores))
    before = loss(dataclasses.replace(given, scores_BQL=scores), batch, toys.matches())
    after = loss(changed, batch, toys.matches())
    assert torch.equal(before.total_S, after.total_S)
    assert torch.equal(before.count_S, after.count_S)


def test_a_box_that_is_not_matched_changes_nothing(loss):
    batch = toys.batch()
    predictions = toys.predictions(batch, _leaves())
    boxes = batch.boxes_cxcywh_BN4.clone()
    boxes[1, 1] = torch.tensor([0.9, 0.9, 0.1, 0.1])
    boxes[3:] = 0.4
    before = loss(predictions, batch, toys.matches())
    after = loss(predictions, dataclasses.replace(batch, boxes_cxcywh_BN4=boxes), toys.matches())
    assert torch.equal(before.total_S, after.total_S)
