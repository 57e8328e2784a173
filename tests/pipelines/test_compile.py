"""The compiled packages: fresh, readable, and with the settings that each step is meant to have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components as kfp_components

from omnidet import __version__
from omnidet.recipes.loading import load_recipe
from pipelines import __main__ as command
from pipelines import package
from pipelines.defaults import ROOT
from pipelines.train_detector import train_detector

FIELDS = {
    "train_images": ("world", "train_images"),
    "image_size": ("model", "image_size"),
    "train_steps": ("train", "steps"),
    "learning_rate": ("train", "optimizer", "learning_rate"),
    "seed": ("train", "seed"),
}
UNCACHED = {"configure", "gate", "show-decision", "register"}
IMAGES = {
    **dict.fromkeys(("configure", "gate", "show-decision", "register"), "control"),
    **dict.fromkeys(
        ("download", "draw-world", "plan-shards", "build-shard-set", "merge-shards"), "data"
    ),
    "build-vocabulary": "data",
    **dict.fromkeys(("train", "train-2", "evaluate"), "train"),
}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    """The pipeline in the package."""
    return package.spec(package.path("train_detector"))


@pytest.fixture(scope="module")
def tasks(spec) -> dict[str, dict[str, Any]]:
    """Every step, wherever it stands, by the name of its task; with its executor's settings."""
    _, platform = yaml.safe_load_all(package.path("train_detector").read_text())
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    found: dict[str, dict[str, Any]] = {}
    for component in [spec["root"], *spec["components"].values()]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            label = spec["components"][task["componentRef"]["name"]].get("executorLabel")
            if label:
                container = spec["deploymentSpec"]["executors"][label]["container"]
                found[name] = {
                    "task": task,
                    "container": container,
                    "kubernetes": kubernetes[label],
                }
    return found


