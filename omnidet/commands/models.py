"""`omnidet models`: what the registry holds, and which version an alias points to."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from omnidet.commands.arguments import Commands, add_command, add_registry
from omnidet.commands.summary import table

if TYPE_CHECKING:
    from omnidet.registry import versions


def add(commands: Commands) -> None:
    """Register the command and its own commands."""
    text = "what the registry holds; which version an alias points to"
    models = add_command(commands, "models", text, list_versions)
    add_registry(models)
    actions = models.add_subparsers(metavar="ACTION")
    listing = add_command(actions, "list", "every version (same as no action)", list_versions)
    shown = add_command(actions, "show", "a version's metrics and provenance", show)
    shown.add_argument("reference", metavar="NAME[@VERSION]", help="NAME alone: its newest version")
    promoted = add_command(actions, "promote", "point an alias to a version", promote)
    promoted.add_argument("reference", metavar="NAME@VERSION")
    undone = add_command(actions, "rollback", "point an alias back to the version before", rollback)
    undone.add_argument("name", metavar="NAME")
    for action in (promoted, undone):
        action.add_argument("--alias", help="(default: champion)")
    for action in (listing, shown, promoted, undone):
        add_registry(action, default=argparse.SUPPRESS)


def list_versions(options: argparse.Namespace) -> None:
    """Print every version with its aliases and metrics.

    Raises ValueError for the first version that is damaged, after all others were printed.
    """
    from omnidet.registry import pointers, versions

    versions.check(options.registry)
    names = versions.models(options.registry)
    if not names:
        raise ValueError(
            f"{options.registry} holds no model: name the registry with --registry, "
            "or register one first"
        )
    damaged: ValueError | None = None
    for name in names:
        try:
            aliases = versions.aliases(options.registry, name)
        except pointers.LostError as error:  # the versions are there all the same
            aliases = {}
            print(f"note: {error}")
        for version in versions.versions(options.registry, name):
            try:
                print(f"{_with_aliases(version, aliases)}\n{table(version.metrics, indent='  ')}")
            except ValueError as error:
                damaged = damaged or error
    if damaged:
        raise damaged


def show(options: argparse.Namespace) -> None:
    """Print a version's location, metrics and provenance."""
    from omnidet.registry import versions

    version = versions.find(options.registry, options.reference)
    aliases = versions.aliases(options.registry, version.name)
    print(f"{_with_aliases(version, aliases)}\n{version.location}")
    print(table(version.metrics, indent="  "))
    facts = {
        key: value
        for key, value in version.provenance.items()
        if isinstance(value, str | int | float)
    }
    width = max((len(key) for key in facts), default=0)
    print("\n".join(f"  {key:{width}}  {value}" for key, value in facts.items()))


def promote(options: argparse.Namespace) -> None:
    """Point an alias to a version whose files are all as they were registered."""
    from omnidet.registry import versions

    if "@" not in options.reference:
        raise ValueError(
            f"{options.reference!r} names no version: give one, for example {options.reference}@3"
        )
    version = versions.find(options.registry, options.reference)
    alias = versions.CHAMPION if options.alias is None else options.alias
    version.check_whole()
    versions.promote(options.registry, version.name, version.number, alias)
    print(f"{version.name}@{alias} is {version}")


def rollback(options: argparse.Namespace) -> None:
    """Point an alias to the version that it pointed to before."""
    from omnidet.registry import versions

    alias = versions.CHAMPION if options.alias is None else options.alias
    if "@" in options.name:
        raise ValueError(
            f"{options.name!r} is a version: give the model's name alone, "
            f"{options.name.partition('@')[0]}"
        )
    version = versions.rollback(options.registry, options.name, alias)
    print(f"{version.name}@{alias} is {version} again")


def _with_aliases(version: versions.Version, aliases: dict[str, int]) -> str:
    own = [alias for alias, number in aliases.items() if number == version.number]
    return "  ".join([str(version), *own])
