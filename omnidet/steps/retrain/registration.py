"""The taught detector as the next version and champion."""

from __future__ import annotations

import dataclasses
import json

from omnidet import storage
from omnidet.recipes.recipe import Recipe
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import train_detector
from omnidet.steps.retrain.champion import find_champion, state_of
from omnidet.storage import Location


def register(
    model: Location,
    folder: Location,
    registry: Location,
    champion: Version,
    recipe: Recipe,
    name: str,
    version: str,
    model_name: str = "",
) -> tuple[Version, str]:
    """The taught detector as the next version and champion; gives it and what became of it, for
    people.

    Args:
        model_name: register it as a model of this name, and leave the champion alone.

    Where another run was faster with the same data, its version stays the champion. Raises
    ValueError if the champion is another one by now and was not taught this data: what was compared
    is no longer in service.
    """
    decision = json.loads(storage.read_text(storage.join(folder, "gate.json")))
    if not decision["passed"]:
        raise ValueError(
            f"{folder}: the gate said no ({'; '.join(decision['reasons'])}): {champion} stays"
        )
    metrics = storage.join(folder, "metrics.json")
    if model_name and model_name != champion.name:
        register = dataclasses.replace(recipe.register, name=model_name)
        own, is_new = train_detector.register(
            model, metrics, registry, dataclasses.replace(recipe, register=register),
            versions.CHAMPION,
        )  # fmt: skip
        done = "registered" if is_new else "was registered already"
        return own, f"{own} {done} in {own.location}; {champion} stays as it is"
    taught = _taught_meanwhile(registry, champion, name, version)
    if taught is not None:
        return (
            taught,
            f"{taught} was taught {name} {version[:12]} by another run meanwhile: it stays the "
            "champion",
        )
    named = dataclasses.replace(
        recipe, register=dataclasses.replace(recipe.register, name=champion.name)
    )
    own, is_new = train_detector.register(model, metrics, registry, named)
    try:
        if versions.CHAMPION not in versions.aliases(
            registry, champion.name
        ):  # then there is something to roll back to
            versions.promote(registry, champion.name, champion.number, expected=None)
        versions.promote(registry, own.name, own.number, expected=champion.number)
    except ValueError:
        taught = _taught_meanwhile(
            registry, champion, name, version
        )  # between the look and the move
        if taught is None:
            raise
        return (
            taught,
            f"{taught} was taught {name} {version[:12]} by another run meanwhile: it stays the "
            "champion",
        )
    done = "registered" if is_new else "was registered already"
    return (
        own,
        f"{own} {done} in {own.location}; {own.name}@champion is {own} (back: omnidet models "
        f"rollback {own.name})",
    )


def _taught_meanwhile(
    registry: Location, champion: Version, name: str, version: str
) -> Version | None:
    """The present champion if it was taught this data since; None if it is still the one that the
    run started from.

    Raises ValueError if it is a third one.
    """
    now = find_champion(registry, f"{champion.name}@{versions.CHAMPION}")
    has_alias = versions.CHAMPION in versions.aliases(registry, champion.name)
    if now.number == champion.number or not has_alias:
        return None
    if state_of(now, name) == version:
        return now
    raise ValueError(
        f"{champion.name}@champion is {now} by now, this run started from {champion} and was "
        "compared with it: run it again"
    )
