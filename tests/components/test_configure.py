"""The first step: every parameter reaches the checks, and its outputs are what later steps read."""

from __future__ import annotations

import dataclasses

from components.configure import configure
from components.run import configuration

GIVEN = {
    "recipe": "tiny_world",
    "settings": ["mixing.workers=0"],
    "backbone": "photo-small",
    "backbone_weights": "s3://b/lite2.pth",
    "train_steps": 7,
    "data": "s3://b/d",
    "data_version": "2",
    "workspace": "s3://b/w",
    "run_id": "abc",
    "download": ["coco"],
    "registry": "s3://b/r",
}
SIZE = {
    "num_nodes": 2,
    "gpus_per_node": 4,
    "cpus_per_node": "3",
    "memory_per_node": "9Gi",
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
}


def test_every_parameter_arrives(monkeypatch):
    arrived = []
    monkeypatch.setattr(configuration, "configure", arrived.append)
    configure.python_func(**GIVEN, **SIZE)
    assert dataclasses.asdict(arrived[0]) == {**GIVEN, "size": SIZE}


def test_its_outputs_are_those_of_the_configuration():
    outputs = configure.component_spec.outputs
    assert tuple(outputs) == configuration.Configured._fields
