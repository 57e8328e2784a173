"""What is measured already is not measured again."""

from __future__ import annotations

import json

import pytest

from omnidet.recipes import by_name
from omnidet.steps import train_detector
from omnidet.steps.retrain import evaluation
from tests.steps.retrain import lines


@pytest.mark.parametrize(("is_new", "reports"), [(True, 1), (False, 0)])
def test_the_report_is_that_of_the_evaluation(tmp_path, monkeypatch, is_new, reports):
    champion = lines.version(tmp_path, 1, {"cups/AP": 0.6})
    folder = lines.evaluated(tmp_path / "run", {"keys/AP": 0.4}, {"keys/AP": 0.1})
    (tmp_path / "run/report.html").write_text("the one before")
    written = []
    monkeypatch.setattr(evaluation, "recipe_for", lambda recipe, *_: recipe)
    monkeypatch.setattr(evaluation, "count_boxes", lambda *_: 7)
    monkeypatch.setattr(train_detector, "evaluate_once", lambda *_: is_new)
    monkeypatch.setattr(train_detector, "write_report", lambda *_, **named: written.append(named))
    evaluation.evaluate("both", champion, "model", folder, by_name("tiny_world"), "keys")
    assert len(written) == reports
    if is_new:
        assert written[0]["first"] == "keys"
        assert written[0]["zero_shot"] == {"keys/AP": 0.1}
        before = json.loads((tmp_path / "run/before/index.json").read_text())
        assert before["values"] == {"cups/AP": 0.6, "keys/AP": 0.1}
        assert json.loads((tmp_path / "run/measured.json").read_text()) == {"boxes": 7}
