"""One training of a contestant and its evaluation, kept by its settings: a part of `recipes.py`.

Task ──settings──▶ a folder of its own: stage-0/checkpoints ... model.safetensors, result.json
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import heads
import processor_time
import recipe_quality
from heads.words import WORDS, num_tokens
from recipe_contestants import CONTESTANTS, VERSIONS, Contestant
from safetensors.torch import load_file, save_file

from omnidet import config, plugins
from omnidet.data import shards
from omnidet.data.mixing.config import TRANSFORMS
from omnidet.data.mixing.mixture import Loader, Mixture
from omnidet.data.vocabulary import Vocabulary
from omnidet.model.detector import Detector
from omnidet.recipes.recipe import Recipe
from omnidet.schema import Batch
from omnidet.training import distributed, loop, metrics, objective, runs
from omnidet.training.scoring import Scoring

MARKS = 4
"""How often each training is measured on its way, at equal distances."""
WARM_UP = 3
"""Steps that are left out of the time of a step."""
SECONDS = "seconds.jsonl"


@dataclass(frozen=True)
class Task:
    """One training and its evaluation."""

    name: str
    """Of the contestant."""
    recipe: Recipe
    """With the steps and the seed."""
    data: Path
    """Folder with `shards` and `vocabulary`."""
    out: Path
    names: tuple[int, ...] = ()
    """Numbers of names at which a picture's time is measured."""

    @property
    def contestant(self) -> Contestant:
        return CONTESTANTS[self.name]

    @property
    def index(self) -> shards.Index:
        return shards.read_index(str(self.data / "shards"))

    @property
    def vocabulary(self) -> Vocabulary:
        base = Vocabulary.load(self.data / "vocabulary")
        return WORDS[self.contestant.words](base)

    def settings(self) -> dict[str, Any]:
        """What the numbers depend on. Two contestants may have the same."""
        contestant = self.contestant
        stages = contestant.stages(self.recipe)
        return {
            "head": f"{contestant.head} {VERSIONS[contestant.head]}",
            "words": contestant.words,
            "stages": [runs.decisive(config.describe(stage)) for stage in stages],
            "transforms": _defaults(self.recipe),
            "evaluation": config.describe(self.recipe.evaluation),
            "data": self.index.dataset_version,
            "vocabulary": self.vocabulary.content_hash,
        }

    @property
    def folder(self) -> Path:
        text = json.dumps(self.settings(), sort_keys=True)
        return self.out / "runs" / hashlib.sha256(text.encode()).hexdigest()[:16]


