"""The retraining, on this machine: the same definition as on a cluster."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

from omnidet.registry import versions
from pipelines import cli as command
from pipelines import package
from tests import taught


@pytest.mark.slow
def test_it_retrains_once_and_then_finds_nothing_new(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", "")  # given back afterwards
    monkeypatch.chdir(tmp_path)
    place = taught.prepare(tmp_path / "place")
    registry = shutil.copytree(place / "registry", tmp_path / "registry")
    given = [
        f"data={place / 'cells'}",
        "dataset=cells",
        f"registry={registry}",
        f"settings={json.dumps(taught.TEACHING)}",
    ]
    run = ["run-local", "retrain", "--out", str(tmp_path / "out"), *given]
    assert command.main(run) == 0, capfd.readouterr()
    assert f"registered {taught.NAME}@2" in capfd.readouterr().out
    assert versions.aliases(registry, taught.NAME) == {"champion": 2}
    (folder,) = (tmp_path / "out" / "workspace" / "runs").iterdir()
    notice = json.loads((folder / "notice.json").read_text())
    assert notice["champion"] == f"{taught.NAME}@1"
    assert json.loads((folder / "gate.json").read_text())["passed"] is True
    new = versions.find(registry, f"{taught.NAME}@champion")
    assert new.metrics == json.loads((folder / "metrics.json").read_text())
    assert {"cells/AP50", "coco/AP"} <= set(new.metrics)
    assert command.main(run) == 0, capfd.readouterr()
    assert "nothing new" in capfd.readouterr().out
    assert len(versions.versions(registry, taught.NAME)) == 2


def test_what_is_new_decides_alone_and_nothing_is_cached():
    spec = package.spec(package.path("retrain"))
    tasks = spec["root"]["dag"]["tasks"]
    ((guarded, policy),) = [
        (name, task["triggerPolicy"]) for name, task in tasks.items() if "triggerPolicy" in task
    ]
    assert "notice-new-data" in policy["condition"]
    assert set(tasks) == {"notice-new-data", guarded}
    for component in [spec["root"], *spec["components"].values()]:
        for task in component.get("dag", {}).get("tasks", {}).values():
            assert not task.get("cachingOptions"), task["taskInfo"]


@pytest.mark.slow
def test_photographs_become_a_new_detector(tmp_path, monkeypatch, capfd):
    """With the weights that are installed, and without a champion: as the command does."""
    monkeypatch.setenv("PYTHONPATH", "")  # given back afterwards
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    taught.draw_cells(tmp_path / "cells")
    settings = [
        *("retrain.min_ap50=0", "retrain.min_boxes=1", "mixing.workers=0"),
        *("model.image_size=64", "model.backbone.depth=1"),
    ]
    given = [
        f"data={tmp_path / 'cells'}",
        *("dataset=cells", "backbone=photo-small", "train_steps=2"),
        f"settings={json.dumps(settings)}",
    ]
    out = tmp_path / "out"
    assert command.main(["run-local", "retrain", "--out", str(out), *given]) == 0, (
        capfd.readouterr()
    )
    assert "registered cells@1" in capfd.readouterr().out
    version = versions.find(str(out / "registry"), "cells@champion")
    assert version.provenance["recipe"]["model"]["backbone"]["name"] == "tf_efficientnet_lite2"
    assert len(version.provenance["backbone_weights_sha256"]) == 64


def test_it_trains_on_several_nodes_as_the_first_training_does():
    spec = package.spec(package.path("retrain"))
    inputs = {
        name: spec["components"][f"comp-{name}"]["inputDefinitions"]["parameters"].keys()
        for name in ("train-on-new-data",)
    }["train-on-new-data"]
    first = package.spec(package.path("train_detector"))
    nodes = first["components"]["comp-train"]["inputDefinitions"]["parameters"].keys()
    assert nodes - {"shards", "vocabulary"} <= inputs
    _, platform = yaml.safe_load_all(package.path("retrain").read_text())
    own = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    told = own["exec-train-on-new-data"]["configMapAsEnv"]
    assert "omnidet-training" in json.dumps(told)


def test_a_wrong_name_or_folder_is_refused_before_anything_starts(tmp_path, capsys):
    run = ["run-local", "retrain", "--out", str(tmp_path / "out")]
    assert command.main(run) == 2
    assert "data has no default: give data=" in capsys.readouterr().err
    assert command.main([*run, f"data={tmp_path}", "dataset=Blut Zellen"]) == 2
    assert "'Blut Zellen'" in capsys.readouterr().err
    assert command.main([*run, f"data={tmp_path / 'none'}"]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_its_steps_are_those_of_a_retraining():
    executors = package.spec(package.path("retrain"))["deploymentSpec"]["executors"]
    assert set(executors) == {
        "exec-notice-new-data",
        "exec-gather-new-data",
        "exec-train-on-new-data",
        "exec-evaluate-retrained",
        "exec-gate-retrained",
        "exec-show-decision",
        "exec-register-retrained",
    }
