"""What a detector has learned from people's photographs after so many processor minutes.

    OMP_NUM_THREADS=1 python benchmarks/photographs.py FOLDER... --out SCRATCH --minutes 1 3 6 10

In the manner of ODinW (Li et al., GLIP, arXiv 2112.03857): any list of annotated folders, AP and
AP50 on each folder's own evaluation split, for

- photo: `omnidet finetune FOLDER --from photo-small`, a backbone that has seen photographs;
- champion: `omnidet finetune FOLDER --from VERSION`, if `--champion` names a detector;
- random: photo's network with random weights, whose batch norms learn;
- dense: FCOS with NMS on photo's backbone (`dense.py`);
- vit: ViT-B/16 on photo's recipe, with random weights or `--vit-weights`.

Each number is a training of its own, in a process of its own, whose learning-rate schedule ends
with its minutes. Minutes are user and system time of all its processes, from the weights to the
trained detector, without the evaluation; how many steps they allow is measured by short
trainings. What was run is kept in `--out` by its settings, so the same command goes on where it
was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import statistics
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import curves
import dense
import processor_time

from omnidet import config, recipes
from omnidet.commands.finetune import default_name
from omnidet.data import shards
from omnidet.data.vocabulary import Vocabulary
from omnidet.measures.ground_truth import ground_truth
from omnidet.recipes.photographs import of_folder
from omnidet.recipes.recipe import Recipe
from omnidet.recipes.retrain import of_new_data
from omnidet.steps import photographs, retrain, train_detector

CONTESTANTS = ("photo", "champion", "random", "dense", "vit")
WARM_UP, SHORT, LONG = 2, 3, 9
"""Steps of the trainings that measure what a step costs."""


@dataclass(frozen=True)
class Task:
    """One training and its evaluation."""

    contestant: str
    name: str
    """Of the set."""
    folder: Path
    """With the set's shards and vocabulary."""
    minutes: float
    recipe: Recipe
    dense: dense.Dense
    registry: str
    champion: str
    champion_set: tuple[str, ...]
    least_steps: int

    def settings(self) -> dict[str, Any]:
        """What the numbers depend on."""
        index = shards.read_index(str(self.folder / "shards"))
        asked = {"contestant": self.contestant, "minutes": self.minutes}
        asked |= {"data": index.dataset_version, "recipe": config.describe(self.recipe)}
        if self.contestant == "dense":
            asked["dense"] = dataclasses.asdict(self.dense)
        if self.contestant == "champion":
            found = retrain.find_champion(self.registry, self.champion)
            asked["champion"] = [f"{found.location} {found}", *self.champion_set]
        return asked


def main() -> None:
    """Run what is not there yet; print and write the table."""
    options = _options()
    results = []
    for folder in options.folders:
        name = default_name(folder)
        place = options.out / name
        recipe = of_folder(config.override(recipes.by_name("photographs"), *options.set), name)
        _prepare(folder, place, recipe, name)
        for task in _tasks(options, place, recipe, name):
            result = _result(task)
            results.append(result)
            print(_line(result), flush=True)
    text = table(results)
    print(f"\n{text}")
    if options.table:
        options.table.write_text(text + "\n", encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(_flat(results), indent=1) + "\n", encoding="utf-8")
    if options.plot:
        options.plot.write_text(curves.svg(_series(results)), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="pictures with annotations")
    parser.add_argument("--out", type=Path, required=True, help="folder for what the runs make")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 3, 6, 10, 20])
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--registry", default="registry")
    parser.add_argument("--champion", metavar="VERSION", help="as NAME@1; without it, none runs")
    parser.add_argument(
        "--champion-set", action="append", default=[], help="as retrain.replay_share=0.3"
    )
    parser.add_argument("--vit", default="vit_base_patch16_224", help="name of a timm model")
    parser.add_argument("--vit-weights", default="random", help="as model.backbone.weights")
    parser.add_argument("--set", action="append", default=[], help="as model.image_size=320")
    parser.add_argument(
        "--dense-set", action="append", default=[], help="as learning_rate=5e-4 (dense.Dense)"
    )
    parser.add_argument("--least-steps", type=int, default=20)
    parser.add_argument("--table", type=Path, metavar="OUT.md")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg")
    return parser.parse_args()


def _prepare(folder: str, place: Path, recipe: Recipe, name: str) -> None:
    """Shards and vocabulary as `omnidet finetune` makes them; the same for all contestants."""
    version = retrain.data_version(folder)
    made = place / "data.json"
    if made.exists() and json.loads(made.read_text()) == version:
        return
    print(retrain.read(folder, str(place / "dataset"), version, recipe.retrain.reading))
    dataset, built = str(place / "dataset"), str(place / "shards")
    print(photographs.build_shards(dataset, built, recipe, name))
    train_detector.build_vocabulary(built, str(place / "vocabulary"), recipe)
    made.write_text(json.dumps(version))


