"""How soon a detector knows new categories: from the champion's weights, and from scratch.

    python benchmarks/retraining.py --data FOLDER --registry registry --from NAME@1 --folder SCRATCH --json OUT

warm start: as `omnidet finetune` trains. all from scratch: the same batches, from random weights, so that it ends with what the
warm start ends with. new alone from scratch: the new pictures and nothing else. Each run keeps a checkpoint every `--every`
steps; afterwards the averaged weights of each are measured on the new benchmark.
The time of a checkpoint is that of training alone, from the first step on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from omnidet import config, recipes, retraining, steps
from omnidet.data import shards
from omnidet.inference import benchmarks
from omnidet.inference.detector import OmniDet
from omnidet.model import bundle
from omnidet.recipes import retraining as variants
from omnidet.recipes.recipe import Recipe

NAME = "new"
LEVELS = (0.3, 0.5, 0.6)
KINDS = ("warm start", "all from scratch", "new alone from scratch")


def main() -> None:
    """Train both, measure their checkpoints, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--registry", default="registry")
    parser.add_argument("--from", dest="champion", default="champion")
    parser.add_argument("--shards", help="that the champion was trained on, if they moved")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--scratch-steps", type=int, default=1400)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="some of the runs")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    champion = retraining.find_champion(options.registry, options.champion)
    kept = [f"train.checkpoint_every={options.every}", "train.keep_checkpoints=1000", "train.log_every=1"]
    recipe = config.override(recipes.by_name(retraining.recipe_of(champion)), *options.set, *kept)
    place = {part: str(options.folder / part) for part in ("dataset", "new", "shards", "vocabulary")}
    version = retraining.data_version(options.data)
    retraining.read(options.data, place["dataset"], version)
    replay = retraining.replay_of(champion, options.shards)
    retraining.build_shards(place["dataset"], replay, place["new"], place["shards"], recipe, NAME)
    retraining.extend_vocabulary(place["shards"], champion.location, place["vocabulary"], NAME)
    warm = retraining.recipe_for(recipe, place["shards"], champion.location, NAME)
    schedule = dataclasses.replace(warm.train, steps=options.scratch_steps, optimizer=recipe.train.optimizer)
    all_anew = dataclasses.replace(warm, train=schedule)
    new_alone = dataclasses.replace(all_anew, streams=tuple(stream for stream in warm.streams if stream.name == "new"))
    results = {}
    for kind, chosen in zip(KINDS, (warm, all_anew, new_alone), strict=True):
        if kind in options.only:
            out = options.folder / kind.replace(" ", "-")
            start = champion.location if chosen is warm else None
            steps.train(place["shards"], place["vocabulary"], str(out / "model"), chosen, start=start)
            results[kind] = _curve(out, place["shards"], chosen)
            print(kind, json.dumps(results[kind]), flush=True)
    print(_table(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _curve(out: Path, combined: str, recipe: Recipe) -> list[dict[str, Any]]:
    """Step, minutes of training and AP50 on the new benchmark of each checkpoint."""
    detector, vocabulary, _ = bundle.load(out / "model")
    only = variants.of_new_data(recipe, NAME).evaluation
    (folder,) = (out / "model.work").glob("*/checkpoints")
    rows: list[dict[str, Any]] = []
    began = None
    for path in sorted(p for p in folder.iterdir() if p.name.isdigit()):
        made = (path / "average.safetensors").stat().st_mtime
        began = began or made
        detector.load_state_dict(load_file(path / "average.safetensors"))
        with tempfile.TemporaryDirectory() as rows_of_one:
            values = benchmarks.run(
                OmniDet(detector, vocabulary, {}), shards.read_index(combined), only, Path(rows_of_one)
            ).values
        rows.append({"step": int(path.name), "seconds": made - began, "AP50": values[f"{NAME}/AP50"]})
    first = rows[0]
    for row in rows:  # the first checkpoint has no one before it: its steps took as long as those of the others did
        row["seconds"] = row["seconds"] + first["step"] * rows[-1]["seconds"] / max(rows[-1]["step"] - first["step"], 1)
    return rows


def _table(results: dict[str, list[dict[str, Any]]]) -> str:
    lines = ["| new AP50 | " + " | ".join(f"{kind}: step | minutes" for kind in results) + " |"]
    lines.append("|" + "---|" * (1 + 2 * len(results)))
    for level in LEVELS:
        cells = []
        for rows in results.values():
            hit = next((row for row in rows if row["AP50"] >= level), None)
            cells += [f"{hit['step']}", f"{hit['seconds'] / 60:.1f}"] if hit else ["not reached", "-"]
        lines.append(f"| {level} | " + " | ".join(cells) + " |")
    best = " · ".join(f"{kind} {max(row['AP50'] for row in rows):.3f}" for kind, rows in results.items())
    return "\n".join([*lines, f"best: {best}"])


if __name__ == "__main__":
    main()
