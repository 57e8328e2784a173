"""The token loss at matched regions against torch's cross-entropy, and its floor."""

from __future__ import annotations

import dataclasses

import torch
from torch.nn import functional

from omnidet.losses.token_alignment import token_alignment
from tests import toys


def test_equals_cross_entropy_with_soft_targets_minus_their_entropy():
    batch, of = toys.batch(), toys.leaves()
    weights = toys.dense(batch.phrases, len(of.b_T))
    entropy = -(weights * weights.clamp(min=1e-30).log()).sum(1)
    logits = of.z_BQD[2] @ of.E_TD.T + of.b_T

    def excess(region: int, phrase: int) -> torch.Tensor:
        return functional.cross_entropy(logits[[region]], weights[[phrase]]) - entropy[phrase]

    # Box 0 (region 3) has the phrase 3, box 1 (region 5) the phrases 3 and 4, of which it takes the
    # mean.
    expected = excess(3, 3) + (excess(5, 3) + excess(5, 4)) / 2
    term = token_alignment(toys.predictions(batch, of), batch, toys.matches())
    torch.testing.assert_close(
        term.total_S, torch.stack([expected.new_zeros(()), expected, expected.new_zeros(())])
    )
    assert term.count_S.tolist() == [0, 2, 0]


def test_the_floor_is_zero_and_reached_if_the_softmax_is_the_target():
    full = toys.batch()
    named = full.named_BNL.clone()
    # One phrase for each box: no softmax can match several phrases.
    named[2, 1] = torch.tensor([False, True, False])
    batch = dataclasses.replace(full, named_BNL=named)
    num_tokens = toys.toy_vocabulary().num_tokens
    targets = toys.dense(batch.phrases, num_tokens)
    of = toys.leaves(width=num_tokens)
    regions = torch.zeros(5, 6, num_tokens)
    regions[2, [3, 5]] = targets[[3, 4]].clamp(min=1e-12).log()
    perfect = dataclasses.replace(
        of, z_BQD=regions, E_TD=torch.eye(num_tokens), b_T=torch.zeros(num_tokens)
    )
    total = token_alignment(toys.predictions(batch, perfect), batch, toys.matches()).total_S
    torch.testing.assert_close(total, torch.zeros(3), atol=1e-5, rtol=0)
    worse = dataclasses.replace(perfect, z_BQD=regions * 0.5)
    assert token_alignment(toys.predictions(batch, worse), batch, toys.matches()).total_S[1] > 0.01
