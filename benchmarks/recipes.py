"""The recipe against its peers' heads, against itself with parts left out, and with fewer streams.

    OMP_NUM_THREADS=1 python benchmarks/recipes.py --out SCRATCH --seeds 0 1 2

All contestants (`recipe_contestants.py`) have the same drawn world, backbone, box head, matching,
augmentation, order of images, optimizer and number of steps; what differs is said there. They are
measured by the product's own benchmarks. `--budget 5` gives each as many steps as it can take in
five processor minutes instead, measured by a short training.

Each run is kept in `--out` by its settings and has checkpoints: the same command goes on where it
was stopped, and runs nothing twice. Tables, curves and numbers are written after each run, of what
there is by then.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import curves
import recipe_runs
import recipe_tables
from recipe_contestants import CONTESTANTS

from omnidet import config, recipes
from omnidet.recipes.recipe import Recipe
from omnidet.steps import train_detector

OWN = ("mixing.workers=0", "train.checkpoint_every=50", "matching.early_regions=0")
"""Batches are made in the same process, whose time is counted; few steps are lost to a stop. The
fused head has no early predictions, so nobody trains any."""


def main() -> None:
    """Run what is not there yet; print and write the tables."""
    options = _options()
    recipe = config.override(recipes.by_name("tiny_world"), *OWN, *options.set)
    data = options.data or options.out / "data"
    _prepare(data, recipe)
    found: list[dict[str, Any]] = []
    for task in _tasks(options, recipe, data):
        if options.results_only and not (task.folder / "result.json").exists():
            continue
        found.append(recipe_runs.result(task))
        print(recipe_tables.line(found[-1]), flush=True)
        _write(options, recipe, found)
    if found:
        print(f"\n{recipe_tables.text(found, _setting(options, recipe))}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for what the runs make")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with the shards and the vocabulary of the demo, data/ after `make demo` "
        "(default: drawn and built in --out)",
    )
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, help="default: those of the recipe")
    parser.add_argument(
        "--budget", type=float, metavar="MINUTES", help="of processor time, in place of steps"
    )
    parser.add_argument(
        "--names",
        type=int,
        nargs="+",
        default=[80, 1_203, 100_000],
        help="how many names a picture's time is measured at",
    )
    parser.add_argument("--set", action="append", default=[], help="as train.optimizer.beta2=0.99")
    parser.add_argument("--results-only", action="store_true", help="of finished runs; run nothing")
    parser.add_argument(
        "--report", type=Path, metavar="PAGE.md", help="replace the tables in this page"
    )
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg")
    return parser.parse_args()


def _prepare(data: Path, recipe: Recipe) -> None:
    """The world, its shards and vocabulary, by the steps of the recipe; what is there stays."""
    world, built, words = (str(data / part) for part in ("world", "shards", "vocabulary"))
    if not (data / "shards" / "index.json").exists():
        train_detector.draw_world(world, recipe)
        train_detector.build_shards(world, built, recipe)
    if not (data / "vocabulary" / "vocabulary.json").exists():
        train_detector.build_vocabulary(built, words, recipe)


def _tasks(options: argparse.Namespace, recipe: Recipe, data: Path) -> Iterator[recipe_runs.Task]:
    """Every contestant once with the first seed, then with the next."""
    for seed in options.seeds:
        for name in CONTESTANTS:
            if name not in options.only:
                continue
            own = config.override(recipe, f"train.seed={seed}")
            task = recipe_runs.Task(name, own, data, options.out, tuple(options.names))
            steps = options.steps or recipe.train.steps
            if options.budget:
                seconds = recipe_runs.step_seconds(task)
                steps = max(1, round(60 * options.budget / seconds))
            train = dataclasses.replace(own.train, steps=steps)
            yield dataclasses.replace(task, recipe=dataclasses.replace(own, train=train))


def _setting(options: argparse.Namespace, recipe: Recipe) -> str:
    if options.budget:
        return f"{options.budget:g} processor minutes"
    return f"{options.steps or recipe.train.steps} steps"


def _write(options: argparse.Namespace, recipe: Recipe, found: list[dict[str, Any]]) -> None:
    if options.json:
        flat = recipe_tables.flat(found)
        options.json.write_text(json.dumps(flat, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        drawn = curves.svg(recipe_tables.series(found), label="")
        options.plot.write_text(drawn, encoding="utf-8")
    if options.report:
        kind = "equal time" if options.budget else "equal steps"
        text = recipe_tables.text(found, _setting(options, recipe))
        recipe_tables.put(options.report, kind, text)


if __name__ == "__main__":
    main()
