"""Defaults of the parameters are those of params.yaml, which are the recipe's."""

from __future__ import annotations

import yaml

from omnidet.recipes.loading import load_recipe
from pipelines.defaults import PARAMS, ROOT


def test_they_are_those_of_params_yaml():
    assert yaml.safe_load((ROOT / "params.yaml").read_text()) == PARAMS


def test_package_and_params_name_the_same_recipe_and_leave_its_numbers_alone(spec):
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert inputs["recipe"]["defaultValue"] == PARAMS["recipe"]
    assert load_recipe(None, PARAMS["recipe"], [])
    assert inputs["train_steps"]["defaultValue"] == 0
