"""Held-out images: ids shared by datasets, and near copies from the web."""

from __future__ import annotations

import dataclasses
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from omnidet.data import shards, sources
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sharding import build
from omnidet.data.sharding.config import ShardsConfig
from omnidet.data.sharding.held_out import MAX_DISTANCE, collect, perceptual_hash
from omnidet.data.sources import by_name
from omnidet.schema import Record
from tests.data.sharding.small import CONFIG, WEB, one
from tests.data.sources.handmade import WRITERS, jpeg, write, write_coco, write_laion


def distance(one, other):
    return int(np.bitwise_count(one ^ other))


def copied(content, scale=1.0, quality=85, kind="JPEG"):
    with Image.open(io.BytesIO(content)) as image:
        out = io.BytesIO()
        size = (round(image.width * scale), round(image.height * scale))
        image.convert("RGB").resize(size).save(out, kind, quality=quality)
    return out.getvalue()


@pytest.fixture
def evaluations(tmp_path):
    """One entry a dataset that is evaluated, in folders of their own."""
    return [
        (n, str(tmp_path / n), WRITERS[n](tmp_path / n)[0])
        for n in ("coco", "lvis", "refcocog", "flickr30k")
    ]


def record(image_id, image=b""):
    return Record(image, 40, 30, source="any", image_id=image_id)


def test_ids_are_held_out_whatever_the_dataset(evaluations):
    held_out = collect(evaluations, hash_images=False)
    assert held_out.reason(record("coco:2")) == "coco val2017"
    assert held_out.reason(record("coco:4")) == "lvis v1_val"
    assert held_out.reason(record("coco:5")) == "refcocog umd/val"
    assert held_out.reason(record("flickr30k:36")) == "flickr30k val"
    assert held_out.reason(record("coco:36")) is None
    assert held_out.reason(record("laion:2")) is None
    assert held_out.image_ids == {
        *(f"coco:{i}" for i in (2, 7, 4, 9, 5, 8)),
        "flickr30k:36",
        "flickr30k:1000",
    }
    assert len(held_out.hashes) == 0


def test_the_first_benchmark_of_an_image_counts(evaluations):
    coco = evaluations[0]
    again = collect([("refcocog", *evaluations[2][1:]), coco, coco])
    assert len(again.hashes) == len(again.image_ids) == 4
    assert again.reason(record("coco:5")) == "refcocog umd/val"


def test_near_copies_from_the_web_are_found_and_others_are_not(evaluations):
    held_out = collect(evaluations)
    assert len(held_out.hashes) == len(held_out.hash_ids) == 8
    assert held_out.reason(record("laion:x", copied(jpeg(2), 2.0))) == "near copy of coco val2017"
    assert (
        held_out.reason(record("cc12m:x", copied(jpeg(36), 1.5, 70)))
        == "near copy of flickr30k val"
    )
    assert held_out.reason(record("laion:x", jpeg(12345))) is None
    # A curated id is what it says: a copy of a COCO image in COCO is another image of COCO.
    assert held_out.reason(record("coco:77", jpeg(2))) is None


@pytest.mark.parametrize("broken", [b"", b"GIF89a", jpeg(1)[:200]])
def test_an_image_that_cannot_be_decoded_is_left_to_the_quarantine(evaluations, broken):
    assert perceptual_hash(broken) is None
    assert collect(evaluations).reason(record("laion:x", broken)) is None


def test_a_bomb_is_not_decoded():
    stream = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(stream, "PNG")
    assert len(stream.getvalue()) < 100_000
    assert perceptual_hash(stream.getvalue()) is None


def test_a_missing_evaluation_set_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="instances_val2017"):
        collect([("coco", str(tmp_path), "val2017")])


def test_training_and_evaluation_are_disjoint_after_the_filter(evaluations, tmp_path):
    """COCO shares an id with a benchmark, and the list from the web holds a copy."""
    write(tmp_path / "laion/images/a.jpg", b"")
    split, _ = WRITERS["laion"](tmp_path / "laion")
    write(tmp_path / "laion/images/b.jpg", copied(jpeg(7), 1.6))
    held_out = collect(evaluations)
    training = [("laion", str(tmp_path / "laion"), split), evaluations[0]]
    records = [r for name, *where in training for r in by_name(name).read(*where, Quarantine())]
    kept = [r for r in records if held_out.reason(r) is None]
    assert [r.caption for r in kept] == ["an apple"]
    assert not {r.image_id for r in kept} & held_out.image_ids


@pytest.fixture(scope="module")
def pictures(samples):
    """Images of three collections, 100 real ones or 20 drawn ones."""
    entries = [("coco", "coco_sample", "val2017", 60), ("cc12m", "cc12m_sample", "train", 32)]
    entries += [("flickr30k", "flickr30k_entities_sample", "train", 8)]
    return [
        r.image
        for name, folder, split, number in entries
        for r in itertools.islice(
            by_name(name).read(str(samples.root / folder), split, Quarantine()), number
        )
    ]


@pytest.mark.slow
def test_pictures_are_far_apart_and_their_copies_near(pictures):
    hashes = [perceptual_hash(image) for image in pictures]
    assert min(distance(a, b) for a, b in itertools.combinations(hashes, 2)) >= 3 * MAX_DISTANCE
    for kwargs in ({"quality": 90}, {"scale": 0.5}, {"scale": 1.4}):
        copies = [perceptual_hash(copied(image, **kwargs)) for image in pictures]
        assert (
            np.mean([distance(a, b) <= MAX_DISTANCE for a, b in zip(hashes, copies, strict=True)])
            >= 0.99
        )


def test_the_leak_in_the_samples(samples):
    """Images of RefCOCOg google's val that are in the sample of COCO train2017 are dropped."""
    root = str(samples.root / "coco_sample")
    held_out = collect(
        [("coco", root, "val2017"), ("refcocog", root, "google/val"), ("lvis", root, "v0.5_val")],
        False,
    )
    reasons = map(held_out.reason, by_name("coco").read(root, "train2017", Quarantine()))
    assert [r for r in reasons if r] == ["refcocog google/val"] * (5 if samples.is_real else 4)


# In built shards


def ids(index, part):
    """Image ids in the sets whose names begin with `part`."""
    return {
        r.image_id
        for name in index.sets
        if name.startswith(part)
        for r in shards.texts(index, name)
    }


def test_no_training_image_is_an_evaluation_image(index, world):
    """Over every set: by what the shards hold, and by what the evaluation splits name."""
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


def test_the_training_splits_do_hold_evaluation_images(world):
    """COCO's and LVIS's do: the test above is not passed by data without overlap."""
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


def test_near_copies_are_compared_only_if_asked(tmp_path):
    write_coco(tmp_path / "coco")
    write_laion(tmp_path / "laion")  # b.jpg is COCO's image 2, a.jpg is not in COCO
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
