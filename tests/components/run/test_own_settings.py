"""Settings of the pipeline itself, beside those of the recipe."""

from __future__ import annotations

import pytest

from components.run import own_settings

GIVEN = ["train.steps=3", "job.queue=a", " job.queue = b", "retrain.steps=9"]


def test_they_are_kept_apart_from_the_recipes():
    assert own_settings.of_recipe(GIVEN) == ["train.steps=3", "retrain.steps=9"]


def test_the_last_value_counts():
    assert own_settings.value(GIVEN, "job.queue") == "b"
    assert own_settings.value(GIVEN, "retrain.replay") == ""


def test_an_unknown_one_is_a_mistake_of_the_code():
    with pytest.raises(KeyError):
        own_settings.value(GIVEN, "job.que")
