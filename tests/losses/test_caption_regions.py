"""The loss on the places of a caption's words, against its definition written out."""

from __future__ import annotations

import dataclasses

import torch

from omnidet.losses.caption_regions import caption_regions
from tests import toys


def _total(batch, of) -> torch.Tensor:
    return caption_regions(toys.predictions(batch, of), batch, toys.no_matches()).total_S


def test_equals_both_cross_entropies_written_out():
    batch, of = toys.batch(), toys.leaves()
    scores_BQL = toys.predictions(batch, of).scores_BQL
    expected = 0.0
    for image in (3, 4):
        asked = [column for column in range(3) if batch.name_BL[image, column] >= 0]
        z_QD, thing_Q = of.z_BQD[image], scores_BQL[image][:, asked].amax(1)
        pairs = zip(batch.caption_token_BT[image], batch.caption_weight_BT[image], strict=True)
        for token, weight in pairs:
            score_Q = z_QD @ of.E_TD[token] + of.b_T[token]
            share_Q = (score_Q + thing_Q).softmax(0).detach()
            found_D = (share_Q[:, None] * z_QD).sum(0)
            word = (found_D @ of.E_TD.T + of.b_T).log_softmax(0)[token]
            place = (share_Q * score_Q.log_softmax(0)).sum()
            expected = expected - weight * (word + place)
    term = caption_regions(toys.predictions(batch, of), batch, toys.no_matches())
    torch.testing.assert_close(term.total_S, torch.stack([expected * 0, expected * 0, expected]))
    assert term.count_S.tolist() == [0, 0, 2]


def test_a_word_is_learned_where_there_is_a_thing_and_unlearned_on_the_background():
    batch, of = toys.batch(), toys.leaves()
    with torch.no_grad():
        # Nobody knows the words yet, and region 2 of image 3 has the name that is asked.
        of.E_TD[batch.caption_token_BT[3]] = 0
        of.b_T.zero_()
    given = toys.predictions(batch, of)
    scores = torch.full_like(given.scores_BQL, -8.0)
    scores[3, 2, 0] = 4.0
    scores[3, 4, 2] = 9.0  # padded
    weights_BT = batch.caption_weight_BT * torch.eye(5)[3][:, None]
    batch = dataclasses.replace(batch, caption_weight_BT=weights_BT)
    term = caption_regions(dataclasses.replace(given, scores_BQL=scores), batch, toys.no_matches())
    token = int(batch.caption_token_BT[3][weights_BT[3].argmax()])
    (gradient_TD,) = torch.autograd.grad(term.total_S.sum(), of.E_TD)
    better_Q = -(of.z_BQD[3] @ gradient_TD[token])
    direction_D = of.z_BQD[3, 2] - of.z_BQD[3].mean(0)
    assert -(gradient_TD[token] @ direction_D) > 0
    assert better_Q[2] > better_Q.mean()


def test_asked_names_are_not_taught():
    batch, of = toys.batch(), toys.leaves()
    given = toys.predictions(batch, of)
    scores = given.scores_BQL.detach().requires_grad_()
    term = caption_regions(dataclasses.replace(given, scores_BQL=scores), batch, toys.no_matches())
    (gradient,) = torch.autograd.grad(term.total_S.sum(), scores, allow_unused=True)
    assert gradient is None


def test_nothing_is_learned_where_no_name_is_asked():
    batch, of = toys.batch(), toys.leaves()
    name_BL = batch.name_BL.clone()
    name_BL[3] = -1
    unasked = dataclasses.replace(batch, name_BL=name_BL)
    weights = batch.caption_weight_BT * torch.eye(5)[4][:, None]
    only_second = dataclasses.replace(batch, caption_weight_BT=weights)
    torch.testing.assert_close(_total(unasked, of), _total(only_second, of))
    term = caption_regions(toys.predictions(unasked, of), unasked, toys.no_matches())
    assert term.count_S.tolist() == [0, 0, 1]


def test_padding_counts_for_nothing():
    batch, of = toys.batch(), toys.leaves()
    wider = {
        name: torch.cat([getattr(batch, name), getattr(batch, name).new_zeros(5, 3)], 1)
        for name in ("caption_token_BT", "caption_weight_BT")
    }
    torch.testing.assert_close(_total(dataclasses.replace(batch, **wider), of), _total(batch, of))


def test_a_temperature_scales_the_logits_of_both_softmaxes():
    batch, of = toys.batch(), toys.leaves()
    given = toys.predictions(batch, of)
    calibrated = dataclasses.replace(given, calibration_B2=torch.tensor([[2.0, 0.0]]).repeat(5, 1))
    with torch.no_grad():
        doubled = dataclasses.replace(of, E_TD=of.E_TD * 2, b_T=of.b_T * 2)
    same = dataclasses.replace(toys.predictions(batch, doubled), scores_BQL=given.scores_BQL)
    totals = [
        caption_regions(predictions, batch, toys.no_matches()).total_S
        for predictions in (calibrated, same)
    ]
    torch.testing.assert_close(*totals)


def test_without_a_caption_there_is_nothing_and_the_graph_stays():
    batch, of = toys.batch(), toys.leaves()
    none = {name: getattr(batch, name)[:, :0] for name in ("caption_token_BT", "caption_weight_BT")}
    batch = dataclasses.replace(batch, **none)
    term = caption_regions(toys.predictions(batch, of), batch, toys.no_matches())
    assert term.total_S.tolist() == term.count_S.tolist() == [0, 0, 0]
    gradient, *_ = torch.autograd.grad(term.total_S.sum(), of.z_BQD)
    assert not gradient.any()
