"""How fast a detector learns new categories: from the champion's weights, and from scratch.

    python benchmarks/retraining.py --data FOLDER --registry registry --from NAME@1 --folder SCRATCH

- warm start: trained like `omnidet finetune`.
- all from scratch: the same batches from random weights, so that it ends with the same knowledge.
- new alone from scratch: only the new pictures.

Each run keeps a checkpoint every `--every` steps. Afterwards the averaged weights of each
checkpoint are measured on the new benchmark and on the first of the old ones, since the goal is a
detector that knows both. `--measure-only` measures runs whose checkpoints are in the folder
already. The time of a checkpoint is that of training alone, from the first step on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from omnidet.data import shards
from omnidet.inference.detector import OmniDet
from omnidet.measures import run
from omnidet.measures.config import EvaluationConfig
from omnidet.model import bundle
from omnidet.recipes.recipe import Recipe
from omnidet.registry.versions import Version
from omnidet.steps import retrain as retraining
from omnidet.steps import train_detector

NAME = "new"
OLD = "coco/AP"
LEVELS = (0.3, 0.5, 0.6)
KINDS = ("warm start", "all from scratch", "new alone from scratch")


def main() -> None:
    """Train, measure the checkpoints, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--registry", default="registry")
    parser.add_argument("--from", dest="champion", default="champion")
    parser.add_argument(
        "--shards", help="shards that the champion was trained on, if they have moved"
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--scratch-steps", type=int, default=1400)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="which of the runs")
    parser.add_argument("--measure-only", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    champion = retraining.find_champion(options.registry, options.champion)
    kept = [
        f"train.checkpoint_every={options.every}",
        "train.keep_checkpoints=1000",
        "train.log_every=1",
    ]
    recipe = retraining.base_recipe(champion, [*options.set, *kept])
    place = {
        part: str(options.folder / part) for part in ("dataset", "new", "shards", "vocabulary")
    }
    if not options.measure_only:
        _prepare(options, champion, recipe, place)
    warm = retraining.recipe_for(recipe, place["shards"], champion.location, NAME)
    schedule = dataclasses.replace(
        warm.train, steps=options.scratch_steps, optimizer=recipe.train.optimizer
    )
    all_anew = dataclasses.replace(warm, train=schedule)
    new_alone = dataclasses.replace(
        all_anew, streams=tuple(stream for stream in warm.streams if stream.name == "new")
    )
    results = {}
    for kind, chosen in zip(KINDS, (warm, all_anew, new_alone), strict=True):
        if kind in options.only:
            out = options.folder / kind.replace(" ", "-")
            start = champion.location if chosen is warm else None
            if not options.measure_only:
                train_detector.train(
                    place["shards"], place["vocabulary"], str(out / "model"), chosen, start=start
                )
            results[kind] = _curve(out, place["shards"], chosen)
            print(kind, json.dumps(results[kind]), flush=True)
    print(_table(results, champion.metrics[OLD] - recipe.retrain.max_drop))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _prepare(
    options: argparse.Namespace, champion: Version, recipe: Recipe, place: dict[str, str]
) -> None:
    """Shards of old and new data and the vocabulary, made like those of `omnidet finetune`."""
    version = retraining.data_version(options.data)
    retraining.read(options.data, place["dataset"], version)
    replay = retraining.replay_of(champion, options.shards)
    retraining.build_shards(place["dataset"], replay, place["new"], place["shards"], recipe, NAME)
    retraining.extend_vocabulary(place["shards"], champion.location, place["vocabulary"], NAME)


def _curve(out: Path, combined: str, recipe: Recipe) -> list[dict[str, Any]]:
    """For each checkpoint: step, seconds of training, AP50 on the new and AP on the old names."""
    detector, vocabulary, _ = bundle.load(out / "model")
    asked = {OLD.partition("/")[0], NAME}
    only = EvaluationConfig(tuple(b for b in recipe.evaluation.benchmarks if b.name in asked))
    (folder,) = (out / "model.work").glob("*/checkpoints")
    rows: list[dict[str, Any]] = []
    began = None
    for path in sorted(p for p in folder.iterdir() if p.name.isdigit()):
        made = (path / "average.safetensors").stat().st_mtime
        began = began or made
        detector.load_state_dict(load_file(path / "average.safetensors"))
        with tempfile.TemporaryDirectory() as rows_of_one:
            values = run.in_one_process(
                OmniDet(detector, vocabulary, {}),
                shards.read_index(combined),
                only,
                Path(rows_of_one),
            ).values
        known = {"AP50": values[f"{NAME}/AP50"], "old": values[OLD]}
        rows.append({"step": int(path.name), "seconds": made - began, **known})
    first = rows[0]
    # the first checkpoint has none before it: assume the speed of the other steps
    for row in rows:
        row["seconds"] = row["seconds"] + first["step"] * rows[-1]["seconds"] / max(
            rows[-1]["step"] - first["step"], 1
        )
    return rows


def _table(results: dict[str, list[dict[str, Any]]], old: float) -> str:
    lines = ["| new AP50 | " + " | ".join(f"{kind}: step | minutes" for kind in results) + " |"]
    lines.append("|" + "---|" * (1 + 2 * len(results)))
    for level, least in (*((level, 0.0) for level in LEVELS), (LEVELS[-1], old)):
        cells = []
        for rows in results.values():
            hit = next((row for row in rows if row["AP50"] >= level and row["old"] >= least), None)
            cells += (
                [f"{hit['step']}", f"{hit['seconds'] / 60:.1f}"] if hit else ["not reached", "-"]
            )
        lines.append(
            f"| {level}{f', {OLD} {least:.3f}' if least else ''} | " + " | ".join(cells) + " |"
        )
    for kind, rows in results.items():
        lines.append(
            f"{kind}: at best {max(r['AP50'] for r in rows):.3f}, at the end {OLD} "
            f"{rows[-1]['old']:.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
