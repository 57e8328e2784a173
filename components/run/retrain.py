"""The steps of `pipelines/retrain.py`, on top of `omnidet.steps.retrain`.

The first one notes in the run's folder which champion is taught, or that a new detector is made
(`new_detector`), and all later ones go on from that:

    <workspace>/runs/<id>/    notice.json  dataset  new  shards  vocabulary  model  zero_shot
                              evaluation  metrics.json  report.html  gate.json  registered.json

`python -m components.run.retrain '{...}'` is one process of `train` of several.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.run import (
    artifacts,
    asked_for,
    new_detector,
    outcome,
    own_settings,
    places,
    training,
)
from components.run.again import patiently
from components.run.asked_for import Asked
from omnidet import storage
from omnidet.recipes import backbones
from omnidet.recipes.recipe import Recipe
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import photographs, retrain

NOTICE = "notice.json"


@dataclass(frozen=True)
class Noticed:
    """What a run is about, as its first step noted it.

    Attributes:
        champion: None for a new detector.
        backbone: of a new detector, with its weights; empty for the recipe's.
    """

    folder: str
    champion: Version | None
    attempt: retrain.Attempt
    backbone: str = ""
    backbone_weights: str = ""

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.attempt.dataset

    @property
    def data_version(self) -> str:
        """Hash of the data."""
        return self.attempt.data_version

    def part(self, name: str) -> str:
        """Location of something in the run's folder."""
        return storage.join(self.folder, name)

    def recipe(self, name: str, settings: Sequence[str]) -> Recipe:
        """What is trained: the recipe named, else the champion's own or that of photographs."""
        return _recipe(self, name, settings)


@patiently
def notice(asked: Asked, folder: str) -> bool:
    """Whether there is anything to learn that was not refused already; if so, note it for all later
    steps.
    """
    places.check({"data": asked.data, "registry": asked.registry})
    places.check_apart(asked.data, {"registry": asked.registry, "workspace": folder})
    places.check_registry(asked.registry)
    asked_for.check(asked)
    retrain.check_name(asked.dataset)
    is_new, run, why = _noticed(asked, folder)
    if not is_new:
        outcome.nothing_to_do(why)
        return False
    asked_for.require_effect(asked, is_new=run.champion is None)
    before = retrain.recall(asked.registry, run.attempt)
    if before and not asked.retry_refused:
        outcome.nothing_to_do(
            f"{before.describe(run.attempt)}: change data or settings, or give retry_refused=true"
        )
        return False
    print(why)
    if run.champion is not None:
        retrain.require_whole(run.champion)
    content = {
        **run.attempt.describe(),
        "data": asked.data,
        "network": [run.backbone, run.backbone_weights],
    }
    storage.write_text(storage.join(folder, NOTICE), json.dumps(content, indent=1) + "\n")
    return True


def _noticed(asked: Asked, folder: str) -> tuple[bool, Noticed, str]:
    """Whether the data is new, what the run is about, and the first of it for people."""
    champion = None
    if not asked.backbone and (asked.names_champion or versions.models(asked.registry)):
        champion = retrain.find_champion(asked.registry, asked.champion, retrain.BY_PARAMETER)
    length = [f"train_minutes={asked.train_minutes:g}", f"train_steps={asked.train_steps}"]
    network = [asked.backbone, asked.backbone_weights]

    def about(data_version: str) -> Noticed:
        attempt = retrain.Attempt(
            str(champion or ""), asked.dataset, data_version, asked.recipe,
            (*asked.settings, *length, *network),
            own_settings.value(asked.settings, "retrain.replay"),
        )  # fmt: skip
        return Noticed(folder, champion, attempt, *network)

    recipe = about("").recipe(asked.recipe, asked.settings)
    reading = recipe.retrain.reading
    if champion is not None:
        found = retrain.notice(asked.data, asked.registry, str(champion), asked.dataset, reading)
        if found.is_new:
            own = asked_for.model_name(asked.settings, recipe, asked.dataset)
            if own in ("", champion.name):
                retrain.require_current(asked.registry, champion, retrain.BY_PARAMETER)
            retrain.kept(champion, recipe, asked.dataset)  # raises for what was never measured
        return found.is_new, about(found.data_version), found.why
    version = retrain.data_version(asked.data, reading)
    known = new_detector.known(asked.registry, recipe, asked.dataset, version)
    if known and not asked.retry_refused:
        why = (
            f"nothing new: {known} was taught {asked.dataset} {version[:12]} already: change the "
            "data, or give retry_refused=true to make another one"
        )
        return False, about(version), why
    return True, about(version), f"{asked.dataset} {version[:12]} makes a new detector"


