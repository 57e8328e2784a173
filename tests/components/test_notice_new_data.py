"""Is there anything to learn? The answer, and the champion that is noted with it."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from components.gate_retrained import gate_retrained
from components.notice_new_data import notice_new_data
from components.register_retrained import register_retrained
from components.run import outcome
from omnidet import config, storage
from omnidet.recipes.photographs import photographs
from omnidet.registry import versions
from omnidet.steps import retrain
from tests.components.steps import Artifact, Retraining, retraining


def _notice(run: Retraining, workspace: str, **changed: Any) -> bool:
    given = {
        "data": run.data,
        "dataset": "cells",
        "registry": run.registry,
        "champion": "champion",
        "workspace": workspace,
        "run_id": "abc",
        "recipe": "tiny_world",
        "settings": [],
        "backbone": "",
        "backbone_weights": "",
        "train_minutes": 10.0,
        "train_steps": 0,
        "retry_refused": False,
        "num_nodes": 1,
        "gpus_per_node": 0,
    }
    return bool(notice_new_data.python_func(**given | changed))


def test_new_data_is_noted_with_the_champion(tmp_path):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    assert _notice(run, workspace) is True
    noted = json.loads(storage.read_text(f"{workspace}/runs/abc/notice.json"))
    assert (noted["champion"], noted["dataset"], noted["data"]) == ("toy@1", "cells", run.data)
    assert noted["data_version"] == retrain.data_version(run.data)


def test_data_that_the_champion_knows_is_not_new(tmp_path):
    run = retraining(tmp_path)
    known = {"name": "cells", "data_version": retrain.data_version(run.data), "from": "toy@1"}
    model, metrics = tmp_path / "champion", {"coco/AP": 0.6}
    versions.register(run.registry, "toy", model, metrics, {retrain.TAUGHT: [known]})
    versions.promote(run.registry, "toy", 2)
    assert _notice(run, str(tmp_path / "w")) is False
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("name", ["registry", "workspace"])
def test_what_runs_write_is_no_new_data(tmp_path, name):
    """The version that a run registers would change the data, and the next night train again."""
    run = retraining(tmp_path)
    given = {"registry": run.registry, "workspace": str(tmp_path / "w")}
    with pytest.raises(ValueError, match=f"^{name}: {run.data}/own"):
        _notice(run, **given | {name: f"{run.data}/own"})
    assert not (tmp_path / "w").exists()


def test_a_run_needs_a_workspace(tmp_path):
    with pytest.raises(ValueError, match="workspace is empty"):
        _notice(retraining(tmp_path), "")


def test_what_was_refused_is_not_trained_again(tmp_path, capsys):
    """The second night: the same data, champion and settings."""
    run, workspace = retraining(tmp_path, after=0.05), str(tmp_path / "w")
    assert _notice(run, workspace) is True
    shutil.copytree(run.folder, f"{workspace}/runs/abc", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("notice.json"))  # fmt: skip
    judged = (f"{workspace}/runs/abc", run.registry, "tiny_world", [])
    assert gate_retrained.python_func(*judged) is False
    capsys.readouterr()
    assert _notice(run, workspace, run_id="second") is False
    said = capsys.readouterr().out
    found = outcome.find(said)
    assert found is not None
    assert found.kind == "nothing to do"
    for part in ("cells/AP", "run abc", "retry_refused=true"):
        assert part in said
    assert not storage.exists(f"{workspace}/runs/second")
    for changed in (
        {"retry_refused": True},
        {"settings": ["retrain.steps=9"]},
        {"settings": ["retrain.replay=none"]},
        {"train_minutes": 20.0},
        {"train_steps": 900},
        {"backbone": "photo-small"},
        {"recipe": "photographs"},
        {"dataset": "germs"},
    ):
        assert _notice(run, workspace, **changed) is True, changed
    storage.write_text(f"{run.data}/more.txt", "")
    assert _notice(run, workspace) is True


def test_a_backbone_makes_a_new_detector(tmp_path, capsys):
    """Also where there is a champion, which is left alone; without one it needs not be named."""
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    empty = str(tmp_path / "empty")
    cases = {"named": {"backbone": "resnet18"}, "no-champion": {"registry": empty}}
    for run_id, changed in cases.items():
        assert _notice(run, workspace, recipe="", run_id=run_id, **changed) is True
        noted = json.loads(storage.read_text(f"{workspace}/runs/{run_id}/notice.json"))
        assert noted["champion"] == ""
        assert noted["network"] == [changed.get("backbone", ""), ""]
    assert "new detector" in capsys.readouterr().out


def test_data_that_a_new_detector_was_made_from_is_not_new(tmp_path, capsys):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    known = [{"name": "cells", "data_version": retrain.data_version(run.data), "from": ""}]
    backbone = config.describe(photographs().model)["backbone"]
    carried = {retrain.TAUGHT: known, "recipe": {"model": {"backbone": backbone}}}
    versions.register(run.registry, "cells", tmp_path / "champion", {"cells/AP": 0.6}, carried)
    versions.promote(run.registry, "cells", 1)
    given = {"recipe": "", "backbone": "photo-small"}
    assert _notice(run, workspace, **given) is False
    assert "retry_refused=true" in capsys.readouterr().out
    longer = {"train_minutes": 60.0, "retry_refused": True}
    assert _notice(run, workspace, **given | longer) is True
    assert _notice(run, workspace, **given | {"backbone": "resnet18"}) is True
    storage.write_text(f"{run.data}/more.txt", "")
    assert _notice(run, workspace, **given) is True


@pytest.mark.parametrize("changed", [{"num_nodes": 2}, {"gpus_per_node": 4}])
def test_minutes_are_for_one_process(tmp_path, changed):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    with pytest.raises(ValueError, match=r"train_minutes=10 .*train_steps=N"):
        _notice(run, workspace, **changed)
    for length in ({"train_steps": 9}, {"train_minutes": 0}, {"settings": ["retrain.steps=9"]}):
        assert _notice(run, workspace, **changed, **length) is True


def test_what_passes_at_last_is_forgotten(tmp_path):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    assert _notice(run, workspace) is True
    folder = f"{workspace}/runs/abc"
    shutil.copytree(run.folder, folder, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("notice.json"))  # fmt: skip
    strict = (folder, run.registry, "tiny_world", ["retrain.min_gain=0.9"])
    assert gate_retrained.python_func(*strict) is False
    assert _notice(run, workspace) is False
    assert gate_retrained.python_func(folder, run.registry, "tiny_world", []) is True
    assert _notice(run, workspace) is True
    assert versions.models(run.registry) == ["toy"]


def test_what_was_rolled_back_is_not_promoted_again_the_next_night(tmp_path, capsys):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    assert _notice(run, workspace) is True
    folder = f"{workspace}/runs/abc"
    shutil.copytree(run.folder, folder, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("notice.json"))  # fmt: skip
    of_run = (folder, run.registry, "tiny_world", [])
    assert gate_retrained.python_func(*of_run) is True
    assert register_retrained.python_func(*of_run, Artifact(tmp_path / "shown")) == "toy@2"
    versions.rollback(run.registry, "toy")
    capsys.readouterr()
    assert _notice(run, workspace, run_id="second") is False
    said = capsys.readouterr().out
    for part in ("toy@2", "run abc", "omnidet models promote toy@2", "retry_refused=true"):
        assert part in said
    assert _notice(run, workspace, retry_refused=True) is True
    assert _notice(run, workspace, train_steps=9) is True


def test_without_the_old_pictures_the_champion_stays(tmp_path):
    """As with the command: what was taught so has forgotten the rest."""
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    settings = ["retrain.replay=none"]
    assert _notice(run, workspace, settings=settings) is True
    folder = f"{workspace}/runs/abc"
    shutil.copytree(run.folder, folder, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("notice.json"))  # fmt: skip
    reached = {"cells/AP": 0.5, "cells/AP50": 0.8}
    storage.write_text(f"{folder}/metrics.json", json.dumps(reached))
    of_run = (folder, run.registry, "tiny_world", settings)
    assert gate_retrained.python_func(*of_run) is True
    assert register_retrained.python_func(*of_run, Artifact(tmp_path / "shown")) == "cells@1"
    assert versions.aliases(run.registry, "toy") == {"champion": 1}
    named = {"champion": "toy", "settings": settings}
    assert _notice(run, workspace, **named) is False
    with pytest.raises(ValueError, match=r"retrain\.keep=.*retrain\.replay=none"):
        _notice(run, workspace, champion="toy", settings=[*settings, 'retrain.keep=["coco"]'])


def test_what_could_not_take_the_champion_s_place_is_said_before_anything_is_trained(tmp_path):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    versions.register(run.registry, "toy", tmp_path / "champion", {"coco/AP": 0.6}, {})
    versions.promote(run.registry, "toy", 2)
    with pytest.raises(ValueError, match=r"toy@1 .*toy@2 .*champion=toy@champion.*register\.name"):
        _notice(run, workspace, champion="toy@1")
    own = {"champion": "toy@1", "settings": ["register.name=mine"]}
    assert _notice(run, workspace, **own) is True


def test_a_champion_that_is_named_is_not_replaced_by_a_new_detector(tmp_path):
    """Where the registry holds none, its name may be wrong."""
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    named = {"champion": "toy@champion", "recipe": ""}
    with pytest.raises(ValueError, match="'toy'"):
        _notice(run, workspace, registry=str(tmp_path / "other"), **named)
    with pytest.raises(ValueError, match="champion=toy@champion backbone=resnet18"):
        _notice(run, workspace, backbone="resnet18", **named)


def test_a_setting_without_effect_is_refused_before_the_data_is_gathered(tmp_path):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    with pytest.raises(ValueError, match=r"train.steps=5 .*train_steps"):
        _notice(run, workspace, settings=["train.steps=5"])
    with pytest.raises(ValueError, match=r"none\.such"):
        _notice(run, workspace, settings=['retrain.keep=["none.such"]'])
    assert not (tmp_path / "w").exists()
