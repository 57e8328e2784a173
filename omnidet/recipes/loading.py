"""The recipe that a command line asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from omnidet import config, recipes
from omnidet.recipes.recipe import Recipe


def load_recipe(params: Path | None, name: str | None, assignments: list[str]) -> Recipe:
    """The recipe named, with the fields of a params file and of `field=value` assignments set.

    Fields of a file that is of another recipe do not count.
    """
    fields: dict[str, Any] = {}
    if params is not None:
        if not params.is_file():
            raise FileNotFoundError(
                f"--params {params} does not exist: "
                "name a YAML file such as params.yaml, or a --recipe"
            )
        try:
            fields = config.read_yaml(params.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{params} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(fields, dict):
            raise ValueError(
                f"{params} holds a {type(fields).__name__}: fields of a recipe are expected"
            )
        own = fields.pop("recipe", name)
        name, fields = (own, fields) if name is None else (name, fields if name == own else {})
    if name is None:
        raise ValueError("no recipe is named: give --params params.yaml or --recipe NAME")
    return config.override(config.override_nested(recipes.by_name(name), fields), *assignments)
