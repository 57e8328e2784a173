"""A new detector from an annotated folder: what `omnidet finetune` does where there is none to go
on from.

    read -> shards -> vocabulary -> train -> evaluate -> gate -> register

The steps are those of the main job (`train_detector.py`) with the recipe `photographs`; this file
holds what is different: the folder is read with an account, and the gate looks at the user's own
pictures alone.
"""

from __future__ import annotations

import dataclasses
import json

from omnidet import config, storage
from omnidet.data.sharding import finish
from omnidet.recipes.photographs import of_folder
from omnidet.recipes.recipe import Recipe
from omnidet.registry import gate as gate_module
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import retrain, train_detector
from omnidet.storage import Location

SMALL = "photo-small"
"""What `--from` calls the backbone that a new detector begins with."""


def build_shards(dataset: Location, out: Location, recipe: Recipe, name: str) -> str:
    """Shards of the folder that `retrain.read` wrote; gives the report for people."""
    index = train_detector.build_shards(dataset, out, of_folder(recipe, name))
    return finish.describe(index)


def gate(folder: Location, combined: Location, recipe: Recipe, name: str) -> gate_module.Decision:
    """Whether the detector has learned what its own pictures show; the decision goes to
    `gate.json`."""
    wanted = recipe.retrain
    minimum = (*recipe.gate.minimum, f"{name}/AP50={wanted.min_ap50:g}")
    limits = dataclasses.replace(recipe.gate, minimum=minimum)
    reached = json.loads(storage.read_text(storage.join(folder, "metrics.json")))
    decision = gate_module.decide(reached, None, limits)
    boxes = retrain.count_boxes(combined, name)
    if boxes < wanted.min_boxes:
        reason = (
            f"{name}: measured by {boxes} boxes, of at least {wanted.min_boxes}: "
            "put more annotated pictures aside for the evaluation"
        )
        decision = dataclasses.replace(decision, passed=False, reasons=(*decision.reasons, reason))
    content = {"champion": None, **decision.describe(), "config": config.describe(limits)}
    storage.write_text(storage.join(folder, "gate.json"), json.dumps(content, indent=1) + "\n")
    return decision


def register(
    model: Location, folder: Location, registry: Location, recipe: Recipe
) -> tuple[Version, bool]:
    """The detector as a version of its own name, which becomes the champion."""
    return train_detector.register(
        model,
        storage.join(folder, "metrics.json"),
        registry,
        recipe,
        versions.CHAMPION,
    )
