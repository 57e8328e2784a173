"""Whether the taught detector may follow the champion."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from omnidet import config, storage
from omnidet.counted import counted
from omnidet.evaluation import chance, stored
from omnidet.evaluation.metric_names import is_headline
from omnidet.recipes.recipe import Recipe
from omnidet.registry import gate as gate_module
from omnidet.registry.versions import Version
from omnidet.steps.retrain import keeping
from omnidet.steps.retrain.evaluation import MEASURED, numbers
from omnidet.steps.retrain.keeping import Kept
from omnidet.storage import Location


def gate(folder: Location, champion: Version, recipe: Recipe, name: str) -> gate_module.Decision:
    """Whether nothing that is kept was forgotten and the new is learned; the decision goes to
    `folder/gate.json`.

    Headline numbers of the benchmarks that are kept may fall by `retrain.max_drop` below the
    champion's, and by `retrain.max_total_drop` below those of the first version of its line. On the
    new benchmark AP must rise above the champion's untaught one, AP50 must reach
    `retrain.min_ap50`, and it must be measured by `retrain.min_boxes` boxes: a detector that found
    nothing in three boxes has shown nothing.

    A difference that chance explains on so many images is neither a drop nor the lack of a gain;
    over all retrainings it counts as it is, for chance does not fall on the same side each time.
    """
    wanted, kept = recipe.retrain, keeping.kept(champion, recipe, name)
    untaught = numbers(storage.join(folder, "zero_shot", "metrics.json"))
    reached = numbers(storage.join(folder, "metrics.json"))
    before = {**champion.metrics, **untaught}
    compared = (k for k in before if is_headline(k) and k.partition("/")[0] in {*kept.drops, name})
    limits = dataclasses.replace(
        recipe.gate,
        max_drop=wanted.max_drop,
        metrics=recipe.gate.metrics or tuple(compared),
        drops=(
            *recipe.gate.drops,
            *(f"{n}={drop:g}" for n, drop in kept.drops.items() if drop != wanted.max_drop),
            f"{name}={-wanted.min_gain:g}",
        ),
        minimum=(*recipe.gate.minimum, f"{name}/AP50={wanted.min_ap50:g}"),
    )
    explained = _explained(folder, name)
    decision = gate_module.decide(reached, before, limits, explained)
    more = _since_the_first(reached, champion, kept, wanted.max_total_drop)
    old, new = (values.get(f"{name}/AP", 0.0) for values in (untaught, reached))
    low, high = explained.get(f"{name}/AP", (old, old - 1))
    if wanted.min_gain == 0 and new <= old and not low <= old <= high:
        more.append(
            f"{name}/AP: {new:.4f} is not above the {old:.4f} of {champion} untaught: "
            "train longer (--minutes), or look at the boxes in the report"
        )
    boxes = _measured_boxes(folder)
    if boxes < wanted.min_boxes:
        more.append(
            f"{name}: measured by {counted(boxes, 'box', 'boxes')}, of at least "
            f"{wanted.min_boxes}: put more annotated pictures aside for evaluation (--val-share)"
        )
    reasons = (*decision.reasons, *more)
    decision = dataclasses.replace(decision, passed=not reasons, reasons=reasons)
    content = {
        "champion": str(champion),
        "kept": kept.drops,
        "not_kept": list(kept.left_out),
        **decision.describe(),
        "config": config.describe(limits),
    }
    storage.write_text(storage.join(folder, "gate.json"), json.dumps(content, indent=1) + "\n")
    return decision


def _explained(folder: Location, name: str) -> dict[str, gate_module.Range]:
    """What chance explains; on the new benchmark, the champion was measured on the same images."""
    taught, untaught = storage.join(folder, "evaluation"), storage.join(folder, "zero_shot", "new")
    if not storage.exists(storage.join(taught, storage.INDEX_NAME)):
        return {}
    found = chance.ranges(stored.read(taught))
    if storage.exists(storage.join(untaught, storage.INDEX_NAME)):
        paired = chance.ranges(stored.read(taught), stored.read(untaught))
        found |= {key: value for key, value in paired.items() if key.startswith(f"{name}/")}
    return found


def _since_the_first(
    reached: Mapping[str, float], champion: Version, kept: Kept, allowed: float
) -> list[str]:
    """What has been lost over all retrainings: a little each time adds up."""
    line, _ = keeping.line_of(champion)
    reasons = []
    for key, (old, version) in keeping.firsts(line).items():
        name = key.partition("/")[0]
        if name not in kept.drops or version == champion or key not in reached:
            continue
        limit = max(allowed, kept.drops[name])
        if reached[key] < old - limit - 1e-9:
            reasons.append(
                f"{key}: {reached[key]:.4f} against the {old:.4f} of {version}, with which the "
                f"line began: {limit:g} over all retrainings is allowed "
                "(retrain.max_total_drop)"
            )
    return reasons


def remedies(model: Location, name: str, recipe: Recipe) -> str:
    """What to do where the gate said no, for people."""
    weight = recipe.retrain.new_weight
    return "\n".join(
        (
            f"the trained detector is in {model}: omnidet predict --model {model} PICTURE",
            "what helps: more time (--minutes 20); where something old dropped, less weight of the "
            f"new (--set retrain.new_weight={weight / 2:g}; it was {weight:g}) or more replay "
            "(retrain.replay_share=0.7), or --keep NAME=DROP to let it drop by so much; more "
            f"annotated pictures where {name}/AP50 is low",
            "a looser limit (--keep, --set retrain.max_drop=..., --set retrain.min_ap50=...) with "
            "the same command judges this detector again, without training",
        )
    )


def _measured_boxes(folder: Location) -> int:
    content = json.loads(storage.read_text(storage.join(folder, MEASURED)))
    return int(content["boxes"])
