"""Shards from and to an object store: only what a set reads is fetched."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet import object_folders, object_store, storage
from omnidet.data import shards
from omnidet.data.sharding import build
from tests.data.sharding.small import CONFIG, files_of

pytestmark = pytest.mark.s3


def test_built_from_and_to_an_object_store_the_bytes_are_the_same(s3, world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    object_folders.upload_folder(world, f"{s3.uri}/data", "")
    requests, real = [], object_store.fetch

    def download(file, bucket, key, *more):
        fetched = real(file, bucket, key, *more)  # raises if an image is looked for in vain
        if key.startswith("data/"):
            requests.append(key.removeprefix("data/"))
        return fetched

    monkeypatch.setattr(object_store, "fetch", download)
    config = dataclasses.replace(CONFIG, workers=1, max_bad_share=0.9)
    planned = build.plan(f"{s3.uri}/data", config)
    # The only training images that are read are those evaluated on: LVIS's and RefCOCOg's.
    assert len({name for name in requests if "train2017/" in name}) == 3 + 4 + 4

    requests.clear()
    build.build_set(f"{s3.uri}/data", f"{s3.uri}/out", "train/refcocog", planned.held_out, config)
    assert {name.split("/")[0] for name in requests} == {"coco"}
    images = [name for name in requests if name.endswith(".jpg")]
    assert 0 < len(images) == len(set(images)) < len(list((world / "coco/train2017").iterdir()))
    assert not [
        name for name in requests if "lvis" in name or "captions" in name or "val2017/" in name
    ]

    requests.clear()
    build.build_set(f"{s3.uri}/data", f"{s3.uri}/out", "train/refcocog", planned.held_out, config)
    assert not [name for name in requests if name.endswith(".jpg")]  # it is there already

    monkeypatch.setattr(object_store, "fetch", real)
    remote = build.build(f"{s3.uri}/data", f"{s3.uri}/out", config)
    local = build.build(world, str(tmp_path / "local"), config)
    assert remote.dataset_version == local.dataset_version
    found = files_of(local.location)
    assert storage.list_files(f"{s3.uri}/out") == sorted(found)
    for name in (name for name in found if name.endswith("index.json")):
        assert storage.read_bytes(f"{s3.uri}/out/{name}") == found[name]
    theirs = [r.image for r in shards.records(remote, "train/laion")]
    assert theirs == [r.image for r in shards.records(local, "train/laion")]


def test_the_old_index_goes_before_the_first_new_shard(s3, world):
    config = dataclasses.replace(CONFIG, train=(), evaluation=CONFIG.evaluation[:1], workers=1)
    build.build(world, f"{s3.uri}/out", config)
    (world / "coco/annotations/instances_val2017.json").rename(world / "away")
    with pytest.raises(FileNotFoundError, match="instances_val2017"):
        build.build(world, f"{s3.uri}/out", config)
    assert storage.exists(f"{s3.uri}/out/index.json")  # the plan fails before anything changes
    (world / "away").rename(world / "coco/annotations/instances_val2017.json")
