"""A name in a recipe is a file, wherever the package of the file is."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest

from omnidet import config, plugins
from omnidet.data.mixing.config import TRANSFORMS
from omnidet.data.transforms.mosaic import Mosaic
from omnidet.recipes import by_name
from omnidet.recipes.recipe import Recipe
from omnidet.training import objective
from omnidet.training.config import WeightedLoss


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "brought_along"
    folder.mkdir()
    (folder / "__init__.py").write_text("SHARED = ('shared',)\n")
    (folder / "shared.py").write_text("")
    (folder / "double.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "scale_by.py").write_text(
        "from dataclasses import dataclass\n\n\n"
        "@dataclass(frozen=True)\nclass ScaleBy:\n"
        "    factor: int = 3\n\n    def __call__(self, x):\n        return self.factor * x\n"
    )
    (folder / "broken.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.load.cache_clear()
    plugins.names.cache_clear()
    yield "brought_along"
    plugins.load.cache_clear()
    plugins.names.cache_clear()
    for name in [n for n in sys.modules if n.startswith("brought_along")]:
        del sys.modules[name]


def test_one_file_is_one_plug_in(package):
    assert plugins.names(package) == ("broken", "double", "scale_by")
    assert plugins.make(package, "double")(4) == 8
    assert plugins.make(package, "scale_by")(4) == 12
    assert plugins.make(package, plugins.load(package, "scale_by")(5))(4) == 20
    assert plugins.make(package, None) is None


def test_a_plug_in_may_come_from_another_package(package):
    assert plugins.make("omnidet.losses", f"{package}.double:double")(1) == 2


def test_a_recipe_with_parts_of_another_package_is_described_and_parsed(package):
    recipe = config.override(
        by_name("tiny_world"),
        f"matching.matcher='{package}.double:double'",
        f"streams.det.transforms=['{package}.scale_by:ScaleBy']",
    )
    loss = WeightedLoss(f"{package}.double:double", 0.5)
    recipe = dataclasses.replace(recipe, losses=(*recipe.losses, loss))
    assert config.parse(Recipe, json.loads(json.dumps(config.describe(recipe)))) == recipe
    assert objective.resolve(recipe.losses)[-1].name == "double"
    (transform,) = (plugins.make(TRANSFORMS, part) for part in recipe.streams[0].transforms)
    assert transform(2) == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("triple", "double, scale_by"),
        ("nowhere.at_all:f", "nowhere.at_all"),
        ("brought_along.double:triple", "triple"),
        ("../double", "double, scale_by"),
    ],
)
def test_a_name_without_a_file_is_refused(package, name, value):
    with pytest.raises(ValueError, match=value):
        plugins.load(package, name)


def test_a_missing_import_of_a_plug_in_is_not_taken_for_a_wrong_name(package):
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        plugins.load(package, "broken")


def test_only_settings_have_a_kind():
    assert plugins.kind_of(Mosaic()) == "mosaic"
    assert plugins.kind_of(Mosaic) is None
    assert plugins.kind_of("mosaic") is None
