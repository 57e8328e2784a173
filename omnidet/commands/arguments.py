"""How commands are registered, and the arguments that several of them take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omnidet.recipes.recipe import Recipe

Commands = Any
"""What `ArgumentParser.add_subparsers` returns; argparse has no public name for its type."""
Run = Callable[[argparse.Namespace], int | None]
"""Runs a command and returns its exit code; None is 0."""


def add_command(commands: Commands, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    """Register a command and return its parser, to which the caller adds arguments."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def add_recipe(parser: argparse.ArgumentParser, recipe: str, example: str) -> None:
    """Add the arguments that choose a recipe and change its fields.

    Args:
        recipe: help of `--recipe`.
        example: an assignment that `--set` takes, for its help.
    """
    parser.add_argument(
        "--params",
        type=Path,
        help="YAML file with `recipe:` and the fields to change, such as params.yaml",
    )
    parser.add_argument("--recipe", help=recipe)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"change a field of the recipe, for example {example}; repeatable",
    )


def add_registry(parser: argparse.ArgumentParser, default: str = "registry") -> None:
    """Add `--registry`; `argparse.SUPPRESS` as default leaves what an outer command was given."""
    parser.add_argument(
        "--registry", default=default, help="folder or s3:// URI (default: registry)"
    )


def chosen_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe that the arguments of `add_recipe` choose."""
    from omnidet.recipes import loading

    return loading.load_recipe(options.params, options.recipe, options.set)
