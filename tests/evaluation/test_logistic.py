"""Logistic regression against a general optimizer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from omnidet.evaluation import logistic


@pytest.mark.parametrize("known", [False, True])
def test_weights_are_those_of_the_smallest_loss(known: bool) -> None:
    draw = np.random.default_rng(0)
    features = np.stack([draw.normal(0, 3, 300), np.ones(300), draw.random(300)], 1)
    right = draw.random(300) < logistic.chances(features @ [0.7, -2.0, 1.0])
    prior, kept = np.array([1.0, 0.0, 0.0]), draw.normal(0, 1, 300) * known

    def loss(weights: np.ndarray) -> float:
        logits = features @ weights + kept
        return np.logaddexp(0, np.where(right, -logits, logits)).sum() + (
            0.5 * ((weights - prior) ** 2).sum()
        )

    wanted = optimize.minimize(loss, prior, tol=1e-10).x
    assert logistic.fit(features, right, prior, kept) == pytest.approx(wanted, abs=1e-4)


def test_without_rows_the_prior_stays() -> None:
    prior = np.array([1.0, -0.5])
    assert logistic.fit(np.zeros((0, 2)), np.zeros(0, bool), prior) == pytest.approx(prior)


def test_rows_that_a_line_parts_give_finite_weights() -> None:
    features = np.stack([np.linspace(-30, 30, 50), np.ones(50)], 1)
    found = logistic.fit(features, features[:, 0] > 0, np.array([1.0, 0.0]))
    assert np.isfinite(found).all()
    assert found[0] > 1