def read_notice(folder: str, registry: str) -> Noticed:
    """What `notice` noted."""
    content = json.loads(storage.read_text(storage.join(folder, NOTICE)))
    del content["data"]
    network = content.pop("network", ())
    attempt = retrain.Attempt.of(content)
    champion = versions.find(registry, attempt.champion) if attempt.champion else None
    return Noticed(folder, champion, attempt, *network)


def _recipe(run: Noticed, name: str, settings: Sequence[str]) -> Recipe:
    if run.champion is None:
        return new_detector.recipe(name, settings, run.dataset, run.backbone, run.backbone_weights)
    settings = asked_for.alone(settings)
    if name:
        return places.recipe(name, settings)
    return retrain.base_recipe(run.champion, own_settings.of_recipe(settings), run.dataset)


@patiently
def gather(data: str, folder: str, registry: str, name: str, settings: Sequence[str]) -> str:
    """Read the new data, build shards and vocabulary; returns the run's folder."""
    run = read_notice(folder, registry)
    recipe = run.recipe(name, settings)
    if run.champion is None:
        new_detector.gather(data, run.data_version, folder, recipe, run.dataset)
        _require_same(data, run, recipe)
        return folder
    dataset, new, shards = (run.part(part) for part in ("dataset", "new", "shards"))
    old = retrain.replay_of(run.champion, run.attempt.replay or None, retrain.BY_PARAMETER)
    retrain.require_measured(run.champion, recipe, run.dataset, old, retrain.BY_PARAMETER)
    if doubt := retrain.doubt_of_replay(run.champion, old, shards):
        print(doubt)
    reading = recipe.retrain.reading
    print(retrain.read(data, dataset, run.data_version, reading, old, run.champion))
    _require_same(data, run, recipe)
    print(retrain.build_shards(dataset, old, new, shards, recipe, run.dataset))
    out = run.part("vocabulary")
    print(retrain.extend_vocabulary(shards, run.champion.location, out, run.dataset))
    return folder


def _require_same(data: str, run: Noticed, recipe: Recipe) -> None:
    """Raise ValueError if what was read is not what was noticed: the detector would pass for one
    that was taught other pictures than it was.
    """
    if retrain.data_version(data, recipe.retrain.reading) != run.data_version:
        raise ValueError(
            f"{data} has changed since the run began: run it again once nobody writes there"
        )


@patiently
def train(
    folder: str,
    registry: str,
    name: str,
    settings: Sequence[str],
    nodes: training.Nodes,
    minutes: float = 0,
    steps: int = 0,
) -> str:
    """Train where `nodes` says; returns the location of the detector."""
    run = read_notice(folder, registry)
    recipe, why = _to_train(run, name, settings)
    print(why)
    length = _length(run, recipe, settings, minutes, steps)
    given = {"folder": folder, "registry": registry, "name": name, "settings": [*settings, *length]}
    if nodes.num_nodes == 1 and nodes.gpus_per_node <= 1:
        train_here(**given)  # type: ignore[arg-type]
    else:
        training.in_many(["-m", __name__, json.dumps(given)], folder, nodes, settings)
    return run.part("model")


def _length(
    run: Noticed, recipe: Recipe, settings: Sequence[str], minutes: float, steps: int
) -> list[str]:
    """Settings that say how many steps to train, as told or as fit into the minutes here."""
    field = "train.steps" if run.champion is None else "retrain.steps"
    left = asked_for.minutes(minutes, steps, settings)
    if steps:
        return [f"{field}={int(steps)}"]
    if not left:
        return []
    from omnidet.steps import budget

    shards, scored = run.part("shards"), None
    if run.champion is not None:
        scored = {run.dataset, *retrain.kept(run.champion, recipe, run.dataset).drops}
        recipe = retrain.recipe_for(recipe, shards, run.champion.location, run.dataset)
    planned = budget.plan(
        shards, run.part("vocabulary"), recipe, run.folder, minutes=left, scored=scored
    )
    print(planned.describe())
    own = planned.applied(recipe).train
    scoring = [f"train.score_{key}={getattr(own, f'score_{key}')}" for key in ("every", "images")]
    return [f"{field}={own.steps}", *scoring]


