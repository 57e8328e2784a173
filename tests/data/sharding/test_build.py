"""The whole of stage 1 to 3 on a small world: no leak, counts as planted, whole or not at all."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from omnidet.cli import main
from omnidet.data import shards, sources
from omnidet.data.sharding import build
from omnidet.data.sharding.build import Dataset, ShardsConfig
from omnidet.data.sharding.held_out import MAX_DISTANCE, HeldOut, perceptual_hash
from omnidet.data.tiny_world.draw import TinyWorld, draw
from tests.data.sources.handmade import (
    box,
    coco_files,
    coco_image,
    jpeg,
    write,
    write_coco,
    write_laion,
)

SMALL = TinyWorld(
    train_images=40,
    val_images=8,
    lvis_val_from_train=3,
    refcocog_val_images=4,
    refcocog_test_images=4,
    flickr30k_train=12,
    flickr30k_val=2,
    flickr30k_test=2,
    laion_images=10,
    cc12m_samples=10,
    web_copies=2,
    broken=1,
)
CONFIG = ShardsConfig(
    train=(
        Dataset("train/coco", "coco", "coco", "train2017"),
        Dataset("train/lvis", "lvis", "coco", "v1_train"),
        Dataset("train/refcocog", "refcocog", "coco", "umd/train"),
        Dataset("train/flickr30k", "flickr30k", "flickr30k", "train"),
        Dataset("train/laion", "laion", "laion", "train"),
        Dataset("train/cc12m", "cc12m", "cc12m", "train"),
    ),
    evaluation=(
        Dataset("eval/coco", "coco", "coco", "val2017"),
        Dataset("eval/lvis", "lvis", "coco", "v1_val"),
        Dataset("eval/refcocog", "refcocog", "coco", "umd/val"),
        Dataset("eval/refcocog_unseen", "refcocog", "coco", "umd/test"),
        Dataset("eval/flickr30k", "flickr30k", "flickr30k", "test"),
    ),
    samples_per_shard=16,
    max_bad_share=0.5,
)
# What the world plants and what the report calls it, where the words differ.
NAMES = {
    "missing image": "missing image file",
    ("laion", "missing image"): "dead link",
    ("refcocog", "empty caption"): "empty phrase",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world") / "drawn"
    draw(SMALL, root, processes=1)
    return root


@pytest.fixture(scope="module")
def facts(world):
    return json.loads((world / "world.json").read_text())


@pytest.fixture(scope="module")
def index(world, tmp_path_factory) -> shards.Index:
    return build.build(world, str(tmp_path_factory.mktemp("built") / "shards"), CONFIG)


def ids(index, part):
    return {
        r.image_id
        for name in index.sets
        if name.startswith(part)
        for r in shards.texts(index, name)
    }


def test_no_training_image_is_an_evaluation_image(index, world):
    """The contract, over every set: by what the shards hold, and by what the evaluation splits name."""
    evaluated = ids(index, "eval/")
    named = {
        i
        for d in CONFIG.evaluation
        for i in sources.by_name(d.source).image_ids(str(world / d.path), d.split)
    }
    assert len(evaluated) >= 20
    assert evaluated <= named
    for dataset in CONFIG.train:
        assert not ids(index, dataset.set_name) & named, dataset.set_name


def test_it_would_have_leaked(world):
    """Every training split but Flickr30K's and the web's holds ids that are evaluated: the contract above is no empty one."""
    named = {
        i
        for d in CONFIG.evaluation
        for i in sources.by_name(d.source).image_ids(str(world / d.path), d.split)
    }
    for dataset in CONFIG.train[:2]:
        assert (
            sources.by_name(dataset.source).image_ids(str(world / dataset.path), dataset.split)
            & named
        )


def test_planted_copies_are_dropped_and_counted(index, facts):
    leaks, held_out = facts["coco"]["leaks"], index.report["held_out"]
    assert {name: sum(counts.values()) for name, counts in held_out.items()} == {
        "train/coco": leaks["refcocog held out in coco train"] + leaks["lvis val in coco train"],
        "train/lvis": leaks["refcocog held out in lvis train"],
        "train/laion": 2,
        "train/cc12m": 2,
    }
    assert held_out["train/coco"]["lvis v1_val"] == leaks["lvis val in coco train"]
    for name in ("laion", "cc12m"):
        assert held_out[f"train/{name}"] == {
            "near copy of coco val2017": len(facts[name]["copies of coco val"])
        }
        assert len(facts[name]["copies of coco val"]) == 2
    evaluated = [perceptual_hash(r.image) for r in shards.records(index, "eval/coco")]
    for name in ("train/laion", "train/cc12m"):
        for record in shards.records(index, name):
            own = perceptual_hash(record.image)
            assert min(int(own ^ other).bit_count() for other in evaluated) > MAX_DISTANCE


def test_quarantine_is_as_planted(index, facts):
    expected = Counter(
        {
            (source, NAMES.get((source, kind), NAMES.get(kind, kind))): count
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


def test_nothing_is_lost_without_a_word(index, facts):
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
    for path in Path(index.location).rglob("*"):
        if path.is_file():
            assert (
                path.read_bytes()
                == (tmp_path / "again" / path.relative_to(index.location)).read_bytes()
            )


def test_the_index_says_how_often_each_name_occurs(index, tmp_path):
    """So that training begins without a pass over the shards, which on an object store would fetch them."""
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
    assert shards.read_index(tmp_path).names == {}
    assert shards.read_index(tmp_path).dataset_version == index.dataset_version
    assert (
        shards.combine(tmp_path / "combined", [shards.read_index(tmp_path), index]).names
        == index.names
    )
    assert shards.combine(tmp_path / "combined", [index, shards.read_index(tmp_path)]).names == {}


def test_descriptions_are_not_counted(world, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_COUNTED_NAMES", 20)
    assert set(build.build(world, str(tmp_path / "out"), CONFIG).names) == {"train/coco"}


def files_of(folder) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob("*")
        if p.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("total", [1, 3])
def test_built_in_parts_the_bytes_are_the_same(index, world, tmp_path, total):
    """As a pipeline does it, each part of each set on another machine; the folder is whole with the index only."""
    planned = build.plan(world, CONFIG)
    out = str(tmp_path / "parts")
    for number in range(total, 0, -1):
        for name in reversed(planned.sets):
            build.build_set(world, out, name, planned.held_out, CONFIG, part=(number, total))
            with pytest.raises(FileNotFoundError):
                shards.read_index(out)
            if number > 1:
                with pytest.raises(
                    FileNotFoundError, match=rf"{name}: not all parts are built \(there is .*3/3\)"
                ):
                    build.finish_set(out, name)
    for _ in range(2):  # a merge that is repeated changes nothing
        for name in planned.sets:
            build.finish_set(out, name)
        build.merge(out, planned.sets)
        assert files_of(out) == files_of(index.location)


@pytest.mark.slow
def test_several_processes_give_the_same_bytes(world, tmp_path):
    """Pieces of 8 images, so that there are more than one process takes alone."""
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
            "the parts of another cut are not thrown away"
        )
        assert "plan.json is for 2 parts, not 3: give --part I/2" in capsys.readouterr().err
    assert main(["shards", *common, "--out", out, "--merge"]) == 0
    assert "train/coco                     40 images in 1 shards" in capsys.readouterr().out
    assert main(["shards", *common, "--out", out, "--part", "3/2"]) == 2
    assert "--part '3/2' is not of the form I/N" in capsys.readouterr().err
    assert main(["shards", *common, "--out", out, "--merge", "--part", "1/2"]) == 2
    assert "--merge and --part 1/2: build all parts first" in capsys.readouterr().err


def test_report_for_people(index):
    text = build.describe(index)
    assert f"data version {index.dataset_version[:12]}" in text
    assert "train/laion: 2 images held out: near copy of coco val2017" in text
    assert "quarantined: 1 x coco: record: truncated image" in text
    assert "train/coco                     40 images in 4 shards" in text


# By hand


def one(set_name, source, **more):
    return Dataset(set_name, source, source, {"coco": "val2017", "laion": "train"}[source], **more)


WEB = one("train/laion", "laion")


def test_missing_optional_dataset_is_said(tmp_path, capsys):
    write_laion(tmp_path / "laion")
    config = ShardsConfig((WEB,), (one("eval/coco", "coco", optional=True),))
    index = build.build(tmp_path, str(tmp_path / "out"), config)
    assert list(index.sets) == ["train/laion"]
    said = capsys.readouterr()
    assert (
        f"eval/coco: left out, for {tmp_path}/coco/annotations/instances_val2017.json does not exist"
        in said.out + said.err
    )


@pytest.mark.parametrize(
    "config",
    [
        ShardsConfig((WEB,), (one("eval/coco", "coco"),)),
        ShardsConfig((one("train/coco", "coco"), WEB), ()),
    ],
)
def test_missing_dataset_is_named_and_nothing_is_left(tmp_path, config):
    write_laion(tmp_path / "laion")
    with pytest.raises(
        FileNotFoundError,
        match=rf"{tmp_path}/coco/annotations/instances_val2017.json does not exist",
    ):
        build.build(tmp_path, str(tmp_path / "out"), config)
    assert [p.name for p in tmp_path.iterdir()] == ["laion"]


def test_a_dataset_may_stand_elsewhere(tmp_path):
    write_laion(tmp_path / "elsewhere")
    index = build.build(
        tmp_path,
        str(tmp_path / "out"),
        ShardsConfig((WEB,), ()),
        {"laion": str(tmp_path / "elsewhere")},
    )
    assert shards.num_samples(index.shards("train/laion")) == 2


@pytest.mark.parametrize("name", ["laion", "coco"])
def test_an_optional_dataset_whose_folder_is_named_is_asked_for(tmp_path, name):
    """Else a typo would leave it out with a word among many; a split that is not in the folder is still left out."""
    write_coco(tmp_path / "coco")
    train = (dataclasses.replace(WEB, optional=True), one("train/coco", "coco", optional=True))
    config = ShardsConfig(
        (*train, Dataset("train/more", "coco", "coco", "train2017", optional=True)), ()
    )
    with pytest.raises(
        FileNotFoundError,
        match=rf"--path {name}={tmp_path}/nope: there is no {name} \(.*\): name its folder",
    ):
        build.plan(tmp_path, config, {name: str(tmp_path / "nope")})
    assert build.plan(tmp_path, config, {"coco": str(tmp_path / "coco")}).sets == ("train/coco",)
    with pytest.raises(ValueError, match="--path cc12: the recipe reads no such dataset"):
        build.plan(tmp_path, config, {"cc12": str(tmp_path)})


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
    """Files that are there and hold nothing are damage, in an optional dataset too."""
    coco_files(tmp_path / "coco", [], [])
    (tmp_path / "cc12m").mkdir()
    tarfile.open(tmp_path / "cc12m/00000.tar", "w").close()
    dataset = dataclasses.replace(dataset, optional=optional)
    is_training = dataset.set_name.startswith("train/")
    config = ShardsConfig((dataset,), ()) if is_training else ShardsConfig((), (dataset,))
    with pytest.raises(
        ValueError,
        match=f"{dataset.set_name}: {dataset.source} holds no image that can be used: mend",
    ):
        build.build(tmp_path, str(tmp_path / "out"), config)
    assert not (tmp_path / "out").exists()


def test_broken_dataset_stops_the_build(tmp_path):
    write_laion(tmp_path / "laion")
    write(tmp_path / "laion/images/a.jpg", jpeg(1)[:-100])
    with pytest.raises(
        ValueError,
        match=r"laion: 1 of 2 records are unusable \(1 truncated image\), more than .* share 0.1",
    ):
        build.build(tmp_path, str(tmp_path / "out"), ShardsConfig((WEB,), ()))
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out.work"}
    index = build.build(
        tmp_path, str(tmp_path / "out"), ShardsConfig((WEB,), (), max_bad_share=0.5)
    )
    assert index.report["quarantined"] == {"laion: record: truncated image": 1}
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out"}


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
def test_share_of_bad_records_is_that_of_the_split(tmp_path, train, val, stops):
    """What a large training split refuses does not condemn a small evaluation split, and does not hide what it refuses."""
    split_of_coco(tmp_path / "coco", "train2017", *train)
    split_of_coco(tmp_path / "coco", "val2017", *val)
    both = ShardsConfig(
        (Dataset("train/coco", "coco", "coco", "train2017"),), (one("eval/coco", "coco"),)
    )
    if stops:
        with pytest.raises(ValueError, match="coco: 2 of 4 records are unusable"):
            build.build(tmp_path, str(tmp_path / "out"), both)
    else:
        index = build.build(tmp_path, str(tmp_path / "out"), both)
        assert index.report["quarantined"] == {"coco: record: truncated image": 4}


def test_half_a_character_does_not_stop_the_build(tmp_path):
    """JSON can hold half of a surrogate pair, UTF-8 cannot."""
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


def test_near_copies_are_compared_only_if_asked(tmp_path):
    write_coco(tmp_path / "coco")
    write_laion(tmp_path / "laion")  # a.jpg is no image of COCO's, b.jpg is image 2
    config = ShardsConfig((WEB,), (one("eval/coco", "coco"),))
    index = build.build(tmp_path, str(tmp_path / "out"), config)
    assert index.report["held_out"] == {"train/laion": {"near copy of coco val2017": 1}}
    index = build.build(
        tmp_path, str(tmp_path / "out"), dataclasses.replace(config, hash_images=False)
    )
    assert index.report["held_out"] == {}
    assert shards.num_samples(index.shards("train/laion")) == 2


def test_evaluation_images_are_not_held_out_of_their_own_set(tmp_path):
    write_coco(tmp_path / "coco")
    config = ShardsConfig((one("train/coco", "coco"),), (one("eval/coco", "coco"),))
    index = build.build(tmp_path, str(tmp_path / "out"), config)
    assert shards.num_samples(index.shards("eval/coco")) == 2
    assert shards.num_samples(index.shards("train/coco")) == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from omnidet.data import build, shards
from tests.data.sharding.test_build import ShardsConfig, WEB, one

real, count = shards._write_shard, 0
def write_shard(keyed, folder, path):
    global count
    count += 1
    def dying():
        for item in keyed:
            yield item
            if count == 2:
                os.kill(os.getpid(), signal.SIGKILL)
    return real(dying(), folder, path)
shards._write_shard = write_shard
build.build(Path(sys.argv[1]), sys.argv[1] + "/out", ShardsConfig((WEB,), (one("eval/coco", "coco"),), 1))
"""


