"""Parts to sets to a shard folder: complete, built alike, counted, and reported."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from omnidet.data import shards
from omnidet.data.annotated import cut, write
from omnidet.data.annotated.read import read
from omnidet.data.sharding import build, finish
from omnidet.data.sharding.config import Dataset, ShardsConfig
from tests.data.annotated.drawing import LOSSY, Folder
from tests.data.sharding.small import CONFIG, WEB, one
from tests.data.sources.handmade import coco_files, write_coco, write_laion


def test_the_index_says_how_often_each_name_occurs(index, tmp_path):
    """So training starts without a pass over all shards, which may be on an object store."""
    assert set(index.names) == {
        d.set_name for d in CONFIG.train if d.source not in ("laion", "cc12m")
    }
    for name, counts in index.names.items():
        assert counts == Counter(
            phrase for record in shards.texts(index, name) for phrase in set(record.phrases)
        ), name
    content = json.loads(Path(index.location, "index.json").read_text())
    del content["names"]
    (tmp_path / "index.json").write_text(json.dumps(content))
    unnamed = shards.read_index(tmp_path)
    assert unnamed.names == {}
    assert unnamed.dataset_version == index.dataset_version
    assert shards.combine(tmp_path / "combined", [unnamed, index]).names == index.names
    assert shards.combine(tmp_path / "combined", [index, unnamed]).names == {}


def test_descriptions_are_not_counted(world, tmp_path, monkeypatch):
    """A set with more distinct phrases than any list of names holds descriptions."""
    monkeypatch.setattr(shards, "MAX_COUNTED_NAMES", 20)
    assert set(build.build(world, str(tmp_path / "out"), CONFIG).names) == {"train/coco"}


def test_the_report_for_people(index):
    text = finish.describe(index)
    assert f"data version {index.dataset_version[:12]}" in text
    assert "train/laion: 2 images held out: near copy of coco val2017" in text
    assert "quarantined: 1 x coco: record: truncated image" in text
    assert "train/coco                     40 images in 4 shards" in text


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize(
    "dataset",
    [
        one("train/coco", "coco"),
        one("eval/coco", "coco"),
        Dataset("train/cc12m", "cc12m", "cc12m", "train"),
    ],
)
def test_a_dataset_without_images_stops_the_build(tmp_path, dataset, optional):
    """Files that exist and hold nothing are damaged, in an optional dataset too."""
    coco_files(tmp_path / "coco", [], [])
    (tmp_path / "cc12m").mkdir()
    tarfile.open(tmp_path / "cc12m/00000.tar", "w").close()
    dataset = dataclasses.replace(dataset, optional=optional)
    is_training = dataset.set_name.startswith("train/")
    config = ShardsConfig((dataset,), ()) if is_training else ShardsConfig((), (dataset,))
    with pytest.raises(ValueError, match=f"{dataset.set_name}: {dataset.source} .*optional"):
        build.build(tmp_path, str(tmp_path / "out"), config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change", [{"samples_per_shard": 2}, {"max_side": 16}, {"hash_images": False}, "elsewhere"]
)
def test_parts_that_were_built_differently_are_no_set(tmp_path, change):
    """Pieces of another size would lose images and hold others twice."""
    write_coco(tmp_path / "coco")
    write_laion(tmp_path / "laion")
    shutil.copytree(tmp_path / "laion", tmp_path / "elsewhere")
    config, out = ShardsConfig((WEB,), (one("eval/coco", "coco"),), 1), str(tmp_path / "out")
    paths = {"laion": str(tmp_path / "elsewhere")} if change == "elsewhere" else None
    other = config if change == "elsewhere" else dataclasses.replace(config, **change)

    def built(number, config, paths=None) -> None:
        kept_out = build.plan(tmp_path, config).held_out
        build.build_set(tmp_path, out, "train/laion", kept_out, config, paths, (number, 2))

    built(1, config)
    built(2, other, paths)
    with pytest.raises(ValueError, match=r"train/laion: part 2/2 .* part 1/2"):
        finish.finish_set(out, "train/laion")
    built(1, other, paths)
    finish.finish_set(out, "train/laion")


def test_parts_of_an_abandoned_build_are_not_used(tmp_path):
    write_laion(tmp_path / "laion")
    config, out = ShardsConfig((WEB,), (), 1), str(tmp_path / "out")
    kept_out = build.plan(tmp_path, config).held_out
    build.build_set(tmp_path, out, "train/laion", kept_out, config)
    larger = dataclasses.replace(config, samples_per_shard=2)
    for number in (1, 2):
        build.build_set(tmp_path, out, "train/laion", kept_out, larger, part=(number, 2))
    finish.finish_set(out, "train/laion")
    finish.merge(out, ["train/laion"])
    assert [shard.samples for shard in shards.read_index(out).shards("train/laion")] == [2]


def test_a_missing_part_is_named(tmp_path):
    write_laion(tmp_path / "laion")
    config, out = ShardsConfig((WEB,), (), 1), str(tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"train/laion: .*none"):
        finish.finish_set(out, "train/laion")
    kept_out = build.plan(tmp_path, config).held_out
    build.build_set(tmp_path, out, "train/laion", kept_out, config, part=(1, 2))
    with pytest.raises(FileNotFoundError, match=r"train/laion: .*1/2"):
        finish.finish_set(out, "train/laion")


def test_a_merge_leaves_only_what_the_folder_needs(tmp_path):
    write_laion(tmp_path / "laion")
    config, out = ShardsConfig((WEB,), (), 1), str(tmp_path / "out")
    kept_out = build.plan(tmp_path, config).held_out
    build.build_set(tmp_path, out, "train/laion", kept_out, config)
    (tmp_path / "out/train/laion/000009.tar").write_bytes(b"of an earlier build")
    finish.finish_set(out, "train/laion")
    finish.merge(out, ["train/laion"])
    assert sorted(p.relative_to(out).as_posix() for p in Path(out).rglob("*") if p.is_file()) == [
        "index.json",
        "quarantine.jsonl",
        "train/laion/000000.tar",
        "train/laion/000001.tar",
        "train/laion/index.json",
        "train/laion/quarantine.jsonl",
    ]


def test_another_run_that_begins_with_a_set_does_not_stop_the_merge(tmp_path, monkeypatch):
    """Two runs of a pipeline with the same data share the folder."""

    class StoppedError(Exception):
        pass

    def stop(*_):
        raise StoppedError

    write_laion(tmp_path / "laion")
    config, own = ShardsConfig((WEB,), (), 1), "train/laion"
    kept_out = build.plan(tmp_path, config).held_out
    alone, shared = (str(tmp_path / name) for name in ("alone", "shared"))
    for out in (alone, shared):
        build.build_set(tmp_path, out, own, kept_out, config)
        finish.finish_set(out, own)
    monkeypatch.setattr(build.pieces, "build", stop)
    with pytest.raises(StoppedError):
        build.build_set(tmp_path, shared, own, kept_out, config)
    for out in (alone, shared):
        finish.merge(out, [own])
    one_run, two_runs = (shards.read_index(out) for out in (alone, shared))
    assert two_runs.dataset_version == one_run.dataset_version
    assert two_runs.report == one_run.report


def test_the_account_of_an_annotated_folder_goes_into_the_index(tmp_path):
    folder, dataset = Folder(tmp_path / "in"), tmp_path / "dataset"
    folder.coco(count=12, change=lambda content: content["annotations"].append({"category_id": 1}))
    dataset.mkdir()
    summary = write.write(cut.cut(read(folder.root, LOSSY)), dataset, "1")
    assert summary["account"]["boxes"]["left_out"]
    config = ShardsConfig(
        (Dataset("train/mine", "annotated", ".", "train"),),
        (Dataset("eval/mine", "annotated", ".", "evaluation"),),
        hash_images=False,
    )
    index = build.build(dataset, str(tmp_path / "shards"), config)
    assert index.report["accounts"] == {"mine": summary["account"]}
    combined = shards.combine(tmp_path / "combined", [index])
    assert combined.report["accounts"] == index.report["accounts"]
