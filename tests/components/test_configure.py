"""The first step: every parameter reaches the checks, and its outputs are what later steps read."""

from __future__ import annotations

import dataclasses

from components.configure import configure
from components.run import configuration

GIVEN = {
    "recipe": "tiny_world",
    "settings": ["mixing.workers=0"],
    "train_images": 40,
    "image_size": 64,
    "train_steps": 7,
    "learning_rate": 0.01,
    "seed": 3,
    "data": "s3://b/d",
    "data_version": "2",
    "workspace": "s3://b/w",
    "run_id": "abc",
    "download": ["coco"],
    "catalogue": "own.toml",
    "registry": "s3://b/r",
    "num_nodes": 2,
    "gpus_per_node": 4,
    "cpu": "3",
    "memory": "9Gi",
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
}


def test_every_parameter_arrives(monkeypatch):
    arrived = []
    monkeypatch.setattr(configuration, "configure", arrived.append)
    configure.python_func(**GIVEN)
    assert dataclasses.asdict(arrived[0]) == GIVEN


def test_its_outputs_are_those_of_the_configuration():
    outputs = configure.component_spec.outputs
    assert tuple(outputs) == configuration.Configured._fields