@pytest.mark.slow
def test_killed_build_is_not_seen_and_a_rerun_goes_on(tmp_path):
    write_coco(tmp_path / "coco")
    write_laion(tmp_path / "laion")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"coco", "laion", "out.work"}
    (finished,) = (p.relative_to(tmp_path / "out.work") for p in tmp_path.rglob("*.tar"))
    assert list(tmp_path.rglob(".*.tar.part"))
    with pytest.raises(FileNotFoundError, match=r"out/index.json does not exist"):
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
    "change", [{"samples_per_shard": 2}, {"max_side": 16}, {"hash_images": False}, "elsewhere"]
)
def test_parts_that_were_not_built_alike_are_no_set(tmp_path, change):
    """Pieces of another size would lose images and hold others twice."""
    write_coco(tmp_path / "coco")
    write_laion(tmp_path / "laion")
    shutil.copytree(tmp_path / "laion", tmp_path / "elsewhere")
    config, out = ShardsConfig((WEB,), (one("eval/coco", "coco"),), 1), str(tmp_path / "out")
    paths = {"laion": str(tmp_path / "elsewhere")} if change == "elsewhere" else None
    other = config if change == "elsewhere" else dataclasses.replace(config, **change)

    def built(number, config, paths=None) -> None:
        build.build_set(
            tmp_path,
            out,
            "train/laion",
            build.plan(tmp_path, config).held_out,
            config,
            paths,
            (number, 2),
        )

    built(1, config)
    built(2, other, paths)
    with pytest.raises(
        ValueError,
        match="train/laion: part 2/2 was built of other data or with other settings than part 1/2",
    ):
        build.finish_set(out, "train/laion")
    built(1, other, paths)
    build.finish_set(out, "train/laion")


