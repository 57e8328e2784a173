"""Whole runs: the only place that picks parts.

A recipe is a function without arguments that returns one frozen `Recipe`; a variant calls another
and replaces fields. To add one, write a file here and name the function in RECIPES: its name is
what `--recipe` takes.
"""

from __future__ import annotations

from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.photographs import photographs
from omnidet.recipes.recipe import Recipe
from omnidet.recipes.tiny_world import tiny_world, tiny_world_det
from omnidet.recipes.vitb16_three_streams import vitb16_three_streams, vitb16_three_streams_1024

RECIPES = [
    tiny_world,
    tiny_world_det,
    coco_folder,
    photographs,
    vitb16_three_streams,
    vitb16_three_streams_1024,
]


def by_name(name: str) -> Recipe:
    """The recipe of that name. Raises ValueError that lists the known ones."""
    for recipe in RECIPES:
        if recipe.__name__ == name:
            return recipe()
    raise ValueError(
        f"unknown recipe {name!r}: the known ones are {', '.join(r.__name__ for r in RECIPES)}"
    )
