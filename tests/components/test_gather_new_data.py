"""New data into the folder of the run."""

from __future__ import annotations

from components.gather_new_data import gather_new_data
from components.run import configuration, retrain
from tests.components.test_configure import SIZE


def test_every_parameter_arrives(monkeypatch):
    arrived = []
    monkeypatch.setattr(retrain, "gather", lambda *given: arrived.append(given))
    settings = ["retrain.steps=3"]
    given = ("s3://b/d", "s3://b/r", "s3://b/w", "abc", "tiny_world", settings)
    folder, *pods = gather_new_data.python_func(*given, **SIZE)
    assert tuple(pods) == configuration.pods(configuration.Size(**SIZE))
    run = "s3://b/w/runs/abc"
    assert (folder, arrived) == (run, [("s3://b/d", run, "s3://b/r", "tiny_world", settings)])


def test_its_outputs_are_the_folder_and_the_pods():
    outputs = gather_new_data.component_spec.outputs
    assert tuple(outputs) == ("run_folder", *configuration.Pods._fields)
