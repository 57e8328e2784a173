"""Whether the taught detector may follow the champion."""

from __future__ import annotations

import dataclasses
import json

from omnidet import config, storage
from omnidet.recipes.recipe import Recipe
from omnidet.registry import gate as gate_module
from omnidet.registry.versions import Version
from omnidet.steps.retrain.evaluation import MEASURED, numbers
from omnidet.storage import Location


def gate(folder: Location, champion: Version, recipe: Recipe, name: str) -> gate_module.Decision:
    """Whether nothing is forgotten and the new is learned; the decision goes to `folder/gate.json`.

    Old headline numbers may fall by `retrain.max_drop`. On the new benchmark AP must rise above the
    champion's untaught one, AP50 must reach `retrain.min_ap50`, and it must be measured by
    `retrain.min_boxes` boxes: a detector that found nothing in three boxes has shown nothing.
    """
    wanted = recipe.retrain
    untaught = numbers(storage.join(folder, "zero_shot", "metrics.json"))
    reached = numbers(storage.join(folder, "metrics.json"))
    limits = dataclasses.replace(
        recipe.gate,
        max_drop=wanted.max_drop,
        drops=(*recipe.gate.drops, f"{name}={-wanted.min_gain:g}"),
        minimum=(*recipe.gate.minimum, f"{name}/AP50={wanted.min_ap50:g}"),
    )
    decision = gate_module.decide(reached, {**champion.metrics, **untaught}, limits)
    more = []
    before, after = (values.get(f"{name}/AP", 0.0) for values in (untaught, reached))
    if wanted.min_gain == 0 and after <= before:
        more.append(
            f"{name}/AP: {after:.4f} is no gain over the {before:.4f} of {champion} untaught: "
            "train longer (--set retrain.steps=N), or look at the boxes in the report"
        )
    boxes = _measured_boxes(folder)
    if boxes < wanted.min_boxes:
        more.append(
            f"{name}: measured by {boxes} boxes, of at least {wanted.min_boxes}: "
            "put more annotated pictures aside for the evaluation"
        )
    reasons = (*decision.reasons, *more)
    decision = dataclasses.replace(decision, passed=not reasons, reasons=reasons)
    content = {"champion": str(champion), **decision.describe(), "config": config.describe(limits)}
    storage.write_text(storage.join(folder, "gate.json"), json.dumps(content, indent=1) + "\n")
    return decision


def _measured_boxes(folder: Location) -> int:
    content = json.loads(storage.read_text(storage.join(folder, MEASURED)))
    return int(content["boxes"])