def _tasks(options: argparse.Namespace, place: Path, recipe: Recipe, name: str) -> Iterator[Task]:
    own = {
        "random": ("weights=random", "frozen_norms=false", "network_rate=1.0"),
        "vit": (),
    }
    for contestant in CONTESTANTS:
        if contestant not in options.only or (contestant == "champion" and not options.champion):
            continue
        changed = recipe
        if contestant == "vit":
            changed = config.override(recipe, "model.backbone=timm_vit")
            own["vit"] = (f"name={options.vit}", f"weights={options.vit_weights}")
        changed = config.override(
            changed, *(f"model.backbone.{field}" for field in own.get(contestant, ()))
        )
        for seed in options.seeds:
            seeded = config.override(changed, f"train.seed={seed}")
            for minutes in sorted(options.minutes):
                yield Task(
                    contestant,
                    name,
                    place,
                    minutes,
                    seeded,
                    config.override(dense.Dense(), *options.dense_set),
                    options.registry,
                    options.champion or "",
                    tuple(options.champion_set),
                    options.least_steps,
                )


def _result(task: Task) -> dict[str, Any]:
    """The numbers of a task, from its file if it was run before."""
    settings = json.dumps(task.settings(), sort_keys=True)
    key = hashlib.sha256(settings.encode()).hexdigest()[:16]
    path = task.folder / "results" / f"{key}.json"
    if not path.exists():
        with own_process() as pool:
            result = pool.submit(_run, task).result()
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(result | {"settings": json.loads(settings)}, indent=1) + "\n")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def own_process() -> ProcessPoolExecutor:
    """For one training, whose memory and threads are no matter of the next; it ends with this one,
    however this one ends.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(task: Task) -> dict[str, Any]:
    make = {"dense": _dense, "champion": _champion}.get(task.contestant, _omnidet)
    with tempfile.TemporaryDirectory(prefix="omnidet-", dir=task.folder) as made:
        scratch = Path(made)
        train, measure = make(task, scratch)
        train(WARM_UP)  # imports and first uses of libraries cost seconds, once
        costs = [_seconds(train, steps) for steps in (SHORT, LONG)]
        # Above 0 however the clock jitters, so that few steps are not taken for free.
        per_step = max((costs[1] - costs[0]) / (LONG - SHORT), costs[1] / (10 * LONG))
        shutil.rmtree(scratch / "models", ignore_errors=True)
        start = max(costs[0] - SHORT * per_step, 0)
        steps = max(round((task.minutes * 60 - start) / per_step), task.least_steps)
        taken = _seconds(train, steps)
        values = measure(steps)
    return {
        "contestant": task.contestant,
        "set": task.name,
        "minutes": task.minutes,
        "seed": task.recipe.train.seed,
        "steps": steps,
        "processor_minutes": round(taken / 60, 2),
        "AP": round(values["AP"], 4),
        "AP50": round(values["AP50"], 4),
    }


Train = Callable[[int], None]
Measure = Callable[[int], Mapping[str, float]]


def _seconds(train: Train, steps: int) -> float:
    began = processor_time.seconds()
    train(steps)
    return processor_time.seconds() - began


def _omnidet(task: Task, scratch: Path) -> tuple[Train, Measure]:
    """As `omnidet finetune` trains a new detector."""
    built, words = str(task.folder / "shards"), str(task.folder / "vocabulary")

    def recipe(steps: int) -> Recipe:
        return dataclasses.replace(
            task.recipe, train=dataclasses.replace(task.recipe.train, steps=steps)
        )

    def train(steps: int) -> None:
        train_detector.train(built, words, str(scratch / "models" / str(steps)), recipe(steps))

    def measure(steps: int) -> Mapping[str, float]:
        return _evaluated(scratch / "models" / str(steps), built, scratch, recipe(steps), task.name)

    return train, measure


def _champion(task: Task, scratch: Path) -> tuple[Train, Measure]:
    """As `omnidet finetune` teaches a champion, with a replay of what it was trained on."""
    champion = retrain.find_champion(task.registry, task.champion)
    name, combined, words = task.name, str(scratch / "combined"), str(scratch / "words")
    settings = [f"train.seed={task.recipe.train.seed}", *task.champion_set]
    base = retrain.base_recipe(champion, settings)
    replay = retrain.replay_of(champion, None)
    dataset = str(task.folder / "dataset")
    retrain.build_shards(dataset, replay, str(scratch / "new"), combined, base, name)
    retrain.extend_vocabulary(combined, champion.location, words, name)

    def recipe(steps: int) -> Recipe:
        return dataclasses.replace(base, retrain=dataclasses.replace(base.retrain, steps=steps))

    def train(steps: int) -> None:
        out = str(scratch / "models" / str(steps))
        retrain.train(combined, words, champion, out, recipe(steps), name, "")

    def measure(steps: int) -> Mapping[str, float]:
        whole = retrain.recipe_for(recipe(steps), combined, champion.location, name)
        own = of_new_data(whole, name)
        return _evaluated(scratch / "models" / str(steps), combined, scratch, own, name)

    return train, measure


def _evaluated(
    model: Path, built: str, scratch: Path, recipe: Recipe, name: str
) -> Mapping[str, float]:
    out = scratch / "evaluation"
    values = train_detector.evaluate(
        str(model), built, str(scratch / "metrics.json"), str(out), recipe
    ).values
    return {key: values[f"{name}/{key}"] for key in ("AP", "AP50")}


def _dense(task: Task, scratch: Path) -> tuple[Train, Measure]:  # noqa: ARG001
    index = shards.read_index(str(task.folder / "shards"))
    vocabulary = Vocabulary.load(task.folder / "vocabulary")
    set_name = f"eval/{task.name}"
    names = list(ground_truth(index, set_name)[1].values())
    trained: dict[int, Any] = {}

    def train(steps: int) -> None:
        own = dataclasses.replace(task.recipe.train, steps=steps)
        recipe = dataclasses.replace(task.recipe, train=own)
        trained[steps] = dense.train(index, vocabulary, names, recipe, task.dense)

    def measure(steps: int) -> Mapping[str, float]:
        side = task.recipe.model.image_size
        return dense.measure(trained[steps], index, set_name, side)

    return train, measure


def _line(result: Mapping[str, Any]) -> str:
    return (
        f"{result['set']} {result['contestant']} seed {result['seed']}: {result['minutes']:g} "
        f"minutes ({result['processor_minutes']:.1f} taken, {result['steps']} steps): "
        f"AP {result['AP']:.3f} AP50 {result['AP50']:.3f}"
    )


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """AP / AP50 by set, contestant and minutes, in Markdown; the mean over seeds."""
    marks = sorted({r["minutes"] for r in results})
    header = ["set", "contestant", *(f"{m:g} min" for m in marks)]
    lines = [" | ".join(header), "|".join("---" for _ in header)]
    sets, contestants = (list(dict.fromkeys(r[k] for r in results)) for k in ("set", "contestant"))
    for name in (*sets, *(["mean AP50"] if len(sets) > 1 else [])):
        for contestant in contestants:
            cells = [_cell(results, name, contestant, mark, sets) for mark in marks]
            if any(cells):
                lines.append(" | ".join([name, contestant, *cells]))
    return "\n".join(f"| {line} |" for line in lines)


def _cell(
    results: Sequence[Mapping[str, Any]],
    name: str,
    contestant: str,
    minutes: float,
    sets: Sequence[str],
) -> str:
    own = [r for r in results if (r["contestant"], r["minutes"]) == (contestant, minutes)]
    if name in sets:
        own = [r for r in own if r["set"] == name]
        if not own:
            return ""
        ap, ap50 = (statistics.mean(r[key] for r in own) for key in ("AP", "AP50"))
        return f"{ap:.3f} / {ap50:.3f}"
    if {r["set"] for r in own} != set(sets):
        return ""  # not the mean of the same sets as in the other rows
    by_set = [statistics.mean(r["AP50"] for r in own if r["set"] == s) for s in sets]
    return f"{statistics.mean(by_set):.3f}"


def _flat(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        f"{r['set']}/{r['contestant']}/{r['minutes']:g}/{r['seed']}/{key}": r[key]
        for r in results
        for key in ("AP", "AP50", "steps", "processor_minutes")
    }


def _series(
    results: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """AP50 over processor minutes, by set and contestant."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, contestant in dict.fromkeys((r["set"], r["contestant"]) for r in results):
        own = [r for r in results if (r["set"], r["contestant"]) == (name, contestant)]
        found.setdefault(name, {})[contestant] = [
            (mark, statistics.mean(r["AP50"] for r in own if r["minutes"] == mark))
            for mark in sorted({r["minutes"] for r in own})
        ]
    return found


if __name__ == "__main__":
    main()
