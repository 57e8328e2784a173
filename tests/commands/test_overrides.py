"""A setting either has an effect, or is refused with the name of the right one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from omnidet import config
from omnidet.commands import overrides
from omnidet.recipes import by_name, retrain
from omnidet.recipes.photographs import of_folder
from omnidet.recipes.recipe import Recipe
from tests.recipes.test_retrain import _index

JUDGED_LATER = {"retrain"}
"""Parts that the steps after the training read, not its recipe."""


@pytest.mark.parametrize(
    ("table", "setting", "remedy"),
    [
        (overrides.NEW, "train.steps=450", "--steps"),
        (overrides.NEW, "retrain.learning_rate=1e-3", "train.optimizer.learning_rate"),
        (overrides.NEW, "register.name=x", "--as"),
        (overrides.NEW, "retrain.balanced=true", "one stream"),
        (overrides.NEW, "retrain.image_size=512", "model.image_size"),
        (overrides.EXTENDING, "train.steps=450", "--steps"),
        (overrides.EXTENDING, "train.optimizer.learning_rate=1e-3", "retrain.learning_rate"),
        (overrides.EXTENDING, "model.backbone.width=96", "champion's"),
        (overrides.EXTENDING, "gate.max_drop=1", "retrain.max_drop"),
        (overrides.EXTENDING, "train.score_every=10", "measured"),
    ],
)
def test_what_is_ignored_is_refused_with_the_right_name(table, setting, remedy):
    with pytest.raises(ValueError, match=remedy) as refused:
        overrides.refuse_ignored([setting], table)
    assert setting in str(refused.value)


def test_steps_beside_a_time_are_refused_and_alone_are_not():
    overrides.refuse_ignored(["retrain.steps=3"], overrides.EXTENDING)
    with pytest.raises(ValueError, match=r"retrain\.steps=3"):
        overrides.refuse_ignored(["retrain.steps=3"], overrides.EXTENDING, has_length=True)


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    """Every field with a number."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _numbers(getattr(value, field.name), f"{path}.{field.name}".lstrip("."))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def _changed(recipe: Recipe, path: str, value: float) -> Recipe | None:
    """The recipe with another number there; None if nothing else is allowed."""
    for other in (value * 2, value + 1, value / 2, value + 32):
        number = round(other) if isinstance(value, int) else other
        if number != value:
            try:
                return config.override(recipe, f"{path}={number}")
            except ValueError:
                continue
    return None


def _is_refused(path: str, table) -> bool:
    try:
        overrides.refuse_ignored([f"{path}=1"], table)
    except ValueError:
        return True
    return False


def test_every_number_of_a_recipe_changes_a_retraining_or_is_refused(tmp_path):
    recipe = by_name("tiny_world")
    index = _index(tmp_path, "train/cells", "eval/cells")

    def whole(of: Recipe) -> Recipe:
        return retrain.retraining(of, recipe.model, index, "cells")

    silent = []
    for path, value in _numbers(recipe):
        changed = _changed(recipe, path, value)
        part = path.partition(".")[0]
        if changed is None or part in (*JUDGED_LATER, "shards"):
            continue
        if whole(changed) == whole(recipe) and not _is_refused(path, overrides.EXTENDING):
            silent.append(path)
    assert silent == []


def test_every_number_of_a_recipe_changes_a_new_detector_or_is_refused():
    recipe = by_name("photographs")
    used = {"retrain.min_ap50", "retrain.min_boxes"}
    silent = []
    for path, value in _numbers(recipe):
        changed = _changed(recipe, path, value)
        is_read = path in used or path.startswith("retrain.reading")
        has_effect = is_read or not path.startswith(("retrain.", "train.steps", "train.score"))
        if changed is None or (has_effect and of_folder(changed, "a") != of_folder(recipe, "a")):
            continue
        if not _is_refused(path, overrides.NEW):
            silent.append(path)
    assert silent == []
