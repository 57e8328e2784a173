"""The recipe that a command line chooses."""

from __future__ import annotations

import pytest

from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.loading import load_recipe
from omnidet.recipes.tiny_world import tiny_world


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("recipe: tiny_world\ntrain:\n  steps: 3\n  seed: 5\n")
    return path


def test_assignments_override_params_which_override_the_recipe(params):
    recipe = load_recipe(params, None, ["train.steps=7"])
    assert (recipe.train.steps, recipe.train.seed) == (7, 5)
    assert recipe.model == tiny_world().model


def test_the_fields_of_params_belong_to_their_recipe(params):
    assert load_recipe(params, "coco_folder", []) == coco_folder()
    assert load_recipe(params, "tiny_world", []).train.steps == 3
    assert load_recipe(None, "tiny_world", []) == tiny_world()
    params.write_text("train:\n  steps: 3\n")  # whatever recipe is named
    assert load_recipe(params, "coco_folder", []).train.steps == 3


def test_a_recipe_must_be_named(params):
    with pytest.raises(ValueError, match="--recipe"):
        load_recipe(None, None, ["train.steps=7"])
    params.write_text("")
    with pytest.raises(ValueError, match="--recipe"):
        load_recipe(params, None, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"recipe: [tiny_world", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        (b"- recipe", "list"),
        (b"recipe: nonsense", "'nonsense'"),
        (b"recipe: tiny_world\ntrain: {stepps: 3}", "train.stepps"),
        (b"recipe: tiny_world\ntrain: {steps: 3}\ntrain: {seed: 1}", "'train' comes twice"),
        (b"recipe: tiny_world\ntrain: {seed: 3, seed: 1}", "'seed' comes twice"),
        (b"recipe: tiny_world\ntrain: {steps: many}", "train.steps='many'"),
    ],
)
def test_params_that_cannot_be_used_are_named(params, content, words):
    params.write_bytes(content)
    with pytest.raises(ValueError, match=r"params\.yaml|nonsense|train") as caught:
        load_recipe(params, None, [])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_params_that_are_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.yaml"):
        load_recipe(tmp_path / "nowhere.yaml", "tiny_world", [])
