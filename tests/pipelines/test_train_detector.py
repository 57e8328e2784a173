"""The main pipeline, as its package holds it."""

from __future__ import annotations

from collections import Counter

from omnidet import __version__
from pipelines.train_detector import TRAIN_HOURS, train_detector
from tests.pipelines import pods
from tests.samples import kfp

IMAGES = {
    **dict.fromkeys(("configure", "gate", "show-decision", "register"), "control"),
    **dict.fromkeys(
        ("download", "draw-world", "plan-shards", "build-shard-sets", "merge-shards"), "data"
    ),
    "build-vocabulary": "data",
    **dict.fromkeys(("train", "evaluate"), "train"),
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
    image = tasks["train"]["task"]["inputs"]["parameters"]["image"]["runtimeValue"]["constant"]
    assert image == f"ghcr.io/omnidet/train:{__version__}"


def test_training_ends_in_time(tasks):
    given = tasks["train"]["task"]["inputs"]["parameters"]["deadline_seconds"]
    job = given["runtimeValue"]["constant"]
    assert job == TRAIN_HOURS * 3600
    pod = int(tasks["train"]["kubernetes"]["activeDeadlineSeconds"])
    assert pod > job  # it also waits in the queue


def test_the_run_id_is_the_whole_value_of_a_parameter(tasks):
    inputs = tasks["configure"]["task"]["inputs"]["parameters"]
    assert inputs["run_id"]["runtimeValue"]["constant"] == "{{$.pipeline_job_uuid}}"


def test_a_run_on_small_data_takes_few_pods(spec):
    """With one group of shard sets, and registered at the end; each driver is a pod too."""
    assert pods.count(spec, items=1) <= 30
    assert pods.count(spec, items=4) <= 40


def test_pods_are_counted_as_a_cluster_made_them(spec):
    """The recorded run had a pod for each of 11 sets, and two branches for training."""
    recorded = kfp.recorded("run_succeeded")["run_details"]
    names = Counter(task.get("display_name") for task in recorded["task_details"])
    loop = [f"{name}-driver(0)" for name in ("iteration", "iteration-item", "build-shard-set")]
    assert [names[name] for name in loop] == [1, 11, 11]
    # A driver of each iteration, and driver and container of what it runs.
    assert pods.count(spec, items=11) - pods.count(spec, items=1) == 3 * 10
    branches = [f"{name}-driver(0)" for name in ("condition-branches-2", "condition-3")]
    assert [names[name] for name in branches] == [1, 1]
    assert names["condition-4-driver(0)"] == 1  # also of the branch that was not taken
    assert pods.count(spec, items=11) == 61 - len([*branches, "condition-4"])