def test_parts_of_a_build_that_was_given_up_are_not_taken(tmp_path):
    write_laion(tmp_path / "laion")
    config, out = ShardsConfig((WEB,), (), 1), str(tmp_path / "out")
    kept_out = build.plan(tmp_path, config).held_out
    build.build_set(tmp_path, out, "train/laion", kept_out, config)
    larger = dataclasses.replace(config, samples_per_shard=2)
    for number in (1, 2):
        build.build_set(tmp_path, out, "train/laion", kept_out, larger, part=(number, 2))
    build.finish_set(out, "train/laion")
    build.merge(out, ["train/laion"])
    assert [shard.samples for shard in shards.read_index(out).shards("train/laion")] == [2]


def test_what_stands_there_is_kept_only_if_it_is_of_the_same_input(tmp_path):
    write_laion(tmp_path / "laion")
    config, out = ShardsConfig((WEB,), (), 1), str(tmp_path / "out")
    planned = build.plan(tmp_path, config)

    def built(config=config, kept_out=planned.held_out) -> list[int]:
        build.build_set(tmp_path, out, "train/laion", kept_out, config)
        return [p.stat().st_mtime_ns for p in sorted(Path(out).rglob("*.tar"))]

    first = built()
    assert built() == first
    assert not set(built(dataclasses.replace(config, max_side=16))) & set(first)
    first = built()
    other = HeldOut(
        {"laion:no": "coco val2017"}, planned.held_out.hashes, planned.held_out.hash_ids
    )
    assert not set(built(kept_out=other)) & set(first)
    first = built()
    next(Path(out).rglob("000001.tar")).unlink()
    again = built()
    assert (again[0], again[1] != first[1]) == (first[0], True)


