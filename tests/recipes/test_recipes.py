"""Recipes build and describe themselves; params.yaml, dvc.yaml and the command line agree."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from omnidet import cli, config
from omnidet.data import sources
from omnidet.recipes import RECIPES, by_name
from omnidet.recipes.loading import load_recipe

ROOT = Path(__file__).parents[2]
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.__name__)
def test_every_recipe_builds_and_describes_itself(recipe):
    built = recipe()
    assert built == by_name(recipe.__name__)
    assert json.loads(json.dumps(config.describe(built))) == config.describe(built)
    assert recipe.__doc__
    names = [d.set_name for d in (*built.shards.train, *built.shards.evaluation)]
    assert len(names) == len(set(names))
    for stream in built.streams:
        assert set(stream.sets) <= set(names), stream.name
    for benchmark in built.evaluation.benchmarks:
        assert benchmark.set_name in names
    for dataset in (*built.shards.train, *built.shards.evaluation):
        sources.by_name(dataset.source)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.__name__)
def test_the_windows_of_a_backbone_fill_the_images_of_every_stream(recipe):
    built = recipe()
    for stream in built.streams:
        side = stream.image_size or built.model.image_size
        built.model.backbone.check_side(side)


def test_params_are_the_defaults_of_the_recipe():
    """A value in params.yaml that differs from the recipe's would be a second default."""
    assert load_recipe(ROOT / "params.yaml", None, []) == by_name(PARAMS["recipe"])


def test_every_dependency_exists_or_is_made_by_a_stage():
    made = {
        next(iter(out)) if isinstance(out, dict) else out
        for s in STAGES.values()
        for out in s["outs"] + s.get("metrics", [])
    }
    for name, stage in STAGES.items():
        for path in stage["deps"]:
            assert path in made or (ROOT / path).exists(), f"{name}: {path}"


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_a_command_that_the_program_knows_on_paths_that_it_declares(name):
    stage = STAGES[name]
    # `if COMMAND; then ...`: what follows depends on what the command says.
    program, *arguments = shlex.split(stage["cmd"].removeprefix("if ").partition(";")[0])
    options = vars(cli._parser().parse_args(arguments))
    assert program == "omnidet"
    assert options["command"] == name
    assert options["params"] == Path("params.yaml")
    read = [
        str(options[key])
        for key in ("data", "shards", "vocabulary", "model", "evaluation")
        if options.get(key)
    ]
    assert set(read) <= set(stage["deps"])
    outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
    assert str(options["receipt"] if name == "register" else options["out"]) in outs


@pytest.mark.parametrize("name", ["Detector", "", "a b", "s3://x", "a" * 64])
def test_a_name_that_no_registry_takes_is_refused_before_anything_is_trained(name):
    with pytest.raises(ValueError, match="model name"):
        config.override(by_name("tiny_world"), f"register.name={json.dumps(name)}")
