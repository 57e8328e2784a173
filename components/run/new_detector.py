"""What `retrain` does where there is no champion to teach, or a backbone is named: a new detector.

The steps of `omnidet finetune FOLDER --from photo-small`, on top of `omnidet.steps.photographs`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from components.run import artifacts, own_settings, places
from omnidet import config, storage
from omnidet.recipes import backbones
from omnidet.recipes.loading import load_recipe
from omnidet.recipes.photographs import of_folder
from omnidet.recipes.recipe import Recipe
from omnidet.registry import gate as gate_module
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import photographs, retrain, train_detector

RECIPE = "photographs"


def recipe(
    name: str, settings: Sequence[str], dataset: str, backbone: str = "", weights: str = ""
) -> Recipe:
    """The recipe of a new detector for a dataset.

    Args:
        name: of the recipe to begin with; empty for the one for photographs.
        backbone: as `recipes.backbones` takes it; empty, or photo-small without weights of its own,
            leaves the recipe's.
    """
    is_own = backbone in ("", backbones.SMALL) and not weights
    chosen = [] if is_own else backbones.settings(backbone or backbones.SMALL, weights)
    of_recipe = own_settings.of_recipe(settings)
    loaded = load_recipe(None, name or RECIPE, [*chosen, *of_recipe])
    made = of_folder(loaded, dataset)
    if any(setting.partition("=")[0].strip() == "register.name" for setting in of_recipe):
        made = dataclasses.replace(made, register=loaded.register)
    return made


def known(registry: str, recipe: Recipe, dataset: str, data_version: str) -> Version | None:
    """The newest version of the detector's name that was taught just this data on this backbone.

    It need not be the champion: what was registered beside it is not made again each night.
    """
    backbone = config.describe(recipe.model)["backbone"]
    for found in reversed(versions.versions(registry, recipe.register.name)):
        facts = found.provenance
        taught = facts.get(retrain.TAUGHT, [])
        is_taught = any((t["name"], t["data_version"]) == (dataset, data_version) for t in taught)
        carried = facts.get("recipe", {}).get("model", {}).get("backbone")
        if is_taught and carried == backbone:
            return found
    return None


def gather(data: str, data_version: str, folder: str, recipe: Recipe, dataset: str) -> None:
    """Read the folder, build its shards and vocabulary."""
    parts = ("dataset", "shards", "vocabulary")
    read, shards, words = (storage.join(folder, part) for part in parts)
    print(retrain.read(data, read, data_version, recipe.retrain.reading))
    print(photographs.build_shards(read, shards, recipe, dataset))
    train_detector.build_vocabulary(shards, words, recipe)


def train(folder: str, recipe: Recipe, dataset: str, data_version: str) -> None:
    """Train in this process."""
    shards, words, model = (storage.join(folder, p) for p in ("shards", "vocabulary", "model"))
    taught = [{"name": dataset, "data_version": data_version, "from": ""}]
    train_detector.train(shards, words, model, recipe, facts={retrain.TAUGHT: taught})


def evaluate(
    folder: str, model: str, recipe: Recipe, dataset: str, shown: artifacts.Shown
) -> dict[str, float]:
    """Measure the detector, write report and artifacts; returns the metrics."""
    shards, evaluation = storage.join(folder, "shards"), storage.join(folder, "evaluation")
    metrics, report = places.metrics(folder), storage.join(folder, "report.html")
    train_detector.evaluate_once(model, shards, metrics, evaluation, recipe)
    train_detector.write_report(model, shards, evaluation, report, recipe, first=dataset)
    values: dict[str, float] = json.loads(storage.read_text(metrics))
    shown.write(recipe.register.name, values, report)
    return values


def gate(folder: str, recipe: Recipe, dataset: str) -> gate_module.Decision:
    """Whether the detector has learned what its pictures show."""
    return photographs.gate(folder, storage.join(folder, "shards"), recipe, dataset)


def register(folder: str, registry: str, recipe: Recipe) -> tuple[Version, str]:
    """Register the detector; gives the version and what became of it, for people."""
    said = photographs.register(storage.join(folder, "model"), folder, registry, recipe)
    receipt = json.loads(storage.read_text(storage.join(folder, "registered.json")))
    return versions.find(registry, receipt["version"]), said
