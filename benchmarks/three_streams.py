"""Names, expressions and captions of real photographs together, on the backbone for photographs.

    OMP_NUM_THREADS=1 python benchmarks/three_streams.py --data COCO --out SCRATCH

COCO is a folder in COCO's layout; whatever of RefCOCOg, LVIS and captions is there is used. The
recipe is `coco_folder` with the backbone, size and rates of `photographs`. The trained detector is
asked about the photographs that it has learned from and about those that were kept out:

- names: COCO AP and AP50;
- expressions: the best box of each expression, and of its words in another order (`scrambled`);
- captions: for each caption, whether its photograph is the most likely of all of that split, and
  among the five most likely. `captions/photographs` says among how many.

With a hundred photographs, the first tell whether the three streams learn together, the second
little more than that they are read and counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import processor_time
import torch
from side_by_side import print_table

from omnidet import config, recipes
from omnidet.data import shards
from omnidet.data.sharding.config import Dataset
from omnidet.inference import pictures
from omnidet.inference.detector import OmniDet
from omnidet.measures import run
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.recipes.recipe import Recipe
from omnidet.schema import Record
from omnidet.steps import train_detector

SEEN = (
    Dataset("eval/coco", "coco", ".", "train2017"),
    Dataset("eval/refcocog_google", "refcocog", ".", "google/val", optional=True),
)
"""The training photographs, as sets to be measured on."""


def main() -> None:
    """Build, train, measure twice, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a folder in COCO's layout")
    parser.add_argument("--out", type=Path, required=True, help="a folder for what the run makes")
    parser.add_argument("--set", action="append", default=[], help="as train.steps=400")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args()
    recipe = config.override(_recipe(), *options.set)
    built, seen, words, model = (
        str(options.out / part) for part in ("shards", "seen", "vocabulary", "model")
    )
    train_detector.build_shards(options.data, built, recipe)
    again = dataclasses.replace(recipe.shards, train=(), evaluation=SEEN)
    train_detector.build_shards(options.data, seen, dataclasses.replace(recipe, shards=again))
    train_detector.build_vocabulary(built, words, recipe)
    began = processor_time.seconds()
    train_detector.train(built, words, model, recipe)
    values = {"train_processor_minutes": (processor_time.seconds() - began) / 60}
    detector = OmniDet.from_pretrained(model)
    for split, place in (("trained on", seen), ("held out", built)):
        index = shards.read_index(place)
        values |= {f"{split}/{key}": v for key, v in _measure(detector, index).items()}
    keys = sorted({key.partition("/")[2] for key in values if "/" in key})
    cells = [[_cell(values, f"{split}/{k}") for split in ("trained on", "held out")] for k in keys]
    rows = [[key, *own] for key, own in zip(keys, cells, strict=True)]
    print_table("Three streams together", ("", "trained on", "held out"), rows)
    print(f"{values['train_processor_minutes']:.1f} processor minutes of training")
    if options.json:
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _recipe() -> Recipe:
    """The three streams of `coco_folder` on what `photographs` starts from."""
    streams, photo = recipes.by_name("coco_folder"), recipes.by_name("photographs")
    return dataclasses.replace(
        streams,
        model=photo.model,
        mixing=photo.mixing,
        train=photo.train,
        shards=dataclasses.replace(streams.shards, hash_images=False),
    )


def _measure(detector: OmniDet, index: shards.Index) -> dict[str, float]:
    benchmarks = [Benchmark("names", "coco", "eval/coco")]
    for set_name in ("eval/refcocog_google", "eval/refcocog", "eval/refcocos"):
        if set_name in index.sets:
            benchmarks.append(Benchmark("expressions", "refcocog", set_name))
            break
    with tempfile.TemporaryDirectory() as folder:
        found = run.in_one_process(
            detector, index, EvaluationConfig(tuple(benchmarks)), Path(folder)
        ).values
    kept = {k: v for k, v in found.items() if k.startswith("expressions/")}
    kept |= {key: found[key] for key in ("names/AP", "names/AP50")}
    return kept | _captions(detector, list(shards.records(index, "eval/coco")))


@torch.inference_mode()
def _captions(detector: OmniDet, records: list[Record]) -> dict[str, float]:
    """Whether each caption's photograph is the most likely of all, by the caption's own loss."""
    told = [record for record in records if record.caption]
    if not told:
        return {}
    table = detector.vocabulary.table([(record.caption, False) for record in told])
    rows_PD, biases_P = detector.detector.phrases(table)
    tokens = detector.detector.tokens
    columns = []
    for record in told:
        opened = pictures.read(record.image)
        side = detector.detector.config.side(opened.width, opened.height)
        pixels = torch.from_numpy(opened.letterboxed(side).pixels).permute(2, 0, 1)[None]
        image_D = detector.detector.regions(pixels)[2][0]
        partition = torch.logsumexp(tokens.embeddings @ image_D + tokens.biases, 0)
        columns.append(rows_PD @ image_D + biases_P - partition)
    likely_PN = torch.stack(columns, 1)
    rank_P = (likely_PN > likely_PN.diagonal()[:, None]).sum(1)
    return {
        "captions/R@1": float((rank_P < 1).double().mean()),
        "captions/R@5": float((rank_P < 5).double().mean()),
        "captions/photographs": float(len(told)),
    }


def _cell(values: dict[str, float], key: str) -> str:
    if key not in values:
        return ""
    return f"{values[key]:.0f}" if key.endswith("photographs") else f"{values[key]:.3f}"


if __name__ == "__main__":
    main()
