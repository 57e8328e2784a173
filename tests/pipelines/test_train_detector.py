"""The main pipeline, as its package holds it."""

from __future__ import annotations

from omnidet import __version__
from pipelines.train_detector import TRAIN_HOURS, train_detector

IMAGES = {
    **dict.fromkeys(("configure", "gate", "show-decision", "register"), "control"),
    **dict.fromkeys(
        ("download", "draw-world", "plan-shards", "build-shard-set", "merge-shards"), "data"
    ),
    "build-vocabulary": "data",
    **dict.fromkeys(("train", "train-2", "evaluate"), "train"),
}


def test_its_name_is_that_of_its_module():
    assert train_detector.name == "omnidet-train-detector"


def test_every_parameter_has_a_default_and_a_description(spec):
    for name, parameter in spec["root"]["inputDefinitions"]["parameters"].items():
        assert "defaultValue" in parameter, name
        assert len(parameter["description"]) > 20, name


def test_each_step_has_its_image(tasks):
    assert {name: entry["container"]["image"] for name, entry in tasks.items()} == {
        name: f"ghcr.io/omnidet/{kind}:{__version__}" for name, kind in IMAGES.items()
    }


def test_the_pods_of_a_trainjob_get_the_same_image(tasks):
    for name in ("train", "train-2"):
        image = tasks[name]["task"]["inputs"]["parameters"]["image"]["runtimeValue"]["constant"]
        assert image == f"ghcr.io/omnidet/train:{__version__}"


def test_training_ends_in_time(tasks):
    def deadline(name: str) -> int:
        return int(tasks[name]["kubernetes"]["activeDeadlineSeconds"])

    assert deadline("train") == TRAIN_HOURS * 3600
    assert deadline("train-2") > deadline("train")  # it also waits in the queue


def test_the_run_id_is_the_whole_value_of_a_parameter(tasks):
    inputs = tasks["configure"]["task"]["inputs"]["parameters"]
    assert inputs["run_id"]["runtimeValue"]["constant"] == "{{$.pipeline_job_uuid}}"
