from __future__ import annotations

import torch

from omnidet.inference.prompt import Prompt

ROWS, BIASES = torch.zeros(2, 4), torch.zeros(2)


def test_phrases_are_called_by_their_names():
    plain = Prompt(("a", "b"), ROWS, BIASES)
    assert plain.labels == ("a", "b")
    assert plain.is_plain
    named = Prompt(("a", "b"), ROWS, BIASES, ("x",), (0, 0), (None,))
    assert named.labels == ("x",)
    assert not named.is_plain


def test_a_threshold_of_its_own_is_not_plain():
    assert not Prompt(("a", "b"), ROWS, BIASES, thresholds=(0.5, None)).is_plain
    assert Prompt(("a", "b"), ROWS, BIASES, thresholds=(None, None)).is_plain
