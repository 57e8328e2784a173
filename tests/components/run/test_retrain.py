"""What the steps of a retraining do besides calling the library."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from typing import Any

import pytest

from components.run import artifacts, places, retrain, training
from components.run.asked_for import Asked
from omnidet import config, storage
from omnidet.recipes.tiny_world import tiny_world
from omnidet.registry import gate, versions
from tests import taught, toy_runs, toys
from tests.components.run.test_training import NODES


@pytest.fixture
def run(tmp_path) -> dict[str, str]:
    """Folder and registry of a run that has noted its champion."""
    registry, folder = str(tmp_path / "registry"), str(tmp_path / "run")
    storage.write_text(f"{registry}/toy/1/version.json", "{}")
    attempt = retrain.retrain.Attempt("toy@1", "cells", "abc", "tiny_world", ())
    notice = {**attempt.describe(), "data": "s3://b/d"}
    storage.write_text(f"{folder}/notice.json", json.dumps(notice))
    return {"folder": folder, "registry": registry}


@pytest.fixture
def asked(monkeypatch) -> list[tuple[str, tuple[Any, ...]]]:
    """Names and arguments of the library's steps that were called, instead of their work."""
    calls: list[tuple[str, tuple[Any, ...]]] = []
    decision = gate.Decision(False, ("cells/AP: too low",), ())
    registered = (versions.Version("toy", 2, "l"), "registered")
    returned = {"gate": decision, "register": registered, "replay_of": "old/shards"}
    monkeypatch.setattr(retrain.retrain, "data_version", lambda *_: "abc")
    monkeypatch.setattr(retrain.retrain, "doubt_of_replay", lambda *given: f"doubt of {given[1]}")
    for name in ("read", "replay_of", "build_shards", "extend_vocabulary", "zero_shot", "train",
                 "evaluate", "gate", "register", "require_measured"):  # fmt: skip

        def call(*given: Any, name: str = name) -> Any:
            calls.append((name, given))
            return returned.get(name)

        monkeypatch.setattr(retrain.retrain, name, call)
    return calls


def test_all_steps_start_from_the_champion_that_was_noted(run):
    noticed = retrain.read_notice(run["folder"], run["registry"])
    assert str(noticed.champion) == "toy@1"
    assert (noticed.dataset, noticed.data_version) == ("cells", "abc")
    assert noticed.part("shards") == f"{run['folder']}/shards"


def test_nothing_is_noted_if_nothing_is_new(run, tmp_path, monkeypatch):
    champion = versions.Version("toy", 1, "l")
    found = retrain.retrain.Notice(False, "abc", champion, "nothing new")
    monkeypatch.setattr(retrain.retrain, "notice", lambda *_: found)
    folder = str(tmp_path / "new")
    asked = Asked(
        data="s3://b/d", dataset="cells", registry=run["registry"], champion="champion",
        recipe="tiny_world",
    )  # fmt: skip
    assert retrain.notice(asked, folder) is False
    assert not storage.exists(folder)


def test_new_data_is_gathered_in_the_folder_of_the_run(run, asked, capsys):
    folder = run["folder"]
    assert retrain.gather("s3://b/d", folder, run["registry"], "tiny_world", []) == folder
    calls = ["replay_of", "require_measured", "read", "build_shards", "extend_vocabulary"]
    assert [name for name, _ in asked] == calls
    reading = tiny_world().retrain.reading
    assert asked[0][1][1] is None  # an empty parameter is no answer
    champion = asked[0][1][0]
    given = ("s3://b/d", f"{folder}/dataset", "abc", reading, "old/shards", champion)
    assert asked[2][1] == given
    assert asked[4][1][0] == f"{folder}/shards"
    assert asked[4][1][2] == f"{folder}/vocabulary"
    assert "doubt of old/shards" in capsys.readouterr().out


def test_data_that_changes_meanwhile_is_not_taught_as_what_it_was(run, asked, monkeypatch):
    """Somebody goes on uploading while the nightly run reads."""
    monkeypatch.setattr(retrain.retrain, "data_version", lambda *_: "later")
    with pytest.raises(ValueError, match="s3://b/d has changed"):
        retrain.gather("s3://b/d", run["folder"], run["registry"], "tiny_world", [])
    assert [name for name, _ in asked] == ["replay_of", "require_measured", "read"]


def _train(run: dict[str, str], *settings: str, **nodes: int) -> str:
    where = dataclasses.replace(NODES, **nodes)
    given = ["retrain.steps=3", *settings]
    return retrain.train(run["folder"], run["registry"], "tiny_world", given, where)