def _defaults(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """The fields of the transforms that the recipe gives by name alone, as they are today."""
    named = {t for stream in recipe.streams for t in stream.transforms if isinstance(t, str)}
    made = {name: plugins.make(TRANSFORMS, name) for name in sorted(named)}
    return {
        name: dataclasses.asdict(one) for name, one in made.items() if dataclasses.is_dataclass(one)
    }


class Clocked(Loader):
    """A loader that keeps the processor time of each step, its batch included."""

    def __init__(self, mixture: Mixture, last_step: int, path: Path) -> None:
        super().__init__(mixture, last_step)
        self.path = path
        self.pause = 0.0
        """Of the time of the present step, what is not part of the training."""

    def __iter__(self) -> Iterator[Batch]:
        before = processor_time.seconds()
        for batch in super().__iter__():
            yield batch
            now = processor_time.seconds()
            row = {"step": self.step, "seconds": round(now - before - self.pause, 4)}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            before, self.pause = now, 0.0


def result(task: Task) -> dict[str, Any]:
    """The numbers of a task: from its file if it was run before, else by running the rest of it."""
    path = task.folder / "result.json"
    if not path.exists():
        task.folder.mkdir(parents=True, exist_ok=True)
        (task.folder / "settings.json").write_text(json.dumps(task.settings(), indent=1) + "\n")
        with distributed.world() as world, runs.alone(str(task.folder), world):
            detector = _trained(task, world, is_measured=True)
            found = _numbers(task, detector)
        path.write_text(json.dumps(found, indent=1) + "\n")
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept | {"contestant": task.name, "seed": task.recipe.train.seed}


def step_seconds(task: Task, steps: int = 12) -> float:
    """Processor time of a step of the contestant, measured by a short training, once."""
    short = dataclasses.replace(task.recipe.train, steps=steps, seed=0)
    recipe = dataclasses.replace(task.recipe, train=short)
    task = dataclasses.replace(task, recipe=recipe, out=task.out / "speeds")
    path = task.folder / "speed.json"
    if not path.exists():
        task.folder.mkdir(parents=True, exist_ok=True)
        with distributed.world() as world:
            _trained(task, world, is_measured=False)
        stages = task.contestant.stages(task.recipe)
        taken = _seconds(task.folder, len(stages))
        shares = [stage.train.steps / steps for stage in stages]
        means = [statistics.median(own[len(own) // 3 :]) for own in taken]
        seconds = sum(s * m for s, m in zip(shares, means, strict=True))
        path.write_text(json.dumps({"seconds": seconds}))
    return float(json.loads(path.read_text())["seconds"])


def _trained(task: Task, world: distributed.World, *, is_measured: bool) -> Detector:
    """All stages, each from its newest checkpoint if there is one; measured on the way or not."""
    stages = task.contestant.stages(task.recipe)
    every = max(1, task.recipe.train.steps // MARKS) if is_measured else 0
    vocabulary, place = task.vocabulary, task.folder / "model.safetensors"
    detector = _built(task, vocabulary)
    if place.exists():
        detector.load_state_dict(load_file(place))
        return detector.eval()
    for number, stage in enumerate(stages):
        own = dataclasses.replace(stage.train, score_every=every, pictures_every=0)
        detector = _stage(
            task, dataclasses.replace(stage, train=own), number, detector, vocabulary, world
        )
    save_file({k: v.contiguous() for k, v in detector.state_dict().items()}, place)
    return detector


def _built(task: Task, vocabulary: Vocabulary) -> Detector:
    loop.seed_everything(task.recipe.train.seed)
    return heads.BUILDERS[task.contestant.head](task.recipe.model, num_tokens(vocabulary))


def _stage(
    task: Task,
    recipe: Recipe,
    number: int,
    detector: Detector,
    vocabulary: Vocabulary,
    world: distributed.World,
) -> Detector:
    """Train on, and measure on the way; a folder of its own keeps what is needed to go on."""
    folder = task.folder / f"stage-{number}"
    folder.mkdir(exist_ok=True)
    mixture = Mixture(
        task.index,
        vocabulary,
        recipe.streams,
        recipe.mixing,
        image_size=recipe.model.image_size,
        seed=recipe.train.seed,
    )
    loader = Clocked(mixture, recipe.train.steps, folder / SECONDS)
    every = recipe.train.score_every
    glance = recipe_quality.Glance(task.index, recipe.evaluation.benchmarks) if every else None

    def measure(trained: Detector) -> Mapping[str, float]:
        began = processor_time.seconds()
        assert glance is not None
        values = glance(trained, vocabulary)
        loader.pause += processor_time.seconds() - began
        return values

    return loop.fit(
        detector,
        loader,
        losses=objective.resolve(recipe.losses),
        config=recipe.train,
        world=world,
        folder=str(folder),
        matching=recipe.matching,
        provenance={"run": task.folder.name},
        scoring=Scoring(str(folder), every, measure, lambda *_: None) if every else None,
    )


def _numbers(task: Task, detector: Detector) -> dict[str, Any]:
    stages = task.contestant.stages(task.recipe)
    taken = _seconds(task.folder, len(stages))
    quality = recipe_quality.measure(
        detector, task.vocabulary, task.index, task.recipe.evaluation, task.folder / "evaluation"
    )
    steady = [seconds for own in taken for seconds in own[WARM_UP:] or own]
    return {
        "steps": sum(stage.train.steps for stage in stages),  # a killed run may lack a row
        "processor_minutes": sum(map(sum, taken)) / 60,
        "step_seconds": statistics.mean(steady),
        "parameters": sum(p.numel() for p in detector.parameters()),
        "curve": _curve(task.folder, taken),
        **recipe_quality.inference(detector, task.vocabulary, task.index, task.names),
        **quality,
    }


def _seconds(folder: Path, num_stages: int) -> list[list[float]]:
    """Of each step of each stage. Steps that a killed run took again count once, the last time."""
    taken = []
    for number in range(num_stages):
        rows = metrics.read(folder / f"stage-{number}" / SECONDS)
        taken.append(list({int(row["step"]): row["seconds"] for row in rows}.values()))
    return taken


def _curve(folder: Path, taken: list[list[float]]) -> list[dict[str, float]]:
    """What was measured on the way, by steps and processor minutes over all stages."""
    points, steps, seconds = [], 0, 0.0
    for number, own in enumerate(taken):
        for row in metrics.read(folder / f"stage-{number}" / "metrics.jsonl"):
            if "AP50" in row:
                step = int(row["step"])
                minutes = (seconds + sum(own[:step])) / 60
                shown = {k: row[k] for k in ("AP", "AP50", "referring")}
                points.append({"step": steps + step, "minutes": round(minutes, 4), **shown})
        steps, seconds = steps + len(own), seconds + sum(own)
    return points
