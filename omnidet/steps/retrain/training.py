"""The champion, measured on the new data and then taught it."""

from __future__ import annotations

import json

from omnidet import config, storage
from omnidet.data import shards
from omnidet.model import bundle
from omnidet.model.config import ModelConfig
from omnidet.recipes import retrain as variants
from omnidet.recipes.recipe import Recipe
from omnidet.registry.versions import Version
from omnidet.steps import train_detector
from omnidet.steps.retrain import keeping
from omnidet.steps.retrain.champion import TAUGHT
from omnidet.storage import Location


def recipe_for(recipe: Recipe, combined: Location, champion: Location, name: str) -> Recipe:
    """The whole run: streams, benchmarks and schedule of `recipes/retraining.py`, on the champion's
    architecture.
    """
    content = bundle.read_config(storage.local_copy(champion, ".cache/models"))
    model = config.parse(ModelConfig, content["model"])
    return variants.retraining(recipe, model, shards.read_index(combined), name)


def zero_shot(
    combined: Location, champion: Location, out: Location, recipe: Recipe, name: str
) -> dict[str, float]:
    """What the champion makes of the new benchmark before it is taught: an evaluation folder and
    its numbers.
    """
    only = variants.of_new_data(recipe_for(recipe, combined, champion, name), name)
    metrics, folder = storage.join(out, "metrics.json"), storage.join(out, "new")
    train_detector.evaluate_once(champion, combined, metrics, folder, only)
    values: dict[str, float] = json.loads(storage.read_text(metrics))
    return values


def train(
    combined: Location,
    vocabulary: Location,
    champion: Version,
    out: Location,
    recipe: Recipe,
    name: str,
    version: str,
    work: Location | None = None,
    *,
    finish: bool = False,
) -> None:
    """Teach the champion: the new data beside a replay of the old streams, from its weights on.

    With `train.score_every`, the new benchmark and those that are kept are measured on the way.

    Args:
        finish: whether to train no further, and take the best that an interrupted run has reached.
    """
    start = storage.local_copy(champion.location, ".cache/models")
    taught = [
        *champion.provenance.get(TAUGHT, []),
        {"name": name, "data_version": version, "from": str(champion)},
    ]
    step = train_detector.take_best if finish else train_detector.train
    step(
        combined,
        vocabulary,
        out,
        recipe_for(recipe, combined, start, name),
        work,
        start=start,
        facts={TAUGHT: taught},
        scored={name, *keeping.kept(champion, recipe, name).drops},
    )
