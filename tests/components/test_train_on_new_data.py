"""The training of a retraining."""

from __future__ import annotations

import dataclasses

from components.run import retrain
from components.train_on_new_data import train_on_new_data
from tests.components.run.test_training import NODES


def test_every_parameter_arrives(monkeypatch):
    arrived = []
    monkeypatch.setattr(retrain, "train", lambda *given: arrived.append(given) or "model")
    given = ("folder", "s3://b/r", "tiny_world", ["retrain.steps=3"])
    nodes = dataclasses.replace(NODES, num_nodes=2, gpus_per_node=8, cpus_per_node="4")
    length = {"train_minutes": 5.0, "train_steps": 7}
    called = train_on_new_data.python_func(*given, **length, **dataclasses.asdict(nodes))
    assert (called, arrived) == ("model", [(*given, nodes, 5.0, 7)])
