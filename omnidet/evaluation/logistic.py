"""Logistic regression with a prior."""

from __future__ import annotations

import numpy as np

from omnidet.evaluation.truth import Bools, Doubles

_PRIOR = 1.0
"""Weight of the prior: as much as a few rows."""


def chances(logit_D: Doubles) -> Doubles:
    """The logistic function."""
    return np.asarray(0.5 * (1 + np.tanh(logit_D / 2)))


def fit(
    features_DF: Doubles, right_D: Bools, prior: Doubles, known_D: Doubles | float = 0.0
) -> Doubles:
    """Weights (F,) of a logistic regression by Newton's method.

    Args:
        prior: weights to begin from, and to stay near where little is known.
        known_D: a part of the logits that stays as it is.
    """
    weights = prior.copy()
    for _ in range(100):
        chance_D = chances(features_DF @ weights + known_D)
        gradient = features_DF.T @ (chance_D - right_D) + _PRIOR * (weights - prior)
        curved_DF = features_DF * (chance_D * (1 - chance_D))[:, None]
        step = np.linalg.solve(features_DF.T @ curved_DF + _PRIOR * np.eye(len(prior)), gradient)
        # Newton's method may overshoot far from the minimum.
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return weights