def test_one_process_trains_here(run, asked):
    out = _train(run)
    assert out == f"{run['folder']}/model"
    assert [name for name, _ in asked] == ["train"]
    shards, vocabulary, champion, model, recipe, *_ = asked[0][1]
    assert (shards, vocabulary) == (f"{run['folder']}/shards", f"{run['folder']}/vocabulary")
    assert (str(champion), model, recipe.retrain.steps) == ("toy@1", out, 3)


@pytest.mark.parametrize("nodes", [{"gpus_per_node": 4}, {"num_nodes": 2}])
def test_several_processes_run_a_module_that_exists(run, asked, monkeypatch, nodes):
    """On several GPUs of this pod as in a TrainJob."""
    started = []
    monkeypatch.setattr(retrain.training, "in_many", lambda *given: started.append(given))
    _train(run, "job.queue=team", **nodes)
    (((dash_m, module, given), folder, where, settings),) = started
    assert (dash_m, folder) == ("-m", run["folder"])
    assert (where.num_nodes, where.gpus_per_node) == (
        nodes.get("num_nodes", 1),
        nodes.get("gpus_per_node", 0),
    )
    assert "job.queue=team" in settings
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin == retrain.__file__
    asked.clear()
    retrain.train_here(**json.loads(given))
    assert [name for name, _ in asked] == ["train"]


def test_steps_that_are_told_count(run, asked):
    given = (run["folder"], run["registry"], "tiny_world", [])
    retrain.train(*given, NODES, minutes=10, steps=9)
    assert asked[0][1][4].retrain.steps == 9


def test_without_a_recipe_it_is_the_champions(tmp_path):
    registry, bundle = str(tmp_path / "registry"), tmp_path / "bundle"
    toys.write_bundle(bundle)
    carried = config.describe(config.override(toy_runs.recipe(), "train.steps=77"))
    champion, _ = versions.register(registry, "toy", bundle, {}, {"recipe": carried})
    attempt = retrain.retrain.Attempt("toy@1", "cells", "abc", "", ())
    noticed = retrain.Noticed(str(tmp_path), champion, attempt)
    recipe = noticed.recipe("", ["retrain.steps=5", "job.queue=team"])
    assert (recipe.train.steps, recipe.retrain.steps) == (77, 5)
    assert noticed.recipe("coco_folder", []).register.name == "omnidet-coco-folder"


def test_the_table_has_the_numbers_before(run, asked, tmp_path):
    folder = run["folder"]
    storage.write_text(f"{folder}/metrics.json", json.dumps({"cells/AP": 0.5}))
    before = {"values": {"cells/AP": 0.1}}
    storage.write_text(f"{folder}/before/{storage.INDEX_NAME}", json.dumps(before))
    storage.write_text(f"{folder}/report.html", "<html>")
    files = [str(tmp_path / name) for name in ("metrics", "table", "report")]
    shown = artifacts.Shown(*files)
    values = retrain.evaluate(folder, "model", run["registry"], "tiny_world", [], shown)
    assert values == {"cells/AP": 0.5}
    assert "| cells/AP | 0.100 | 0.500 |" in (tmp_path / "table").read_text()
    assert [name for name, _ in asked] == ["zero_shot", "evaluate"]
    assert asked[1][1][2] == "model"


def test_the_gate_says_why(run, asked, capsys):
    assert retrain.gate(run["folder"], run["registry"], "tiny_world", []) is False
    assert "cells/AP: too low" in capsys.readouterr().out


def test_what_was_registered_is_noted(run, asked, tmp_path):
    out = tmp_path / "model.json"
    facts = retrain.register(run["folder"], run["registry"], "tiny_world", [], str(out))
    assert (facts["version"], facts["model"]) == ("toy@2", f"{run['folder']}/model")
    assert json.loads(out.read_text()) == facts


@pytest.mark.slow
def test_two_processes_retrain_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place, settings = taught.prepare(tmp_path / "place"), list(taught.TEACHING)
    data, registry = str(place / "cells"), str(place / "registry")
    folder = places.run_folder(str(tmp_path / "w"), "abc")
    asked = Asked(
        data=data, dataset="cells", registry=registry, champion="champion", recipe="tiny_world",
        settings=settings,
    )  # fmt: skip
    assert retrain.notice(asked, folder) is True
    retrain.gather(data, folder, registry, "tiny_world", settings)
    two = dataclasses.replace(NODES, gpus_per_node=2)
    model = retrain.train(folder, registry, "tiny_world", settings, two)
    training._check_detector(model)
    lines = (tmp_path / "w/runs/abc/model/training.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 4
