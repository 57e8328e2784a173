"""The steps of a run, out of what real servers answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kfp_server_api import ApiClient

from pipelines import run_steps
from tests.samples.kfp import recorded


def run_of(name: str) -> Any:
    """A recorded answer as the SDK gives it."""
    api = ApiClient()
    return api._ApiClient__deserialize(recorded(name), "V2beta1Run")


def _states(name: str) -> dict[str, str]:
    return {step.name: step.state for step in run_steps.steps(run_of(name))}


def test_the_step_that_failed_is_the_only_one_that_began():
    (step,) = run_steps.steps(run_of("run_failed"))
    assert (step.name, step.state, step.tries, step.seconds) == ("configure", "FAILED", 1, 39)
    assert step.nodes == ("omnidet-train-detector-wxzrr-3415874556",)


def test_steps_of_the_cache_of_a_loop_and_one_whose_driver_waits():
    states = _states("run_running")
    assert states["configure"] == "SUCCEEDED"
    assert states["plan-shards"] == "CACHED"
    assert states["build-shard-set 10"] == "CACHED"
    assert states["build-shard-set 11"] == "WAITING"
    assert len(states) == 14


def test_a_step_that_was_tried_again_has_its_newest_pod_first():
    *_, step = run_steps.steps(run_of("run_failed_in_training_then_terminated"))
    assert (step.name, step.state, step.tries) == ("train-2", "FAILED", 2)
    first, second = step.nodes
    assert first.endswith("-3955496511")
    assert second.endswith("-264670594")


def test_every_step_has_the_seconds_of_its_own_pods():
    steps = {step.name: step for step in run_steps.steps(run_of("run_succeeded"))}
    seconds = {name: steps[name].seconds for name in ("configure", "train", "evaluate", "gate")}
    assert seconds == {"configure": 39, "train": 57, "evaluate": 86, "gate": 33}
    assert steps["build-shard-set 1"].seconds == 58
    assert len({step.nodes for step in steps.values() if step.nodes}) == len(steps) - 1


def test_the_pod_of_a_step_that_the_server_does_not_list_is_found_by_its_path():
    """The list of `run_succeeded` ends at the gate, although `register` ran."""
    run = run_of("run_succeeded")
    assert "register" not in _states("run_succeeded")
    gate = next(step for step in run_steps.steps(run) if step.name == "gate")
    assert gate.nodes[0] in run_steps.hidden_nodes(run, "gate")
    assert all(
        node.startswith("omnidet-train-detector-fjhb6-")
        for node in run_steps.hidden_nodes(run, "register")
    )


def test_a_server_that_lists_plain_steps():
    error = SimpleNamespace(message="loss is not\nfinite")
    times = {"start_time": None, "end_time": None, "child_tasks": None, "state_history": None}
    details = [
        SimpleNamespace(display_name="configure", state="SUCCEEDED", error=None, **times),
        SimpleNamespace(display_name="train", state="FAILED", error=error, **times),
    ]
    run = SimpleNamespace(run_details=SimpleNamespace(task_details=details))
    found = run_steps.steps(run)
    assert [(s.name, s.state, s.message) for s in found] == [
        ("configure", "SUCCEEDED", ""),
        ("train", "FAILED", "loss is not finite"),
    ]
    assert run_steps.steps(SimpleNamespace(run_details=None)) == []
