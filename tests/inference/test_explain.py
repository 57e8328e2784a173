"""An explanation adds up to the score, names every word, and says which ones are unknown."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from omnidet.inference.detector import OmniDet
from tests import toys

PICTURE = toys.png(64, 64, [(5, 5, 30, 30)])


@pytest.fixture(scope="module")
def detector() -> OmniDet:
    return OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {"names": ["red star"]})


def test_the_parts_add_up_to_the_score(detector):
    found = detector.detect(PICTURE, ["red star", "star left of circle", "yellow ring"], 20)
    for why, score, phrase in zip(
        detector.explain_found(found), found.scores, found.matched, strict=True
    ):
        assert why.phrase == phrase
        assert math.isclose(sum(t.weight for t in why.tokens), 1, abs_tol=1e-5)
        total = sum(t.weight * t.logit for t in why.tokens)
        assert math.isclose(total, why.logit, abs_tol=1e-4)
        assert math.isclose(1 / (1 + math.exp(-total)), score, abs_tol=1e-5)


def test_the_parts_add_up_to_a_fitted_score():
    fitted = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), toys.CONFIDENCE.to_config())
    found = fitted.detect(PICTURE, ["red star", "star left of circle"], 20)
    for why, score in zip(fitted.explain_found(found), found.scores, strict=True):
        total = sum(t.weight * t.logit for t in why.tokens)
        assert math.isclose(total, why.logit, abs_tol=1e-4)
        assert math.isclose(1 / (1 + math.exp(-total)), score, abs_tol=1e-5)


def test_a_token_has_the_logit_that_it_has_alone(detector):
    (why,) = detector.explain(PICTURE, "red star", box=[0, 0, 40, 40])
    by_word = {token.word: token for token in why.tokens}
    assert list(by_word) == ["red", "star"]
    for word, token in by_word.items():
        (alone,) = detector.explain(PICTURE, word, box=[0, 0, 40, 40])
        assert alone.box == why.box
        assert math.isclose(alone.score, token.score, abs_tol=1e-6)
        assert token.is_known


@pytest.mark.parametrize("box", [[5000, 5000, 6000, 6000], [-9, 0, 0, 64], [64, 0, 70, 64]])
def test_a_box_outside_of_the_picture_is_refused(detector, box):
    with pytest.raises(ValueError, match="64 x 64"):
        detector.explain(PICTURE, "red star", box=box)


def test_a_number_too_large_for_a_box_is_refused(detector):
    with pytest.raises(ValueError, match="box"):
        detector.explain(PICTURE, "red star", box=[0, 0, 10**400, 9])


def test_words_behind_a_relation_are_context(detector):
    (why,) = detector.explain(PICTURE, "star left of circle")
    assert [t.word for t in why.tokens if t.is_context] == ["circle"]
    assert any(line.startswith("circle (context)") for line in why.lines())


def test_a_word_that_the_vocabulary_has_in_parts_is_unknown(detector):
    assert detector.unknown_words("red xylophone") == ("xylophone",)
    assert detector.unknown_words("red star") == ()
    (why,) = detector.explain(PICTURE, "red xylophone")
    assert why.unknown_words == ("xylophone",)
    lines = why.lines()
    assert len(lines) == 2
    assert "unknown" in lines[1]
    assert "unknown" not in lines[0]
    said = json.loads(json.dumps(why.to_dict()))
    assert said["unknown_words"] == ["xylophone"]
    assert {token["word"] for token in said["tokens"]} == {"red", "xylophone"}
    assert {t["weight"] for t in said["tokens"] if t["word"] == "xylophone"} == {0}
    assert why.score == pytest.approx(detector.explain(PICTURE, "red", why.box)[0].score)


def test_without_a_box_the_best_region_is_explained(detector):
    found = detector.detect(PICTURE, "blue circle", 1)
    (why,) = detector.explain(PICTURE, "blue circle")
    assert math.isclose(why.score, float(found.scores[0]), abs_tol=1e-6)
    np.testing.assert_allclose(why.box, found.boxes[0])


def test_what_is_no_box_is_refused(detector):
    with pytest.raises(ValueError, match="nan"):
        detector.explain(PICTURE, "star", box=[0, 0, float("nan"), 4])
