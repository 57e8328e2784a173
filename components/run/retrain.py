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
from dataclasses import dataclass
from pathlib import Path
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
    attempt: retrain.Attempt

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


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person gives to the pipeline.

    Attributes:
        champion: the version to teach, as `champion`, `NAME` or `NAME@3`.
        retry_refused: whether to try again what the gate has refused.
    """

    data: str
    dataset: str
    registry: str
    champion: str
    recipe: str
    settings: Sequence[str] = ()
    replay: str = ""
    retry_refused: bool = False


def notice(asked: Asked, folder: str) -> bool:
    """Whether there is anything to learn that was not refused already; if so, note the champion for
    all later steps.
    """
    places.check({"data": asked.data, "registry": asked.registry})
    places.check_registry(asked.registry)
    found = retrain.notice(asked.data, asked.registry, asked.champion, asked.dataset)
    if not found.is_new:
        outcome.nothing_to_do(found.why)
        return False
    attempt = retrain.Attempt(
        str(found.champion), asked.dataset, found.data_version, asked.recipe,
        tuple(asked.settings), asked.replay,
    )  # fmt: skip
    refused = retrain.recall(asked.registry, attempt)
    if refused and not asked.retry_refused:
        run, reasons = refused
        outcome.nothing_to_do(
            f"the gate refused {asked.dataset} {found.data_version[:12]} for {found.champion} with "
            f"these settings in run {run} ({'; '.join(reasons)}): change data or settings, or "
            "give retry_refused=true"
        )
        return False
    print(found.why)
    retrain.require_whole(found.champion)
    content = {**attempt.describe(), "data": asked.data}
    storage.write_text(storage.join(folder, NOTICE), json.dumps(content, indent=1) + "\n")
    return True


def read_notice(folder: str, registry: str) -> Noticed:
    """What `notice` noted."""
    content = json.loads(storage.read_text(storage.join(folder, NOTICE)))
    del content["data"]
    champion = versions.find(registry, content["champion"])
    return Noticed(folder, champion, retrain.Attempt.of(content))


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
    """Whether the new categories were learned and nothing old was forgotten; a refusal is noted
    beside the registry.
    """
    run = read_notice(folder, registry)
    decision = retrain.gate(folder, run.champion, recipe, run.dataset)
    if decision.passed:
        retrain.forget(registry, run.attempt)
    else:
        retrain.remember(registry, run.attempt, Path(folder).name, decision.reasons)
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