def test_large_training_images_are_scaled_down_on_request_and_all_others_copied(tmp_path):
    write_coco(tmp_path / "coco")
    config = ShardsConfig((one("train/coco", "coco"),), (one("eval/coco", "coco"),), max_side=20)
    kept_out = build.plan(tmp_path, dataclasses.replace(config, evaluation=())).held_out
    build.build_set(tmp_path, str(tmp_path / "out"), "train/coco", kept_out, config)
    build.build_set(tmp_path, str(tmp_path / "out"), "eval/coco", kept_out, config)
    for name in ("train/coco", "eval/coco"):
        build.finish_set(str(tmp_path / "out"), name)
    build.merge(str(tmp_path / "out"), ["train/coco", "eval/coco"])
    index = shards.read_index(str(tmp_path / "out"))
    pairs = list(
        zip(shards.records(index, "train/coco"), shards.records(index, "eval/coco"), strict=True)
    )
    assert len(pairs) == 2
    for small, large in pairs:
        assert (large.width, large.height, small.width, small.height) == (40, 30, 20, 15)
        assert Image.open(io.BytesIO(small.image)).size == (20, 15)
        assert (small.boxes_xyxy * 2).tolist() == large.boxes_xyxy.tolist()
        assert large.image in files_of(tmp_path / "coco").values()


def test_failing_adapter_leaves_the_old_shards(tmp_path):
    write_laion(tmp_path / "laion")
    config = ShardsConfig((WEB,), ())
    before = build.build(tmp_path, str(tmp_path / "out"), config)
    (tmp_path / "laion/a.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match=r"a.parquet is not a readable parquet file"):
        build.build(tmp_path, str(tmp_path / "out"), config)
    assert shards.read_index(str(tmp_path / "out")).dataset_version == before.dataset_version
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out", "out.work"}
    write_laion(tmp_path / "laion")
    assert (
        build.build(tmp_path, str(tmp_path / "out"), config).dataset_version
        == before.dataset_version
    )
    assert {p.name for p in tmp_path.iterdir()} == {"laion", "out"}


def test_google_s_val_is_not_evaluated_on_under_another_name():
    """It shares images with google's train; the umd split is the one to report."""
    google = Dataset("eval/refcocog", "refcocog", ".", "google/val")
    with pytest.raises(ValueError, match="shares images with its train: take umd/val"):
        ShardsConfig(train=(), evaluation=(google,))
    ShardsConfig(
        train=(), evaluation=(dataclasses.replace(google, set_name="eval/refcocog_google"),)
    )
