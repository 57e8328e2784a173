from __future__ import annotations

import torch

from omnidet.inference.names import Name, wanted
from omnidet.inference.prompt import Prompt, encoded
from omnidet.model.confidence import Line
from tests import toys

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


def test_names_are_encoded_with_their_phrases_and_thresholds():
    detector, vocabulary = toys.toy_detector(0).eval(), toys.toy_vocabulary()
    names = (Name("shape", ("red star", "ring")), Name("circle", ("circle",), 0.4))
    prompt = encoded(names, detector, vocabulary, Line())
    assert prompt.phrases == ("red star", "ring", "circle")
    assert prompt.labels == ("shape", "circle")
    assert prompt.name_of_P == (0, 0, 1)
    assert prompt.thresholds == (None, 0.4)
    rows, biases = detector.phrases(vocabulary.table(prompt.phrases))
    torch.testing.assert_close(prompt.rows_PD, rows.detach())
    line = Line(scale=2.0, offset=-1.0)
    fitted = encoded(names, detector, vocabulary, line)
    torch.testing.assert_close(fitted.rows_PD, 2 * rows.detach())
    torch.testing.assert_close(fitted.biases_P, 2 * biases.detach() - 1)
    assert encoded(wanted(["ring"]), detector, vocabulary, line).is_plain
