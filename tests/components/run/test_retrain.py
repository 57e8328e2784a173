"""What the steps of a retraining do besides calling the library."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from components.run import artifacts, places, retrain, training
from omnidet import storage
from omnidet.recipes.tiny_world import tiny_world
from omnidet.registry import gate, versions
from tests import taught, toys


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
    returned = {"gate": decision, "register": (versions.Version("toy", 2, "l"), "registered")}
    for name in ("read", "replay_of", "build_shards", "extend_vocabulary", "zero_shot", "train",
                 "evaluate", "gate", "register"):  # fmt: skip

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


def test_nothing_is_noted_if_nothing_is_new(tmp_path, monkeypatch):
    champion = versions.Version("toy", 1, "l")
    found = retrain.retrain.Notice(False, "abc", champion, "nothing new")
    monkeypatch.setattr(retrain.retrain, "notice", lambda *_: found)
    folder = str(tmp_path / "run")
    asked = retrain.Asked(
        data="s3://b/d", dataset="cells", registry=str(tmp_path), champion="champion", recipe="r"
    )
    assert retrain.notice(asked, folder) is False
    assert not storage.exists(folder)


def test_new_data_is_gathered_in_the_folder_of_the_run(run, asked):
    assert retrain.gather("s3://b/d", "", recipe=tiny_world(), **run) == run["folder"]
    folder = run["folder"]
    assert [name for name, _ in asked] == ["read", "replay_of", "build_shards", "extend_vocabulary"]
    reading = tiny_world().retrain.reading
    assert asked[0][1] == ("s3://b/d", f"{folder}/dataset", "abc", reading)
    assert asked[1][1][1] is None  # an empty parameter is no answer
    assert asked[3][1][0] == f"{folder}/shards"
    assert asked[3][1][2] == f"{folder}/vocabulary"


def test_one_process_trains_here(run, asked):
    out = retrain.train(run["folder"], run["registry"], "tiny_world", ["retrain.steps=3"], gpus=1)
    assert out == f"{run['folder']}/model"
    assert [name for name, _ in asked] == ["zero_shot", "train"]
    shards, vocabulary, champion, model, recipe, *_ = asked[1][1]
    assert (shards, vocabulary) == (f"{run['folder']}/shards", f"{run['folder']}/vocabulary")
    assert (str(champion), model, recipe.retrain.steps) == ("toy@1", out, 3)


def test_several_gpus_run_a_module_that_exists(run, asked, monkeypatch):
    started = []
    monkeypatch.setattr(retrain.training, "in_processes", lambda *given: started.append(given))
    retrain.train(run["folder"], run["registry"], "tiny_world", ["retrain.steps=3"], gpus=4)
    (((dash_m, module, given), count),) = started
    assert (dash_m, count) == ("-m", 4)
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin == retrain.__file__
    asked.clear()
    retrain.train_here(**json.loads(given))
    assert [name for name, _ in asked] == ["train"]


def test_the_table_has_the_numbers_before(run, asked, tmp_path):
    folder = run["folder"]
    storage.write_text(f"{folder}/metrics.json", json.dumps({"cells/AP": 0.5}))
    before = {"values": {"cells/AP": 0.1}}
    storage.write_text(f"{folder}/before/{storage.INDEX_NAME}", json.dumps(before))
    storage.write_text(f"{folder}/report.html", "<html>")
    files = [str(tmp_path / name) for name in ("metrics", "table", "report")]
    shown = artifacts.Shown(*files)
    values = retrain.evaluate(folder, "model", run["registry"], tiny_world(), shown)
    assert values == {"cells/AP": 0.5}
    assert "| cells/AP | 0.100 | 0.500 |" in (tmp_path / "table").read_text()
    assert asked[0][1][2] == "model"


def test_the_gate_says_why(run, asked, capsys):
    assert retrain.gate(run["folder"], run["registry"], tiny_world()) is False
    assert "cells/AP: too low" in capsys.readouterr().out


def test_what_was_registered_is_noted(run, asked, tmp_path):
    out = tmp_path / "model.json"
    facts = retrain.register(run["folder"], run["registry"], toys.recipe(), str(out))
    assert (facts["version"], facts["model"]) == ("toy@2", f"{run['folder']}/model")
    assert json.loads(out.read_text()) == facts


@pytest.mark.slow
def test_two_processes_retrain_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place, settings = taught.prepare(tmp_path / "place"), list(taught.SETTINGS)
    data, registry = str(place / "cells"), str(place / "registry")
    folder = places.run_folder(str(tmp_path / "w"), "abc")
    asked = retrain.Asked(
        data=data, dataset="cells", registry=registry, champion="champion", recipe="tiny_world",
        settings=settings,
    )  # fmt: skip
    assert retrain.notice(asked, folder) is True
    retrain.gather(data, "", folder, registry, places.recipe("tiny_world", settings))
    model = retrain.train(folder, registry, "tiny_world", settings, gpus=2)
    training._check_detector(model)
    lines = (tmp_path / "w/runs/abc/model/training.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 4
