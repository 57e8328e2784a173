"""Shards of the real samples: golden counts, and no stream holds an image of a benchmark."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from omnidet import recipes
from omnidet.data import shards, sources
from omnidet.data.sharding import build, finish, survey
from omnidet.data.sharding.held_out import MAX_DISTANCE, perceptual_hash

pytestmark = pytest.mark.slow

# set: images, boxes, phrases in images, absent names, not exhaustive names, captions
GOLDEN = {
    "eval/coco": (82, 589, 225, 4015, 7, 82),
    "eval/lvis_v0.5": (9, 55, 23, 81, 2, 0),
    "eval/refcocog_google": (5, 6, 6, 0, 0, 0),
    "eval/refcocos": (54, 53, 54, 6, 0, 0),
    "train/cc12m": (32, 0, 0, 0, 0, 32),
    "train/coco": (100, 920, 386, 7614, 10, 100),
    "train/flickr30k": (8, 0, 0, 0, 0, 8),
}


@pytest.fixture(scope="module")
def built(shared_data, tmp_path_factory):
    """The recipe's sets, but google's val of RefCOCOg is a benchmark: five of its images are in the sample of train2017."""
    config = recipes.by_name("coco_folder").shards
    google = next(d for d in config.train if d.split == "google/val")
    evaluated = dataclasses.replace(google, set_name="eval/refcocog_google")
    config = dataclasses.replace(
        config,
        train=tuple(d for d in config.train if d != google),
        evaluation=(*config.evaluation, evaluated),
    )
    paths = {
        "cc12m": str(shared_data / "cc12m_sample"),
        "flickr30k": str(shared_data / "flickr30k_entities_sample"),
    }
    out = str(tmp_path_factory.mktemp("real") / "shards")
    return config, build.build(shared_data / "coco_sample", out, config, paths)


def test_golden_counts(built):
    found = survey.survey(built[1])
    counts = {
        name: (own.images, own.boxes, own.pairs, own.absent, own.not_exhaustive, own.captions)
        for name, own in found.sets.items()
    }
    assert counts == GOLDEN
    assert found.quarantined == {"refcocog: box: malformed box": 3}
    assert found.held_out == {"train/coco": {"refcocog google/val": 5}}
    assert {
        (part.set_name, part.group): (part.names, part.covered, len(part.unseen))
        for part in found.coverage
    } == {
        ("eval/coco", "all"): (80, 55, 19),
        ("eval/lvis_v0.5", "rare"): (454, 26, 331),
        ("eval/lvis_v0.5", "common"): (461, 32, 336),
        ("eval/lvis_v0.5", "frequent"): (315, 98, 168),
    }
    assert "train/coco: 5 images held out: refcocog google/val" in finish.describe(built[1])


def test_every_stream_is_disjoint_from_every_benchmark(built, shared_data):
    """By what the benchmarks' own files name, and by the pictures themselves."""
    config, index = built
    root, own_sets = (
        str(shared_data / "coco_sample"),
        [d for d in config.evaluation if d.set_name in index.sets],
    )
    named = {d.set_name: sources.by_name(d.source).image_ids(root, d.split) for d in own_sets}
    assert set(named) == {"eval/coco", "eval/lvis_v0.5", "eval/refcocos", "eval/refcocog_google"}
    pictures = [perceptual_hash(r.image) for name in named for r in shards.records(index, name)]
    for stream in recipes.by_name("coco_folder").streams:
        records = list(
            itertools.chain.from_iterable(
                shards.records(index, s) for s in stream.sets if s in index.sets
            )
        )
        assert len(records) >= 8
        for benchmark, ids in named.items():
            assert not {r.image_id for r in records} & ids, (stream.name, benchmark)
        for own in (perceptual_hash(r.image) for r in records):
            assert min(int(own ^ other).bit_count() for other in pictures) > MAX_DISTANCE
