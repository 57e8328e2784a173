"""Defaults of the parameters are those of params.yaml, which are the recipe's."""

from __future__ import annotations

import yaml

from components.run.configuration import FIELDS
from omnidet.recipes.loading import load_recipe
from pipelines.defaults import PARAMS, ROOT


def test_they_are_those_of_params_yaml():
    assert yaml.safe_load((ROOT / "params.yaml").read_text()) == PARAMS


def test_packages_params_and_recipe_agree(spec):
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    recipe = load_recipe(None, PARAMS["recipe"], [])
    assert inputs["recipe"]["defaultValue"] == PARAMS["recipe"]
    for parameter, field in FIELDS.items():
        in_file, in_recipe = PARAMS, recipe
        for name in field.split("."):
            in_file, in_recipe = in_file[name], getattr(in_recipe, name)
        assert inputs[parameter]["defaultValue"] == in_file == in_recipe, parameter
