"""Datasets to shards on a small world: counts as planted, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from omnidet import storage
from omnidet.cli import main
from omnidet.data import shards
from omnidet.data.sharding import build, finish
from omnidet.data.sharding.config import Dataset, ShardsConfig
from tests.data.sharding.small import CONFIG, SMALL, WEB, files_of, one
from tests.data.sources.handmade import (
    box,
    coco_files,
    coco_image,
    jpeg,
    write,
    write_cc12m,
    write_coco,
    write_flickr30k,
    write_laion,
)

# What the report calls a planted fault, where the words differ.
REPORTED_AS = {
    "missing image": "missing image file",
    ("laion", "missing image"): "dead link",
    ("refcocog", "empty caption"): "empty phrase",
}


def test_quarantine_is_as_planted(index, facts):
    expected = Counter(
        {
            (source, REPORTED_AS.get((source, kind), REPORTED_AS.get(kind, kind))): count
            for source, planted in facts["broken"].items()
            for kind, count in planted.items()
        }
    )
    expected["laion", "duplicate url"] = facts["laion"]["duplicate rows"]
    found = Counter()
    for key, count in index.report["quarantined"].items():
        source, _, reason = key.split(": ", 2)
        found[source, reason] += count
    assert found == expected
    lines = [
        json.loads(line)
        for line in Path(index.location, "quarantine.jsonl").read_text().splitlines()
    ]
    assert Counter((line["source"], line["reason"]) for line in lines) == expected


def test_nothing_is_lost_silently(index, facts):
    sizes = {name: shards.num_samples(members) for name, members in index.sets.items()}
    assert sizes["train/coco"] == facts["coco"]["usable"] == SMALL.train_images
    assert sizes["eval/coco"] == SMALL.val_images
    assert sizes["eval/refcocog"] == SMALL.refcocog_val_images
    assert sizes["eval/refcocog_unseen"] == SMALL.refcocog_test_images
    assert sizes["eval/lvis"] == SMALL.val_images + SMALL.lvis_val_from_train
    assert sizes["train/flickr30k"] == SMALL.flickr30k_train - 3
    assert sizes["train/laion"] == sizes["train/cc12m"] == SMALL.laion_images - 4
    assert list(index.sets) == sorted(d.set_name for d in (*CONFIG.train, *CONFIG.evaluation))
    assert all(member.samples <= 16 for members in index.sets.values() for member in members)


def test_records_of_the_shards_are_sound(index):
    for name in index.sets:
        for record in shards.texts(index, name):
            assert not set(record.phrases) & set(record.absent)
            assert set(record.not_exhaustive) <= set(record.phrases)
            assert len(record.phrases) == len(set(record.phrases)) == len(record.phrase_boxes)
            assert {i for named in record.phrase_boxes for i in named} <= set(
                range(len(record.boxes_xyxy))
            )
            assert (record.boxes_xyxy >= 0).all()
            assert (record.boxes_xyxy <= [record.width, record.height] * 2).all()


def test_ground_truth_is_the_official_file(index, world):
    assert set(index.ground_truth) == {"eval/coco", "eval/lvis", "eval/flickr30k"}
    for name, file in {
        "eval/coco": "instances_val2017.json",
        "eval/lvis": "lvis_v1_val.json",
    }.items():
        truth = index.ground_truth[name]
        kept = Path(index.location, truth["file"])
        assert kept.read_bytes() == (world / "coco/annotations" / file).read_bytes()
        assert set(truth["names"]) == {
            str(c["id"]) for c in json.loads(kept.read_bytes())["categories"]
        }


def test_built_twice_the_bytes_are_the_same(index, world, tmp_path):
    again = build.build(world, str(tmp_path / "again"), CONFIG)
    assert again.dataset_version == index.dataset_version
    assert files_of(again.location) == files_of(index.location)


@pytest.mark.slow
@pytest.mark.parametrize("total", [1, 3])
def test_built_in_parts_the_bytes_are_the_same(index, world, tmp_path, total):
    """Each part of a set may be built on another machine; only the index makes a folder whole."""
    planned = build.plan(world, CONFIG)
    out = str(tmp_path / "parts")
    for number in range(total, 0, -1):
        for name in reversed(planned.sets):
            build.build_set(world, out, name, planned.held_out, CONFIG, part=(number, total))
            with pytest.raises(FileNotFoundError):
                shards.read_index(out)
            if number > 1:
                with pytest.raises(FileNotFoundError, match=rf"{name}: .*3/3"):
                    finish.finish_set(out, name)
    for _ in range(2):  # repeating a merge changes nothing
        for name in planned.sets:
            finish.finish_set(out, name)
        finish.merge(out, planned.sets)
        assert files_of(out) == files_of(index.location)


@pytest.mark.slow
def test_several_processes_give_the_same_bytes(world, tmp_path):
    """With pieces of 8 images there are more of them than one process builds alone."""
    config = dataclasses.replace(
        CONFIG, train=CONFIG.train[:1], evaluation=CONFIG.evaluation[:1], samples_per_shard=8
    )
    for workers in (1, 2):
        build.build(
            world, str(tmp_path / str(workers)), dataclasses.replace(config, workers=workers)
        )
    assert files_of(tmp_path / "1") == files_of(tmp_path / "2")
    assert len(files_of(tmp_path / "1")) > 10


def test_command_line_builds_parts(world, tmp_path, capsys):
    out, common = (
        str(tmp_path / "out"),
        ["--recipe", "tiny_world", "--data", str(world), "--set", "shards.max_bad_share=0.5"],
    )
    for part in ("2/2", "1/2"):
        assert main(["shards", *common, "--out", out, "--part", part]) == 0
        assert main(["shards", *common, "--out", out, "--part", "2/3"]) == 2, (
            "parts of another cut are not thrown away"
        )
        assert re.search(r"plan\.json .* 2 parts.* 3: .*--part I/2", capsys.readouterr().err)
    assert main(["shards", *common, "--out", out, "--merge"]) == 0
    assert "train/coco                     40 images in 1 shards" in capsys.readouterr().out
    assert main(["shards", *common, "--out", out, "--part", "3/2"]) == 2
    assert "--part '3/2'" in capsys.readouterr().err
    assert main(["shards", *common, "--out", out, "--merge", "--part", "1/2"]) == 2
    assert "--merge and --part 1/2" in capsys.readouterr().err


# By hand


def test_a_missing_optional_dataset_is_reported(tmp_path, capsys):
    write_laion(tmp_path / "laion")
    config = ShardsConfig((WEB,), (one("eval/coco", "coco", optional=True),))
    index = build.build(tmp_path, str(tmp_path / "out"), config)
    assert list(index.sets) == ["train/laion"]
    said = capsys.readouterr()
    assert re.search(
        rf"eval/coco: .*{tmp_path}/coco/annotations/instances_val2017\.json", said.out + said.err
    )


@pytest.mark.parametrize(
    "config",
    [
        ShardsConfig((WEB,), (one("eval/coco", "coco"),)),
        ShardsConfig((one("train/coco", "coco"), WEB), ()),
    ],
)
def test_a_missing_dataset_is_named_and_nothing_is_written(tmp_path, config):
    write_laion(tmp_path / "laion")
    with pytest.raises(
        FileNotFoundError, match=rf"{tmp_path}/coco/annotations/instances_val2017\.json"
    ):
        build.build(tmp_path, str(tmp_path / "out"), config)
    assert [p.name for p in tmp_path.iterdir()] == ["laion"]


def test_a_dataset_may_be_elsewhere(tmp_path):
    write_laion(tmp_path / "elsewhere")
    index = build.build(
        tmp_path,
        str(tmp_path / "out"),
        ShardsConfig((WEB,), ()),
        {"laion": str(tmp_path / "elsewhere")},
    )
    assert shards.num_samples(index.shards("train/laion")) == 2


@pytest.mark.parametrize("name", ["laion", "coco"])
def test_an_optional_dataset_whose_folder_is_named_must_be_there(tmp_path, name):
    """A typo must not leave it out. A split that the folder does not have is still left out."""
    write_coco(tmp_path / "coco")
    train = (dataclasses.replace(WEB, optional=True), one("train/coco", "coco", optional=True))
    config = ShardsConfig(
        (*train, Dataset("train/more", "coco", "coco", "train2017", optional=True)), ()
    )
    with pytest.raises(FileNotFoundError, match=f"--path {name}={tmp_path}/nope"):
        build.plan(tmp_path, config, {name: str(tmp_path / "nope")})
    assert build.plan(tmp_path, config, {"coco": str(tmp_path / "coco")}).sets == ("train/coco",)
    with pytest.raises(ValueError, match="--path cc12"):
        build.plan(tmp_path, config, {"cc12": str(tmp_path)})


def test_a_broken_dataset_stops_the_build(tmp_path):
    write_laion(tmp_path / "laion")
    write(tmp_path / "laion/images/a.jpg", jpeg(1)[:-100])
    with pytest.raises(ValueError, match=r"laion: 1 of 2 .*1 truncated image.* 0\.1"):
        build.build(tmp_path, str(tmp_path / "out"), ShardsConfig((WEB,), ()))
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out.work"}
    index = build.build(
        tmp_path, str(tmp_path / "out"), ShardsConfig((WEB,), (), max_bad_share=0.5)
    )
    assert index.report["quarantined"] == {"laion: record: truncated image": 1}
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out"}


@pytest.mark.parametrize("broken", ["ab", "a"])
def test_a_build_that_was_refused_takes_corrected_data(tmp_path, broken):
    """What the message advises helps, and what was not refused is not read again."""
    write_laion(tmp_path / "laion")
    for name in broken:
        write(tmp_path / f"laion/images/{name}.jpg", jpeg(1)[:-100])
    config = ShardsConfig((WEB,), (), samples_per_shard=1, workers=1)
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"{len(broken)} of 2 .* truncated image"):
            build.build(tmp_path, str(tmp_path / "out"), config)
    kept = [path.stat().st_mtime_ns for path in (tmp_path / "out.work").rglob("*.tar")]
    for name in broken:
        write(tmp_path / f"laion/images/{name}.jpg", jpeg(1))
    index = build.build(tmp_path, str(tmp_path / "out"), config)
    assert shards.num_samples(index.shards("train/laion")) == 2
    assert index.report["quarantined"] == {}
    now = [path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.tar")]
    assert set(kept) <= set(now)


def split_of_coco(root, split, good, broken):
    """Images with one box each; the last ones are truncated."""
    first = {"val2017": 1, "train2017": 1001}[split]
    images = [coco_image(first + i) for i in range(good + broken)]
    coco_files(root, images, [box(i["id"], i["id"], 3) for i in images])
    for image in images:
        content = jpeg(image["id"])
        write(
            root / split / image["file_name"],
            content if image["id"] < first + good else content[:-100],
        )
    if split != "val2017":
        shutil.move(
            root / "annotations/instances_val2017.json",
            root / f"annotations/instances_{split}.json",
        )


@pytest.mark.parametrize(
    ("train", "val", "stops"), [((40, 4), (4, 0), False), ((40, 0), (2, 2), True)]
)
def test_the_share_of_bad_records_is_counted_per_split(tmp_path, train, val, stops):
    """Faults of a large training split neither condemn a small evaluation split nor hide its."""
    split_of_coco(tmp_path / "coco", "train2017", *train)
    split_of_coco(tmp_path / "coco", "val2017", *val)
    both = ShardsConfig(
        (Dataset("train/coco", "coco", "coco", "train2017"),), (one("eval/coco", "coco"),)
    )
    if stops:
        with pytest.raises(ValueError, match="coco: 2 of 4 records"):
            build.build(tmp_path, str(tmp_path / "out"), both)
    else:
        index = build.build(tmp_path, str(tmp_path / "out"), both)
        assert index.report["quarantined"] == {"coco: record: truncated image": 4}


def test_half_a_character_does_not_stop_the_build(tmp_path):
    """JSON can hold half of a surrogate pair; UTF-8 cannot."""
    write_coco(tmp_path / "coco")
    captions = {
        "images": [coco_image(7)],
        "annotations": [{"id": 1, "image_id": 7, "caption": "A car \ud83d here."}],
    }
    write(tmp_path / "coco/annotations/captions_val2017.json", json.dumps(captions))
    index = build.build(
        tmp_path, str(tmp_path / "out"), ShardsConfig((one("train/coco", "coco"),), ())
    )
    assert [r.caption for r in shards.texts(index, "train/coco")] == ["", "A car ? here."]


KILLED = """
import os, signal, sys
from pathlib import Path
from omnidet.data import shard_writer
from omnidet.data.sharding import build
from omnidet.data.sharding.config import ShardsConfig
from tests.data.sharding.small import WEB, one

