"""Shards of the samples, drawn and real: golden counts, and no stream holds a benchmark's image."""

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
REAL = {
    "eval/coco": (82, 589, 225, 4015, 7, 82),
    "eval/lvis_v0.5": (9, 55, 23, 81, 2, 0),
    "eval/refcocog_google": (5, 6, 6, 0, 0, 0),
    "eval/refcocos": (54, 53, 54, 6, 0, 0),
    "train/cc12m": (32, 0, 0, 0, 0, 32),
    "train/coco": (100, 920, 386, 7614, 10, 100),
    "train/flickr30k": (8, 0, 0, 0, 0, 8),
}
DRAWN = {  # worked out by hand from what tests/samples draws
    "eval/coco": (8, 12, 12, 28, 1, 8),
    "eval/lvis_v0.5": (4, 6, 6, 8, 1, 0),
    "eval/refcocog": (2, 2, 4, 0, 0, 0),
    "eval/refcocog_google": (3, 4, 4, 0, 0, 0),
    "eval/refcocos": (3, 3, 4, 1, 0, 0),
    "train/cc12m": (8, 0, 0, 0, 0, 8),
    "train/coco": (11, 10, 10, 39, 1, 10),
    "train/flickr30k": (4, 8, 16, 0, 0, 4),
    "train/refcocog": (4, 4, 8, 0, 0, 0),
}
# (set, group of names): names, those all of whose words training says, those none of whose words
REAL_COVERAGE = {
    ("eval/coco", "all"): (80, 55, 19),
    ("eval/lvis_v0.5", "rare"): (454, 26, 331),
    ("eval/lvis_v0.5", "common"): (461, 32, 336),
    ("eval/lvis_v0.5", "frequent"): (315, 98, 168),
}
DRAWN_COVERAGE = {
    ("eval/coco", "all"): (5, 5, 0),
    ("eval/lvis_v0.5", "rare"): (2, 0, 2),
    ("eval/lvis_v0.5", "common"): (3, 2, 1),
    ("eval/lvis_v0.5", "frequent"): (3, 2, 0),
}


@pytest.fixture(scope="module")
def built(samples, tmp_path_factory):
    """The recipe's sets, and google's val of RefCOCOg, which shares images with train2017."""
    config = recipes.by_name("coco_folder").shards
    google = next(d for d in config.train if d.split == "google/val")
    evaluated = dataclasses.replace(google, set_name="eval/refcocog_google")
    config = dataclasses.replace(
        config,
        train=tuple(d for d in config.train if d != google),
        evaluation=(*config.evaluation, evaluated),
    )
    paths = {
        "cc12m": str(samples.root / "cc12m_sample"),
        "flickr30k": str(samples.root / "flickr30k_entities_sample"),
    }
    out = str(tmp_path_factory.mktemp("real") / "shards")
    return config, build.build(samples.root / "coco_sample", out, config, paths)


def test_golden_counts(built, samples):
    found = survey.survey(built[1])
    counts = {
        name: (own.images, own.boxes, own.pairs, own.absent, own.not_exhaustive, own.captions)
        for name, own in found.sets.items()
    }
    lost, leaked = (3, 5) if samples.is_real else (1, 4)
    assert counts == (REAL if samples.is_real else DRAWN)
    assert found.quarantined == {"refcocog: box: malformed box": lost}
    assert found.held_out["train/coco"]["refcocog google/val"] == leaked
    assert f"train/coco: {leaked} images held out: refcocog google/val" in finish.describe(built[1])
    coverage = {
        (part.set_name, part.group): (part.names, part.covered, len(part.unseen))
        for part in found.coverage
    }
    assert coverage == (REAL_COVERAGE if samples.is_real else DRAWN_COVERAGE)


def test_every_stream_is_disjoint_from_every_benchmark(built, samples):
    """By the ids in the benchmarks' own files, and by the pictures themselves."""
    config, index = built
    root, own_sets = (
        str(samples.root / "coco_sample"),
        [d for d in config.evaluation if d.set_name in index.sets],
    )
    named = {d.set_name: sources.by_name(d.source).image_ids(root, d.split) for d in own_sets}
    assert {"eval/coco", "eval/lvis_v0.5", "eval/refcocos", "eval/refcocog_google"} <= set(named)
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
