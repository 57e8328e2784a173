"""The champion is taught by the recipe of a retraining, and measured on what is kept."""

from __future__ import annotations

import pytest

from omnidet.recipes import by_name
from omnidet.steps import train_detector
from omnidet.steps.retrain import training
from tests.steps.retrain import lines


@pytest.mark.parametrize("finish", [False, True])
def test_what_is_asked_of_the_training(tmp_path, monkeypatch, finish):
    metrics = {"coco/AP": 0.5, "cups/AP": 0.6}
    champion = lines.version(tmp_path, 2, metrics, [lines.lesson("cups", "cups@1")])
    asked = {}
    for name in ("train", "take_best"):

        def call(*given, name=name, **named) -> None:
            asked[name] = (given, named)

        monkeypatch.setattr(train_detector, name, call)
    monkeypatch.setattr(training, "recipe_for", lambda recipe, *_: recipe)
    recipe = by_name("tiny_world")
    training.train("both", "words", champion, "out", recipe, "keys", "v1", finish=finish)
    ((name, (given, named)),) = asked.items()
    assert name == ("take_best" if finish else "train")
    assert given[:3] == ("both", "words", "out")
    assert named["scored"] == {"keys", "cups"}
    assert [lesson["name"] for lesson in named["facts"]["taught"]] == ["cups", "keys"]
    assert named["facts"]["taught"][-1]["from"] == "cups@2"