@pytest.mark.slow
def test_the_packages_are_fresh(capsys):
    assert command.main(["compile", "--check"]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_a_stale_package_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(package, "FOLDER", tmp_path)
    assert command.main(["compile", "--check"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("stale: train_detector, retrain; run `python -m pipelines compile`")
    assert said.count("\n") == 1
    assert command.main(["compile"]) == 0
    assert command.main(["compile", "--check"]) == 0
    (tmp_path / "train_detector.yaml").write_text("old\n")
    assert command.main(["compile", "--check"]) == 1


def test_kfp_can_load_it():
    loaded = kfp_components.load_component_from_file(str(package.path("train_detector")))
    assert loaded.name == "omnidet-train-detector"


def test_defaults_are_those_of_params_yaml_and_of_the_recipe(spec):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    recipe = load_recipe(None, params["recipe"], [])
    assert inputs["recipe"]["defaultValue"] == params["recipe"]
    for parameter, path in FIELDS.items():
        in_file, in_recipe = params, recipe
        for name in path:
            in_file, in_recipe = in_file[name], getattr(in_recipe, name)
        assert inputs[parameter]["defaultValue"] == in_file == in_recipe


def test_every_parameter_has_a_default_and_a_description(spec):
    for name, parameter in spec["root"]["inputDefinitions"]["parameters"].items():
        assert "defaultValue" in parameter, name
        assert len(parameter["description"]) > 20, name


def test_each_step_has_its_image(tasks):
    assert {name: entry["container"]["image"] for name, entry in tasks.items()} == {
        name: f"ghcr.io/omnidet/{kind}:{__version__}" for name, kind in IMAGES.items()
    }


def test_no_image_moves(tasks):
    assert "latest" not in package.path("train_detector").read_text()
    for name in ("train", "train-2"):  # of the pods of a TrainJob
        image = tasks[name]["task"]["inputs"]["parameters"]["image"]["runtimeValue"]["constant"]
        assert image == f"ghcr.io/omnidet/train:{__version__}"


def test_nothing_is_installed_when_a_step_starts():
    assert "pip install" not in package.path("train_detector").read_text()


def test_each_step_is_tried_again_and_ends_some_time(tasks):
    for name, entry in tasks.items():
        assert entry["task"]["retryPolicy"]["maxRetryCount"] == 2, name
        assert int(entry["kubernetes"]["activeDeadlineSeconds"]) >= 3600, name
    assert int(tasks["train"]["kubernetes"]["activeDeadlineSeconds"]) == 7 * 86400


def test_only_what_depends_on_the_outside_is_not_cached(tasks):
    cached = {
        name for name, entry in tasks.items() if entry["task"]["cachingOptions"].get("enableCache")
    }
    assert cached == set(tasks) - UNCACHED


def test_the_data_is_downloaded_before_it_is_read_and_cached_by_what_it_is(tasks):
    given = tasks["download"]["task"]["inputs"]["parameters"]
    assert {name: value["componentInputParameter"] for name, value in given.items()} == {
        "data": "data", "data_version": "data_version", "names": "download", "catalogue": "catalogue", "recipe": "recipe"
    }  # fmt: skip
    assert tasks["download"]["task"]["dependentTasks"] == [
        "configure"
    ]  # which refuses a wrong name
    read = tasks["draw-world"]["task"]["inputs"]["parameters"]["data"]
    assert read == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "download"}
    }
    assert {"download", "catalogue"} <= tasks["configure"]["task"]["inputs"]["parameters"].keys()
    assert int(tasks["download"]["kubernetes"]["activeDeadlineSeconds"]) == 48 * 3600


def test_each_step_finds_the_object_store_by_reference(tasks):
    for name, entry in tasks.items():
        (secret,), (settings, *others) = (
            entry["kubernetes"]["secretAsEnv"],
            entry["kubernetes"]["configMapAsEnv"],
        )
        assert {pair["envVar"] for pair in secret["keyToEnv"]} == {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        }, name
        assert {pair["envVar"] for pair in settings["keyToEnv"]} == {
            "AWS_ENDPOINT_URL",
            "AWS_REGION",
        }, name
        told = {pair["envVar"] for other in others for pair in other["keyToEnv"]}
        assert told == (
            {"MODEL_REGISTRY_ADDRESS"} if name in ("configure", "register") else set()
        ), name
        assert all(given["optional"] for given in (secret, settings, *others)), name
        assert "env" not in entry["container"], name  # it would replace what DockerRunner passes on


def test_training_and_evaluation_are_placed_by_parameters(tasks):
    for name, entry in tasks.items():
        own = entry["kubernetes"]
        if name not in ("train", "evaluate"):
            assert not {"emptyDirMounts", "nodeSelector", "tolerations"} & set(own), name
            assert "resources" not in entry["container"], name
            continue
        assert own["emptyDirMounts"] == [
            {"medium": "Memory", "mountPath": "/dev/shm", "volumeName": "dshm"}
        ]
        assert "nodeSelectorJson" in own["nodeSelector"]
        assert "tolerationJson" in own["tolerations"][0]
        resources = entry["container"]["resources"]
        assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
        assert "gpus_per_node" in resources["accelerator"]["resourceCount"]
        assert "memory" in resources["resourceMemoryLimit"]


def test_the_run_id_is_the_whole_value_of_a_parameter(tasks):
    inputs = tasks["configure"]["task"]["inputs"]["parameters"]
    assert inputs["run_id"]["runtimeValue"]["constant"] == "{{$.pipeline_job_uuid}}"


def test_the_loop_takes_nothing_from_other_steps_but_its_item(spec):
    """`kfp.local` puts the item in the place of any other step's output."""
    (loop,) = [
        t for c in [spec["root"]] for t in c["dag"]["tasks"].values() if "parameterIterator" in t
    ]
    assert [
        value for value in loop["inputs"]["parameters"].values() if "taskOutputParameter" in value
    ] == [{"taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "plan-shards"}}]
    assert loop["iteratorPolicy"] == {"parallelismLimit": 4}


def test_the_package_is_small():
    """Its text stands several times in the Workflow object, which has to fit into 1.5 MB (kubeflow/pipelines#13738)."""
    assert package.path("train_detector").stat().st_size < 100_000


@pytest.mark.parametrize("tag", ["latest", "", "a b"])
def test_moving_tags_are_refused(tag):
    ran = _images({"OMNIDET_IMAGE_TAG": tag})
    assert ran.returncode != 0
    assert "names no fixed version" in ran.stderr


def test_images_of_a_team():
    ran = _images(
        {
            "OMNIDET_IMAGE_TAG": "1.2-cuda",
            "OMNIDET_IMAGE_REPOSITORY": "registry.example.com:5000/team/",
        }
    )
    assert ran.stdout.strip() == "registry.example.com:5000/team/train:1.2-cuda"
    assert "is no image repository" in _images({"OMNIDET_IMAGE_REPOSITORY": "has space"}).stderr


def _images(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from components import images; print(images.TRAIN)"],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_version_names_package_and_commit(tmp_path, monkeypatch):
    assert re.fullmatch(
        rf"{re.escape(__version__)}-[0-9a-f]{{12}}(-dirty-[0-9a-f]{{12}})?",
        package.version(package.path("train_detector")),
    )
    monkeypatch.setattr(package, "ROOT", Path(tmp_path))
    assert re.fullmatch(
        rf"{re.escape(__version__)}-unknown-[0-9a-f]{{12}}",
        package.version(package.path("train_detector")),
    )


def test_the_pipeline_has_the_name_of_its_module():
    assert train_detector.name == "omnidet-train-detector"


def test_retraining_tells_the_model_registry_what_it_registers():
    first, *rest = yaml.safe_load_all(package.path("retrain").read_text())
    told = {
        name.removeprefix("exec-")
        for name, entry in rest[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items()
        for given in entry["configMapAsEnv"]
        for pair in given["keyToEnv"]
        if pair["envVar"] == "MODEL_REGISTRY_ADDRESS"
    }
    assert told == {"notice-new-data", "register-taught"}
    assert {f"exec-{name}" for name in told} <= set(first["deploymentSpec"]["executors"])
