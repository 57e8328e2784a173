"""The train step: every parameter arrives where the training is started."""

from __future__ import annotations

import dataclasses

from components.run import training
from components.train import train
from tests.components.run.test_training import NODES


def test_every_parameter_arrives(monkeypatch):
    arrived = []
    monkeypatch.setattr(training, "train", lambda *given: arrived.append(given) or "s3://b/model")
    nodes = dataclasses.replace(
        NODES,
        num_nodes=2,
        gpus_per_node=8,
        cpus_per_node="8",
        memory_per_node="256Gi",
        node_selector={"gpu": "true"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
    )
    given = ("s3://b/shards", "s3://b/words", "s3://b/run", "tiny_world", ["train.steps=3"])
    assert train.python_func(*given, **dataclasses.asdict(nodes)) == "s3://b/model"
    assert arrived == [(*given, nodes)]