def _to_train(run: Noticed, name: str, settings: Sequence[str]) -> tuple[Recipe, str]:
    """The recipe with weights that this machine has, and what is trained, for people."""
    recipe = run.recipe(name, settings)
    if run.champion is not None:
        return recipe, f"teaching {run.champion}"
    is_named = run.backbone not in ("", backbones.SMALL) or bool(run.backbone_weights)
    is_asked = is_named or any(setting.startswith("model.backbone") for setting in settings)
    chosen, why = photographs.choose_backbone(recipe, is_asked)
    return chosen, f"a new detector, {chosen.register.name}, from {why}"


def train_here(folder: str, registry: str, name: str, settings: Sequence[str]) -> None:
    """Train in this process, or as one of the processes that torchrun has started."""
    run = read_notice(folder, registry)
    recipe, _ = _to_train(run, name, settings)
    if run.champion is None:
        new_detector.train(folder, recipe, run.dataset, run.data_version)
        return
    shards, vocabulary, model = (run.part(part) for part in ("shards", "vocabulary", "model"))
    retrain.train(shards, vocabulary, run.champion, model, recipe, run.dataset, run.data_version)


@patiently
def evaluate(
    folder: str,
    model: str,
    registry: str,
    name: str,
    settings: Sequence[str],
    shown: artifacts.Shown,
) -> dict[str, float]:
    """Measure old and new, before and after, write report and artifacts; returns the metrics."""
    run = read_notice(folder, registry)
    recipe = run.recipe(name, settings)
    if run.champion is None:
        return new_detector.evaluate(folder, model, recipe, run.dataset, shown)
    shards, before = run.part("shards"), run.champion
    retrain.zero_shot(shards, before.location, run.part("zero_shot"), recipe, run.dataset)
    retrain.evaluate(shards, before, model, folder, recipe, run.dataset)
    values: dict[str, float] = json.loads(storage.read_text(places.metrics(folder)))
    old = json.loads(storage.read_text(storage.join(folder, "before", storage.INDEX_NAME)))
    shown.write(str(before), values, run.part("report.html"), old["values"])
    return values


@patiently
def gate(folder: str, registry: str, name: str, settings: Sequence[str]) -> bool:
    """Whether the new was learned and nothing old was forgotten; a refusal is noted beside the
    registry.
    """
    run = read_notice(folder, registry)
    recipe = run.recipe(name, settings)
    if run.champion is None:
        decision = new_detector.gate(folder, recipe, run.dataset)
    else:
        decision = retrain.gate(folder, run.champion, recipe, run.dataset)
    if decision.passed:
        retrain.forget(registry, run.attempt)
    else:
        retrain.remember(registry, run.attempt, Path(folder).name, decision.reasons)
    outcome.judged(decision.passed, decision.reasons)
    return decision.passed


@patiently
def register(
    folder: str, registry: str, name: str, settings: Sequence[str], out: str
) -> dict[str, str]:
    """Register, and move the alias if it still points to the champion that the run started from.

    Returns what `artifacts.note_registered` noted.
    """
    run, model = read_notice(folder, registry), storage.join(folder, "model")
    recipe = run.recipe(name, settings)
    if run.champion is None:
        version, said = new_detector.register(folder, registry, recipe)
    else:
        version, said = retrain.register(
            model, folder, registry, run.champion, recipe, run.dataset, run.data_version,
            asked_for.model_name(settings, recipe, run.dataset),
        )  # fmt: skip
        # Whoever rolls back, or wants a model of its own, is not given the same again each night.
        retrain.remember(registry, run.attempt, Path(folder).name, registered=str(version))
    print(said)
    is_champion = versions.aliases(registry, version.name).get(versions.CHAMPION) == version.number
    outcome.registered(version, ("champion",) if is_champion else ())
    return artifacts.note_registered(folder, out, version, registry, model)


if __name__ == "__main__":
    train_here(**json.loads(sys.argv[1]))
