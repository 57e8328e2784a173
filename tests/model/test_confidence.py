"""What scores mean, as it is kept in a bundle."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from omnidet.model import bundle
from omnidet.model.confidence import Confidence, Line, shapes
from tests import toys

FITTED = Confidence(Line(2.0, 0.5, -1.0, 3.0), Line(1.5, 2.0), 0.42, 100, 300)


def test_offsets_depend_on_the_shape_of_the_phrase():
    line = Line(2.0, 0.5, -1.0, 3.0)
    found = line.offsets(np.array([[0, 0], [0.5, 0], [0.5, 0.25]], np.float32))
    assert found.tolist() == [0.5, 0.0, 0.75]
    assert found.dtype == np.float32


def test_shapes_of_phrases():
    words = toys.toy_vocabulary()
    one, two, relation = shapes(words, ("star", "red star", "star left of circle"))
    assert one.tolist() == [0, 0]
    assert 0 < two[0] <= 0.5
    assert two[1] == 0
    ids, weights = words.encode("star left of circle")
    assert relation[1] == pytest.approx(weights[ids >= words.num_tokens // 2].sum())
    assert relation[1] > 0


def test_without_a_fit_nothing_is_written_and_scores_stay():
    assert Confidence().to_config() == {}
    assert Confidence.of({}) == Confidence()
    assert Line().offsets(np.ones((2, 2), np.float32)).tolist() == [0, 0]


def test_what_was_fitted_is_read_back():
    stored = json.loads(json.dumps(FITTED.to_config()))
    assert Confidence.of(stored) == FITTED


def changed(stored):
    stored["confidence"]["threshold"] = 0.1


def lacking(stored):
    del stored["confidence"]["asked"]


def other(stored):
    stored["confidence"]["asked"]["slope"] = 1


def nothing(stored):
    stored["confidence"] = 7


def turned(stored):
    turned_over = dataclasses.replace(FITTED, asked=Line(-1.0))
    stored.update(turned_over.to_config())


def not_finite(stored):
    stored.update(dataclasses.replace(FITTED, present=Line(1.0, float("nan"))).to_config())


@pytest.mark.parametrize("damage", [changed, lacking, other, nothing, turned, not_finite])
def test_damage_is_noticed(damage):
    stored = json.loads(json.dumps(FITTED.to_config()))
    damage(stored)
    with pytest.raises(ValueError, match="confidence"):
        Confidence.of(stored)


def test_a_bundle_keeps_it_with_its_hash(tmp_path):
    toys.write_bundle(tmp_path / "plain")
    detector, vocabulary, config = bundle.load(tmp_path / "plain")
    assert Confidence.of(config) == Confidence()
    (tmp_path / "fitted").mkdir()
    bundle.save(tmp_path / "fitted", detector, vocabulary, ["star"], {}, FITTED)
    assert Confidence.of(bundle.load(tmp_path / "fitted")[2]) == FITTED
    path = tmp_path / "fitted" / "config.json"
    path.write_text(path.read_text().replace("0.42", "0.24"))
    with pytest.raises(ValueError, match=f"{tmp_path / 'fitted'}.*confidence"):
        bundle.load(tmp_path / "fitted")
