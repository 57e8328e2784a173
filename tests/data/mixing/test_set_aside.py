"""Pictures that are not trained on: the same ones everywhere, and few."""

from __future__ import annotations

import dataclasses

import pytest

from omnidet.data.mixing import set_aside
from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.mixing.mixture import Mixture
from omnidet.data.mixing.set_aside import SetAside
from tests.data.mixing import mixes

LARGE, SMALL = 200, 20
STREAMS = (
    Stream("det", ("train/coco", "train/small"), 8),
    Stream("img", ("train/web",), 4, boxes=False, captions=True),
)


def picture(make, number):
    return dataclasses.replace(make(number % 250), image_id=f"toy:{number}")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    sets = {
        "train/coco": [picture(mixes.coco, i) for i in range(LARGE)],
        "train/small": [picture(mixes.coco, i) for i in range(SMALL)],
        "train/web": [picture(mixes.web, i) for i in range(LARGE)],
    }
    return mixes.write(tmp_path_factory.mktemp("shards"), sets)


@pytest.fixture
def few_boxes_do(monkeypatch):
    monkeypatch.setattr(set_aside, "LEAST_BOXES", 1)


def test_few_are_chosen_by_their_ids(index, few_boxes_do):
    assert set_aside.set_aside(index, STREAMS, 4).share == 4 / LARGE
    aside = set_aside.set_aside(index, STREAMS, 100)
    assert aside.share == set_aside.MOST_SHARE
    chosen = [f"toy:{i}" for i in range(20_000) if f"toy:{i}" in aside]
    assert len(chosen) == pytest.approx(1000, rel=0.15)
    fewer = SetAside(aside.share / 2)
    assert 0 < sum(i in fewer for i in chosen) < len(chosen)
    assert sum(f"toy:{i}" in fewer for i in range(20_000)) == sum(i in fewer for i in chosen)


def test_none_are_where_they_would_hold_too_few_boxes_for_a_fit(index):
    """A photograph of one thing each: a twentieth of 300 of them is 15 boxes, lost for nothing."""
    streams = (Stream("det", ("train/coco",), 4),)

    def with_boxes(names):
        return dataclasses.replace(index, names=names and {"train/coco": names})

    share = set_aside.MOST_SHARE
    enough = int(set_aside.LEAST_BOXES / share)
    assert set_aside.set_aside(with_boxes({"bolt": enough - 1}), streams, 100) == SetAside()
    assert set_aside.set_aside(with_boxes({"bolt": enough}), streams, 100) == SetAside(share)
    assert set_aside.set_aside(with_boxes({}), streams, 100) == SetAside(share)  # not counted


def test_why_none_are_is_said_with_the_numbers(index):
    streams = (Stream("det", ("train/coco",), 4),)
    few = dataclasses.replace(index, names={"train/coco": {"bolt": 150, "nut": 60}})
    said = set_aside.why_none(few, streams)
    for part in (f"{LARGE} training pictures", "210 names", "60 with 600"):
        assert part in said
    assert "names" not in set_aside.why_none(dataclasses.replace(index, names={}), streams)


def test_the_largest_set_decides_the_share(index, few_boxes_do, monkeypatch):
    monkeypatch.setattr(set_aside, "LEAST_PICTURES", 1)
    streams = (Stream("det", ("train/coco", "train/small"), 4),)
    assert set_aside.set_aside(index, streams, 1).share == 1 / LARGE


def test_small_sets_and_sets_without_boxes_have_none(index):
    small = (Stream("det", ("train/small",), 4),)
    captions = (dataclasses.replace(STREAMS[1], sets=("train/web",)),)
    for streams in (small, captions):
        assert set_aside.set_aside(index, streams, 100) == SetAside()
    assert set_aside.set_aside(index, STREAMS, 0) == SetAside()
    assert "toy:1" not in SetAside()


def test_they_are_never_trained_on_in_any_set(index):
    aside = SetAside(0.3)
    mixture = Mixture(
        index, mixes.WORDS, STREAMS, MixingConfig(workers=0), image_size=32, seed=0, aside=aside
    )
    seen = {record.image_id for step in range(60) for record in mixture.records(step)}
    held_out = {f"toy:{i}" for i in range(LARGE) if f"toy:{i}" in aside}
    assert held_out
    assert not seen & held_out
    assert len(seen) == LARGE - len(held_out)  # all others come


def test_a_set_of_nothing_else_is_trained_on(index):
    every = Mixture(
        index,
        mixes.WORDS,
        STREAMS,
        MixingConfig(workers=0),
        image_size=32,
        seed=0,
        aside=SetAside(1.0),
    )
    assert len(every.records(0)) == 12


def test_they_are_read_from_the_sets_with_boxes(index):
    aside = SetAside(0.3)
    found = list(set_aside.records(index, STREAMS, aside, 1000))
    assert all(record.image_id in aside and record.image for record in found)
    wanted = [i for i in range(LARGE) if f"toy:{i}" in aside]
    assert len(found) == len(wanted) + sum(i < SMALL for i in wanted)
    assert len(list(set_aside.records(index, STREAMS, aside, 3))) == 6
    assert list(set_aside.records(index, STREAMS, SetAside(), 3)) == []
