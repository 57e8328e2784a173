"""The champion is taught by the recipe of a retraining, and measured on what is kept."""

from __future__ import annotations

import pytest

from omnidet.data import shard_writer, shards
from omnidet.recipes import by_name
from omnidet.steps import train_detector
from omnidet.steps.retrain import training
from tests import toys
from tests.steps.retrain import lines


@pytest.mark.parametrize("is_known", [False, True])
def test_a_champion_whose_shards_are_at_hand_has_not_seen_the_new_evaluation(
    tmp_path, monkeypatch, is_known
):
    """Its own state of a dataset that is taught again is another than this one."""
    written = {"train/cups": shard_writer.write_set(toys.records(), tmp_path, "train/cups", 4)}
    shards.write_index(tmp_path, written, {}, {})
    version = shards.read_index(tmp_path).dataset_version if is_known else "another"
    trained = {"shards": str(tmp_path), "dataset_version": version}
    champion = lines.version(tmp_path / "registry", 2, {}, [lines.lesson("cups", "")], trained)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.json").write_text("{}")
    asked = {}
    monkeypatch.setattr(train_detector, "evaluate_once", lambda *_, **named: asked.update(named))
    monkeypatch.setattr(training, "recipe_for", lambda recipe, *_: recipe)
    monkeypatch.setattr(training.variants, "of_new_data", lambda recipe, _: recipe)
    training.zero_shot("both", champion, tmp_path / "run", by_name("tiny_world"), "cups")
    assert asked == {"is_compared": is_known}


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
