"""The caption loss against torch's cross-entropy with soft targets, and its floor."""

from __future__ import annotations

import dataclasses

import torch
from torch.nn import functional

from omnidet.losses.caption import caption
from tests import toys


def test_equals_cross_entropy_with_soft_targets_minus_their_entropy():
    batch, of = toys.batch(), toys.leaves()
    targets = toys.dense(batch.phrases, len(of.b_T))[[5, 6]]
    logits = of.image_BD[[3, 4]] @ of.E_TD.T + of.b_T
    entropy = -(targets * targets.clamp(min=1e-30).log()).sum(1)
    expected = functional.cross_entropy(logits, targets, reduction="none") - entropy
    term = caption(toys.predictions(batch, of), batch, toys.no_matches())
    torch.testing.assert_close(
        term.total_S, torch.stack([expected.new_zeros(()), expected.new_zeros(()), expected.sum()])
    )
    assert term.count_S.tolist() == [0, 0, 2]


def test_the_floor_is_zero_and_reached_if_the_softmax_is_the_target():
    batch = toys.batch()
    num_tokens = toys.toy_vocabulary().num_tokens
    targets = toys.dense(batch.phrases, num_tokens)
    of = toys.leaves(width=num_tokens)
    embeddings = torch.zeros(5, num_tokens)
    embeddings[[3, 4]] = targets[[5, 6]].clamp(min=1e-12).log()
    perfect = dataclasses.replace(
        of, image_BD=embeddings, E_TD=torch.eye(num_tokens), b_T=torch.zeros(num_tokens)
    )
    total = caption(toys.predictions(batch, perfect), batch, toys.no_matches()).total_S
    torch.testing.assert_close(total, torch.zeros(3), atol=1e-5, rtol=0)
    worse = dataclasses.replace(perfect, image_BD=embeddings * 0.5)
    assert caption(toys.predictions(batch, worse), batch, toys.no_matches()).total_S[2] > 0.01
