"""The steps of `pipelines/retrain.py`, on top of `omnidet.steps.retrain`.

The first one notes the champion in the run's folder, and all later ones start from that:

    <workspace>/runs/<id>/    notice.json  dataset  new  shards  vocabulary  zero_shot  model
                              evaluation  metrics.json  report.html  gate.json  registered.json

`python -m components.run.retrain '{...}'` is one process of `train` on several GPUs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import NamedTuple

from components.run import artifacts, outcome, places, training
from omnidet import storage
from omnidet.recipes.recipe import Recipe
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import retrain

NOTICE = "notice.json"


class Noticed(NamedTuple):
    """What a run is about, as its first step noted it."""

    folder: str
    champion: Version
    dataset: str
    data_version: str

    def part(self, name: str) -> str:
        """Location of something in the run's folder."""
        return storage.join(self.folder, name)


def notice(data: str, dataset: str, registry: str, champion: str, folder: str) -> bool:
    """Whether there is anything to learn; if so, note the champion for all later steps."""
    places.check({"data": data, "registry": registry})
    places.check_registry(registry)
    found = retrain.notice(data, registry, champion, dataset)
    if not found.is_new:
        outcome.nothing_to_do(found.why)
    else:
        print(found.why)
        retrain.require_whole(found.champion)
        content = {
            "champion": str(found.champion),
            "dataset": dataset,
            "data_version": found.data_version,
            "data": data,
        }
        storage.write_text(storage.join(folder, NOTICE), json.dumps(content, indent=1) + "\n")
    return found.is_new


def read_notice(folder: str, registry: str) -> Noticed:
    """What `notice` noted."""
    content = json.loads(storage.read_text(storage.join(folder, NOTICE)))
    champion = versions.find(registry, content["champion"])
    return Noticed(folder, champion, content["dataset"], content["data_version"])


def gather(data: str, replay: str, folder: str, registry: str, recipe: Recipe) -> str:
    """Read the new data, build its shards, extend the vocabulary; returns the run's folder."""
    run = read_notice(folder, registry)
    dataset, new, shards = (run.part(name) for name in ("dataset", "new", "shards"))
    print(retrain.read(data, dataset, run.data_version, recipe.retrain.reading))
    old = retrain.replay_of(run.champion, replay or None)
    print(retrain.build_shards(dataset, old, new, shards, recipe, run.dataset))
    out = run.part("vocabulary")
    print(retrain.extend_vocabulary(shards, run.champion.location, out, run.dataset))
    return folder


def train(folder: str, registry: str, name: str, settings: Sequence[str], gpus: int) -> str:
    """Measure the champion on the new benchmark, then retrain it, in one process per GPU.

    Returns the location of the detector.
    """
    run, recipe = read_notice(folder, registry), places.recipe(name, settings)
    shards, zero_shot = run.part("shards"), run.part("zero_shot")
    retrain.zero_shot(shards, run.champion.location, zero_shot, recipe, run.dataset)
    if gpus <= 1:
        train_here(folder, registry, name, settings)
    else:
        given = {"folder": folder, "registry": registry, "name": name, "settings": list(settings)}
        training.in_processes(["-m", __name__, json.dumps(given)], gpus)
    return run.part("model")


def train_here(folder: str, registry: str, name: str, settings: Sequence[str]) -> None:
    """Retrain the champion that the run noted, in this process."""
    run, recipe = read_notice(folder, registry), places.recipe(name, settings)
    shards, vocabulary, model = (run.part(part) for part in ("shards", "vocabulary", "model"))
    retrain.train(shards, vocabulary, run.champion, model, recipe, run.dataset, run.data_version)


def evaluate(
    folder: str, model: str, registry: str, recipe: Recipe, shown: artifacts.Shown
) -> dict[str, float]:
    """Run old and new benchmarks, write report and artifacts; returns the metrics."""
    run = read_notice(folder, registry)
    retrain.evaluate(run.part("shards"), run.champion, model, folder, recipe, run.dataset)
    values: dict[str, float] = json.loads(storage.read_text(places.metrics(folder)))
    before = json.loads(storage.read_text(storage.join(folder, "before", storage.INDEX_NAME)))
    shown.write(str(run.champion), values, run.part("report.html"), before["values"])
    return values


def gate(folder: str, registry: str, recipe: Recipe) -> bool:
    """Whether the new categories were learned and nothing old was forgotten."""
    run = read_notice(folder, registry)
    decision = retrain.gate(folder, run.champion, recipe, run.dataset)
    outcome.judged(decision.passed, decision.reasons)
    return decision.passed


def register(folder: str, registry: str, recipe: Recipe, out: str) -> dict[str, str]:
    """Register, and move the alias if it still points to the champion that the run started from.

    Returns what `artifacts.note_registered` noted.
    """
    run, model = read_notice(folder, registry), storage.join(folder, "model")
    version, said = retrain.register(
        model, folder, registry, run.champion, recipe, run.dataset, run.data_version
    )
    print(said)
    is_champion = versions.aliases(registry, version.name).get(versions.CHAMPION) == version.number
    outcome.registered(version, ("champion",) if is_champion else ())
    return artifacts.note_registered(folder, out, version, registry, model)


if __name__ == "__main__":
    train_here(**json.loads(sys.argv[1]))
