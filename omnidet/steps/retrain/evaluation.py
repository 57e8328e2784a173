"""Old and new benchmarks of the taught detector, and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping

from omnidet import storage
from omnidet.recipes.recipe import Recipe
from omnidet.registry.versions import Version
from omnidet.steps import train_detector
from omnidet.steps.retrain.data import count_boxes
from omnidet.steps.retrain.training import recipe_for
from omnidet.storage import Location

MEASURED = "measured.json"
"""Of an evaluation: by how many boxes the new benchmark was measured."""


def evaluate(
    combined: Location,
    champion: Version,
    model: Location,
    folder: Location,
    recipe: Recipe,
    name: str,
) -> None:
    """Old and new benchmarks into `folder`: metrics.json, evaluation/, and report.html with the
    champion's beside them.

    What is measured already is not measured again.
    """
    whole = recipe_for(recipe, combined, champion.location, name)
    is_new = train_detector.evaluate_once(
        model,
        combined,
        storage.join(folder, "metrics.json"),
        storage.join(folder, "evaluation"),
        whole,
    )
    report = storage.join(folder, "report.html")
    if not is_new and storage.exists(report):
        return
    boxes = {"boxes": count_boxes(combined, name)}
    storage.write_text(storage.join(folder, MEASURED), json.dumps(boxes) + "\n")
    untaught = numbers(storage.join(folder, "zero_shot", "metrics.json"))
    values = {
        "values": {**champion.metrics, **untaught},
        "protocols": {},
        "details": {},
        "of": str(champion),
    }
    storage.write_text(
        storage.join(folder, "before", storage.INDEX_NAME), json.dumps(values, indent=1) + "\n"
    )
    train_detector.write_report(
        model,
        combined,
        storage.join(folder, "evaluation"),
        report,
        whole,
        before=storage.join(folder, "before"),
        zero_shot=untaught,
        first=name,
    )


def numbers(location: Location) -> dict[str, float]:
    """A flat file of metrics."""
    content: Mapping[str, float] = json.loads(storage.read_text(location))
    return dict(content)
