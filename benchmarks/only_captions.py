"""Whether names that only captions tell of are found: what the Img stream is there for.

    OMP_NUM_THREADS=1 python benchmarks/only_captions.py --out SCRATCH --leave-out heart moon

In the demo's world everything that a caption speaks of also comes with boxes. Here the left-out
names have none: images that show them are taken out of Det and Grd, with their categories, and the
captions stay as they are. The detector is then asked for these names in all evaluation images, by
the product's own benchmarks. The contestants are those of `recipes.py`; `caption-regions` adds the
loss on the places of a caption's words to `ours`. `--data` is a folder with the demo's world,
`data/` after `make demo`.

Each run is kept in `--out` and resumes from its newest checkpoint; other names or settings need
another folder.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import processor_time
from recipe_contestants import CONTESTANTS
from side_by_side import print_table

from omnidet import config, recipes
from omnidet.recipes.recipe import Recipe
from omnidet.steps import train_detector

COLUMNS = ("caption-regions", "ours", "det+grd")
"""Of the contestants of `recipes.py`."""
ROWS = ("coco, only captions", "lvis, only captions", "coco, others", "lvis, others")


def main() -> None:
    """Take the names out, train, ask, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for what the runs make")
    parser.add_argument("--data", type=Path, help="default: drawn in --out")
    parser.add_argument("--leave-out", nargs="+", default=["heart", "moon"], metavar="NAME")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=COLUMNS)
    parser.add_argument("--set", action="append", default=[], help="as train.steps=1400")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    recipe = config.override(
        recipes.by_name("tiny_world"), "mixing.workers=0", "train.checkpoint_every=50", *options.set
    )
    kept, settings = options.out / "settings.json", _settings(options.leave_out, recipe)
    if kept.exists() and kept.read_text() != settings:
        _refuse(f"{options.out} holds runs of other names or settings: give another --out")
    data = options.data or options.out / "data"
    if not (data / "world").exists():
        train_detector.draw_world(str(data / "world"), recipe)
    world = options.out / "world"
    if not world.exists():
        _take_out(data / "world", world, options.leave_out)
    kept.write_text(settings)
    shards, words = str(options.out / "shards"), str(options.out / "vocabulary")
    if not (options.out / "vocabulary").exists():
        train_detector.build_shards(str(world), shards, recipe)
        train_detector.build_vocabulary(shards, words, recipe)
    found = {}
    for name in options.only:
        (stage,) = CONTESTANTS[name].stages(recipe)
        found[name] = _run(stage, shards, words, options.out / name, options.leave_out)
        _print(found)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _settings(names: Sequence[str], recipe: Recipe) -> str:
    """What the numbers depend on, so that those of other settings are not told again."""
    return json.dumps({"names": names, "recipe": config.describe(recipe)}, sort_keys=True)


def _refuse(line: str) -> NoReturn:
    print(f"only_captions.py: {line}", file=sys.stderr)
    raise SystemExit(2)


def _take_out(source: Path, target: Path, names: Sequence[str]) -> None:
    """The world without boxes of these names in the training splits of Det and Grd."""
    place = source / "coco/annotations/instances_train2017.json"
    known = {category["name"] for category in json.loads(place.read_text())["categories"]}
    for name in names:
        if name not in known:
            _refuse(f"--leave-out {name}: the world has {', '.join(sorted(known))}")
    draft = target.with_name(target.name + ".work")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft)
    said = re.compile(rf"\b({'|'.join(map(re.escape, names))})s?\b", re.IGNORECASE)
    shows = _without_categories(draft / "coco/annotations/instances_train2017.json", said, set())
    _without_categories(draft / "coco/annotations/lvis_v1_train.json", said, shows)
    place = draft / "coco/refcocog/refs(umd).p"
    refs = pickle.loads(place.read_bytes())
    kept = [ref for ref in refs if ref["split"] != "train" or not _tells(ref, said, shows)]
    place.write_bytes(pickle.dumps(kept))
    place = draft / "flickr30k/train.txt"
    ids = [
        name
        for name in place.read_text().split()
        if not said.search((draft / f"flickr30k/Sentences/{name}.txt").read_text())
    ]
    place.write_text("".join(f"{name}\n" for name in ids))
    draft.rename(target)


def _tells(ref: dict[str, Any], said: re.Pattern[str], shows: set[int]) -> bool:
    return ref["image_id"] in shows or any(said.search(s["raw"]) for s in ref["sentences"])


def _without_categories(place: Path, said: re.Pattern[str], shows: set[int]) -> set[int]:
    """Drop the categories and all images that show one; returns the images dropped so far."""
    content = json.loads(place.read_text())
    gone = {c["id"] for c in content["categories"] if said.search(c["name"].replace("_", " "))}
    rows = content["annotations"]
    shows = shows | {row["image_id"] for row in rows if row["category_id"] in gone}
    content["categories"] = [c for c in content["categories"] if c["id"] not in gone]
    content["annotations"] = [row for row in rows if row["image_id"] not in shows]
    content["images"] = [image for image in content["images"] if image["id"] not in shows]
    for image in content["images"]:
        for key in ("neg_category_ids", "not_exhaustive_category_ids"):
            if key in image:
                image[key] = [number for number in image[key] if number not in gone]
    place.write_text(json.dumps(content))
    return shows


def _run(
    recipe: Recipe, shards: str, words: str, folder: Path, names: Sequence[str]
) -> dict[str, Any]:
    place = folder / "result.json"
    if not place.exists():
        model = str(folder / "model")
        began = processor_time.seconds()
        train_detector.train(shards, words, model, recipe)
        minutes = (processor_time.seconds() - began) / 60
        found = train_detector.evaluate(
            model, shards, str(folder / "metrics.json"), str(folder / "evaluation"), recipe
        )
        ours = {row: _of(found.details, row, names) for row in ROWS}
        ours |= {key: found.values[key] for key in ("refcocog/AIGT_plain", "flickr30k/R@1")}
        place.write_text(json.dumps(ours | {"processor minutes": minutes}, indent=1) + "\n")
    kept: dict[str, Any] = json.loads(place.read_text())
    return kept


def _of(details: Any, row: str, names: Sequence[str]) -> float:
    """Mean AP of the categories that only captions tell of, or of all others."""
    benchmark, kind = row.split(", ")
    by_name = details[benchmark]["per_category_AP"]
    wants = kind != "others"
    chosen = [
        value
        for name, value in by_name.items()
        if value is not None and (not set(names).isdisjoint(re.split("[_ ]", name))) == wants
    ]
    return float(np.mean(chosen)) if chosen else math.nan


def _print(found: dict[str, dict[str, Any]]) -> None:
    keys = list(next(iter(found.values())))
    rows = [[key, *(f"{numbers[key]:.3f}" for numbers in found.values())] for key in keys]
    print_table("AP of names that only captions tell of", ("", *found), rows)


if __name__ == "__main__":
    main()
