"""Settings and folders of a run, from what a person gives to the pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from components.run import configuration, places
from omnidet import storage
from tests import toy_runs

SMALL: dict[str, Any] = {
    "recipe": "tiny_world",
    "settings": ["world.train_images=40", *toy_runs.SMALL],
    "train_steps": 7,
    "workspace": "s3://b/w",
    "run_id": "abc",
}


NO_CATALOGUE = "download.catalogue=/no/such.toml"


def _configured(**changes: Any) -> configuration.Configured:
    return configuration.configure(configuration.RunParameters(**{**SMALL, **changes}))


def test_settings_are_split_by_what_they_shape():
    run = _configured()
    assert run.run_folder == "s3://b/w/runs/abc"
    assert run.settings == ["train.steps=7", *SMALL["settings"]]  # the last one counts
    assert all(s.startswith(("world.", "shards.")) for s in run.data_settings)
    assert run.vocabulary_settings == ["vocabulary.size=600"]


def test_the_pod_of_the_train_step_trains_on_one_node_and_watches_many():
    selector, tolerations = {"pool": "gpu"}, [{"key": "gpu", "operator": "Exists"}]
    asked = (8.0, "30", "200Gi", selector, tolerations)
    one, many = (_configured(size=configuration.Size(count, *asked)) for count in (1, 4))
    assert (one.train_gpus, one.train_cpu, one.train_memory) == ("8", "30", "200Gi")
    assert one.train_node_selector == selector
    assert one.train_tolerations == tolerations
    assert (many.train_gpus, many.train_cpu) == ("", "100m")
    assert one.gpus == many.gpus == "1"  # an evaluation is one process
    assert (many.train_node_selector, many.train_tolerations) == ({}, [])
    none = _configured()
    assert (none.gpus, none.train_gpus) == ("", "")


def test_steps_that_are_0_are_the_recipes():
    assert _configured(settings=["train.seed=3"], train_steps=0).settings == ["train.seed=3"]


def test_a_backbone_comes_before_the_settings_that_change_it():
    run = _configured(backbone="photo-small", settings=["model.backbone.depth=1"])
    backbone = places.recipe("tiny_world", run.settings).model.backbone
    assert (backbone.kind, backbone.depth) == ("timm_features", 1)
    assert not any(s.startswith("model.") for s in run.data_settings)


def test_what_is_rarely_needed_is_among_the_settings(tmp_path):
    own = ["job.queue=team", "download.catalogue=s3://b/own.toml"]
    run = _configured(settings=own)
    assert run.settings[-2:] == own
    assert run.data_settings == ["download.catalogue=s3://b/own.toml"]
    assert places.recipe("tiny_world", run.settings).train.steps == 7


def test_whole_numbers_that_come_as_floats_are_whole():
    assert "train.steps=7" in _configured(train_steps=7.0).settings


def test_the_data_folder_depends_on_what_the_data_is_made_from():
    folder = _configured().data_folder
    assert folder == _configured(run_id="other", train_steps=9).data_folder
    others = [
        _configured(data_version="2"),
        _configured(data="s3://b/d"),
        _configured(settings=[*toy_runs.SMALL, "shards.samples_per_shard=7"]),
        _configured(data="s3://b/d", download=["coco"]),
        _configured(data="s3://b/d", download=["lvis", "coco"]),
    ]
    assert len({folder, *(other.data_folder for other in others)}) == 6
    sorted_names = _configured(data="s3://b/d", download=["coco", "lvis"])
    assert others[-1].data_folder == sorted_names.data_folder


@pytest.mark.s3
def test_changed_data_behind_the_same_uri_is_other_data(s3):
    """A schedule gives the same parameters each time, and KFP caches by these."""
    data = f"{s3.uri}/team"
    places_ = {"workspace": f"{data}/pipeline", "registry": f"{data}/registry"}

    def folder(**changes: Any) -> str:
        given = {"recipe": "coco_folder", "settings": [], "data": data, **places_, **changes}
        return _configured(**given).data_folder

    storage.write_bytes(f"{data}/annotations/a.json", b"1")
    first = folder()
    named = [folder(data_version="7"), folder(download=["coco"]), folder(registry="")]
    storage.write_bytes(f"{data}/pipeline/runs/1/metrics.json", b"{}")
    storage.write_bytes(f"{data}/registry/a/1/config.json", b"{}")
    assert folder() == first
    storage.write_bytes(f"{data}/annotations/a.json", b"2")
    second = folder()
    storage.write_bytes(f"{data}/annotations/b.json", b"2")
    assert len({first, second, folder()}) == 3
    assert named == [folder(data_version="7"), folder(download=["coco"]), folder(registry="")]


@pytest.mark.s3
@pytest.mark.parametrize(
    ("data", "workspace"),
    [("team/datasets/coco", "team"), ("team/data/coco", "team"), ("data", "pipeline"), ("", "")],
)
def test_data_may_lie_beside_what_runs_write(s3, data, workspace):
    """In the workspace, apart from it, or all of it in one bucket."""
    data, workspace = (f"{s3.uri}/{place}".rstrip("/") for place in (data, workspace))
    given = {"recipe": "coco_folder", "settings": [], "data": data, "workspace": workspace}
    given["registry"] = f"{workspace}/registry"

    def folder() -> str:
        return _configured(**given).data_folder

    storage.write_bytes(f"{data}/annotations/a.json", b"1")
    first = folder()
    for own in ("runs/1/metrics.json", "data/0123456789ab/shards/index.json"):
        storage.write_bytes(f"{workspace}/{own}", b"{}")
    assert folder() == first
    storage.write_bytes(f"{data}/annotations/a.json", b"2")
    assert folder() != first


@pytest.mark.parametrize("name", ["data", "runs"])
@pytest.mark.parametrize("ending", ["", "/"])
def test_data_is_not_where_runs_write(name, ending):
    """Each run would find other data there than the one before."""
    with pytest.raises(ValueError, match=f"data=s3://b/w/{name}.* workspace=s3://b/w"):
        _configured(
            recipe="coco_folder", settings=[], data=f"s3://b/w/{name}{ending}", workspace="s3://b/w"
        )


def test_given_data_leaves_the_world_alone():
    run = _configured(recipe="coco_folder", settings=[], data="s3://b/coco")
    assert not any(s.startswith("world.") for s in run.settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": ["train.stps=1"]}, "train.stps"),
        ({"settings": ["train.steps=many"]}, "train.steps.*int"),
        ({"recipe": "none"}, "none"),
        ({"recipe": "coco_folder", "settings": []}, "coco_folder .*`data`"),
        ({"run_id": ""}, "no id"),
        ({"data": "s3://b/d", "download": ["coco", "none"]}, "'none' .*coco, lvis"),
        ({"download": ["coco"]}, r'download=\["coco"\].*`data`'),
        ({"data": "s3://b/d", "download": ["flickr30k"]}, "flickr30k .*licence at https"),
        ({"data": "s3://b/d", "download": ["laion-list"]}, "laion-list .*token HF_TOKEN"),
        (
            {
                "data": "s3://b/d",
                "download": ["coco"],
                "settings": ["download.catalogue=/no/such.toml"],
            },
            "such.toml",
        ),
        ({"size": configuration.Size(memory_per_node="16")}, "memory_per_node='16' .*16Gi"),
        ({"size": configuration.Size(memory_per_node="16GB")}, "memory_per_node='16GB'"),
        ({"size": configuration.Size(num_nodes=0)}, "num_nodes=0"),
        ({"registry": __file__}, "registry=.*test_configuration.py"),
        ({"workspace": ""}, "workspace is empty"),
        ({"settings": ["world.train_images=40"]}, "refcocog_val_images is 300"),
    ],
)
def test_wrong_parameters_are_refused(changes, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        _configured(**changes)


@pytest.mark.parametrize("name", ["data", "workspace", "registry"])
def test_folders_of_a_pod_are_refused(tmp_path, monkeypatch, name):
    given = {"data": str(tmp_path), "download": ["coco"]} if name == "data" else {}
    given[name] = str(tmp_path)
    assert _configured(**given)
    monkeypatch.setattr(places, "NAMESPACE_FILE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team\n")
    with pytest.raises(ValueError, match=f"{name}={tmp_path} .*s3://"):
        _configured(**given)


def test_a_registry_that_is_away_is_noticed_if_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL_REGISTRY_ADDRESS", "model-registry:8080")
    assert _configured()
    with pytest.raises(ValueError, match="MODEL_REGISTRY_ADDRESS"):
        _configured(registry=str(tmp_path))
