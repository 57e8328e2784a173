"""A setting of a retraining either has an effect, or is refused with the name of the right one."""

from __future__ import annotations

from typing import Any

import pytest

from components.run import asked_for
from components.run.asked_for import Asked


def _asked(*settings: str, **given: Any) -> Asked:
    places = {"data": "s3://b/d", "dataset": "cells", "registry": "s3://b/r"}
    return Asked(**places, champion="champion", recipe="", settings=settings, **given)


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        ("world.train_images=5",),
        ("train.score_every=5",),
        ("gate.max_drop=0.5",),
        ("download.catalogue=own.toml",),
    ],
)
def test_what_neither_takes(settings, is_new):
    with pytest.raises(ValueError, match=settings[-1]):
        asked_for.require_effect(_asked(*settings, train_minutes=10), is_new)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("model.image_size=256", "retrain.image_size"),
        ("train.steps=5", "train_steps"),
        ("train.optimizer.learning_rate=1e-3", "retrain.learning_rate"),
    ],
)
def test_what_a_taught_detector_does_not_take(setting, remedy):
    with pytest.raises(ValueError, match=f"^{setting} .*{remedy}"):
        asked_for.require_effect(_asked(setting), is_new=False)
    asked_for.require_effect(_asked(setting), is_new=True)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("retrain.steps=5", "train_steps"),
        ("retrain.image_size=512", "model.image_size"),
        ("retrain.replay=s3://b/shards", "replay"),
    ],
)
def test_what_a_new_detector_does_not_take(setting, remedy):
    with pytest.raises(ValueError, match=f"^{setting} .*{remedy}"):
        asked_for.require_effect(_asked(setting), is_new=True)
    asked_for.require_effect(_asked(setting), is_new=False)


@pytest.mark.parametrize(("field", "is_new"), [("retrain.steps", False), ("train.steps", True)])
def test_steps_are_told_once(field, is_new):
    told = _asked(f"{field}=5")
    asked_for.require_effect(told, is_new)
    assert asked_for.minutes(10, 0, told.settings) == 0
    with pytest.raises(ValueError, match=f"{field}=5 .*train_steps"):
        asked_for.require_effect(_asked(f"{field}=5", train_steps=9), is_new)


@pytest.mark.parametrize("is_new", [False, True])
def test_what_has_an_effect(is_new):
    settings = ("register.name=mine", "job.queue=team", "retrain.replay=none", "shards.workers=2")
    by_time = _asked(*settings, train_minutes=10)
    asked_for.require_effect(by_time, is_new)
    assert asked_for.minutes(10, 0, by_time.settings) == 10
    by_steps = _asked("train.score_every=5", train_steps=9)
    asked_for.require_effect(by_steps, is_new)
    assert asked_for.minutes(10, 9, by_steps.settings) == 0


def test_a_network_and_a_version_to_teach_are_two_answers():
    asked = Asked(
        data="d", dataset="cells", registry="r", champion="toy@3", recipe="", backbone="resnet18"
    )
    with pytest.raises(ValueError, match="champion=toy@3 backbone=resnet18"):
        asked_for.check(asked)