real, count = shard_writer._write_shard, 0
def write_shard(keyed, folder, path):
    global count
    count += 1
    def dying():
        for item in keyed:
            yield item
            if count == 2:
                os.kill(os.getpid(), signal.SIGKILL)
    return real(dying(), folder, path)
shard_writer._write_shard = write_shard
config = ShardsConfig((WEB,), (one("eval/coco", "coco"),), 1)
build.build(Path(sys.argv[1]), sys.argv[1] + "/out", config)
"""


@pytest.mark.slow
def test_a_killed_build_is_invisible_and_a_rerun_continues_it(tmp_path):
    write_coco(tmp_path / "coco")
    write_laion(tmp_path / "laion")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"coco", "laion", "out.work"}
    (finished,) = (p.relative_to(tmp_path / "out.work") for p in tmp_path.rglob("*.tar"))
    assert list(tmp_path.rglob(".*.tar.part"))
    with pytest.raises(FileNotFoundError, match=r"out/index\.json"):
        shards.read_index(str(tmp_path / "out"))
    first = (tmp_path / "out.work" / finished).stat().st_ino
    config = ShardsConfig((WEB,), (one("eval/coco", "coco"),), 1)
    index = build.build(tmp_path, str(tmp_path / "out"), config)
    assert {p.name for p in tmp_path.iterdir()} == {"coco", "laion", "out"}
    assert (tmp_path / "out" / finished).stat().st_ino == first  # not written again
    assert sum(1 for name in index.sets for _ in shards.records(index, name)) == 3
    build.build(tmp_path, str(tmp_path / "again"), config)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "again")


@pytest.mark.parametrize(
    ("source", "make", "file", "words"),
    [
        ("flickr30k", write_flickr30k, "Sentences/36.txt", (b"A man", b"A dog")),
        ("flickr30k", write_flickr30k, "Annotations/36.xml", (b"<xmin>1<", b"<xmin>3<")),
        ("cc12m", write_cc12m, "00000.tar", (b"nine", b"nono")),
    ],
)
def test_texts_that_changed_since_a_build_was_stopped_are_read_again(
    tmp_path, source, make, file, words
):
    split, _ = make(tmp_path / source)
    dataset = Dataset(f"train/{source}", source, source, split)
    config = ShardsConfig((dataset,), (), samples_per_shard=1, workers=1)
    work = tmp_path / "out.work"
    write(work / build.UNFINISHED, "")
    kept_out = build.plan(tmp_path, config).held_out
    build.build_set(tmp_path, str(work), dataset.set_name, kept_out, config)
    before = {path: path.stat().st_ino for path in work.rglob("*.tar")}
    path = tmp_path / source / file
    write(path, path.read_bytes().replace(*words))
    index = build.build(tmp_path, str(tmp_path / "out"), config)
    shutil.rmtree(work, ignore_errors=True)
    fresh = build.build(tmp_path, str(tmp_path / "fresh"), config)
    assert index.dataset_version == fresh.dataset_version
    kept = [(tmp_path / "out" / p.relative_to(work)).stat().st_ino for p in before]
    assert 0 < len(set(kept) & set(before.values())) < len(before)  # the others stay


def test_two_builds_of_one_folder_do_not_write_into_each_others_shards(tmp_path):
    write_laion(tmp_path / "laion")
    config, out = ShardsConfig((WEB,), ()), str(tmp_path / "out")
    (tmp_path / "out.work").mkdir()
    busy = storage.locked(tmp_path / "out.work" / build.UNFINISHED, "busy")  # as a build does
    with busy, pytest.raises(ValueError, match=f"{out} is under way"):
        build.build(tmp_path, out, config)
    assert shards.num_samples(build.build(tmp_path, out, config).shards("train/laion")) == 2
    assert not (tmp_path / "out.work").exists()
    assert not (tmp_path / "out" / build.UNFINISHED).exists()


def test_a_build_that_begins_as_another_one_ends_does_not_lose_its_folder(tmp_path, monkeypatch):
    """It would begin in the folder that is about to be moved, or be told that it holds the files of
    others."""
    write_laion(tmp_path / "laion")
    config, out, replace = (
        ShardsConfig((WEB,), ()),
        str(tmp_path / "out"),
        storage.replace_directory,
    )
    busy = pytest.raises(ValueError, match=f"{out} is under way")

    def late(*places):
        with busy:
            build.build(tmp_path, out, config)
        replace(*places)
        monkeypatch.undo()
        build.build(tmp_path, out, config)

    monkeypatch.setattr(storage, "replace_directory", late)
    assert shards.num_samples(build.build(tmp_path, out, config).shards("train/laion")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["laion", "out"]
    assert not (tmp_path / "out" / build.UNFINISHED).exists()


def test_a_failing_adapter_leaves_the_old_shards(tmp_path):
    write_laion(tmp_path / "laion")
    config = ShardsConfig((WEB,), ())
    before = build.build(tmp_path, str(tmp_path / "out"), config)
    (tmp_path / "laion/a.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"a\.parquet"):
        build.build(tmp_path, str(tmp_path / "out"), config)
    assert shards.read_index(str(tmp_path / "out")).dataset_version == before.dataset_version
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out", "out.work"}
    write_laion(tmp_path / "laion")
    assert (
        build.build(tmp_path, str(tmp_path / "out"), config).dataset_version
        == before.dataset_version
    )
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out"}


@pytest.mark.parametrize("split", ["google/train", "google/val"])
def test_a_leaking_split_is_not_evaluated_on_under_the_benchmark_s_name(tmp_path, split):
    """Google's splits share images with one another; numbers are reported on umd."""
    google = Dataset("eval/refcocog", "refcocog", ".", split, optional=True)
    with pytest.raises(ValueError, match=f"eval/refcocog: .*{split}.*'google'"):
        build.plan(tmp_path, ShardsConfig((), (google,)))
    named = dataclasses.replace(google, set_name="eval/refcocog_google")
    umd = dataclasses.replace(google, split="umd/val")
    for allowed in (
        ShardsConfig((), (named,)),
        ShardsConfig((), (umd,)),
        ShardsConfig((google,), ()),
    ):
        assert build.plan(tmp_path, allowed).sets == ()
