from __future__ import annotations

import numpy as np

from omnidet.onnx.best import Best


def test_the_best_pairs_are_in_order_of_score_region_and_phrase():
    scores = np.array([[0.5, 0.9, 0.5], [0.9, 0.1, 0.5]], np.float32)
    best = Best.of(scores, 4)
    assert list(zip(best.region.tolist(), best.phrase.tolist(), strict=True)) == [
        (0, 1),
        (1, 0),
        (0, 0),
        (0, 2),
    ]
    np.testing.assert_allclose(best.scores, [0.9, 0.9, 0.5, 0.5])


def test_parts_give_what_the_whole_gives():
    random = np.random.default_rng(0)
    scores = random.integers(0, 20, (7, 30)).astype(np.float32) / 20  # many are equal
    whole = Best.of(scores, 25)
    parts = Best.of(scores[:, :8], 25)
    for first in range(8, 30, 8):
        parts = parts.with_more(scores[:, first : first + 8], first, 25)
    np.testing.assert_array_equal(parts.scores, whole.scores)
    np.testing.assert_array_equal(parts.region, whole.region)
    np.testing.assert_array_equal(parts.phrase, whole.phrase)


def test_none_and_all():
    scores = np.array([[0.2, 0.3]], np.float32)
    assert len(Best.of(scores, 0).scores) == 0
    assert len(Best.of(scores, 9).scores) == 2
    assert len(Best.of(np.zeros((3, 0), np.float32), 9).scores) == 0
