from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from omnidet.commands import arguments


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    command = arguments.add_command(parser.add_subparsers(), "bake", "bake a cake", print)
    arguments.add_recipe(command, "the recipe", "train.steps=100")
    arguments.add_registry(command)
    return parser


def test_a_command_knows_what_runs_it(parser):
    assert parser.parse_args(["bake"]).run is print
    assert "bake a cake" in parser.format_help()


def test_the_recipe_that_is_chosen(parser, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("recipe: tiny_world\ntrain:\n  steps: 3\n  seed: 5\n")
    options = parser.parse_args(["bake", "--params", str(params), "--set", "train.steps=7"])
    recipe = arguments.chosen_recipe(options)
    assert (recipe.train.steps, recipe.train.seed) == (7, 5)
    assert options.params == Path(params)


def test_an_outer_registry_is_kept_by_the_commands_of_a_command():
    outer = argparse.ArgumentParser()
    arguments.add_registry(outer)
    inner = arguments.add_command(outer.add_subparsers(), "list", "", print)
    arguments.add_registry(inner, default=argparse.SUPPRESS)
    assert outer.parse_args(["--registry", "a", "list"]).registry == "a"
    assert outer.parse_args(["list", "--registry", "b"]).registry == "b"
    assert outer.parse_args(["list"]).registry == "registry"
