"""An annotated folder -> shards beside the old ones, and a vocabulary that knows its words."""

from __future__ import annotations

import dataclasses
import json
import math

from omnidet import storage
from omnidet.counted import counted
from omnidet.data import shards, vocabulary_growth
from omnidet.data.annotated import cut, write
from omnidet.data.annotated import read as annotated
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.sharding import build, finish
from omnidet.data.vocabulary import VOCABULARY_FILES
from omnidet.inference.question import listed
from omnidet.model import bundle
from omnidet.recipes import retrain as variants
from omnidet.recipes.recipe import Recipe
from omnidet.registry.versions import Version
from omnidet.steps.retrain import earlier
from omnidet.storage import Location

_MOST_ASIDE = 0.6
"""Share of the pictures that a person is told to evaluate on, at most: with more, little is left to
learn from."""


def read(
    data: Location,
    out: Location,
    version: str,
    reading: ReadConfig | None = None,
    replay: Location | None = None,
    champion: Version | None = None,
) -> str:
    """An annotated folder in the one layout; gives the account of what was read, for people.

    Args:
        replay: shards that the detector was trained on: none of their training pictures is
            evaluated on, nor of those that the champion's line was trained on.
    """
    storage.require_replaceable(out, write.SUMMARY_NAME, data, written=write.WRITTEN)
    storage.require_outside(out, data)
    reading = reading or ReadConfig()
    if reading.names:
        table = storage.local_copy(reading.names, ".cache/names")
        reading = dataclasses.replace(reading, names=str(table))
    if reading.split_file:
        lines = storage.local_copy(reading.split_file, ".cache/names")
        reading = dataclasses.replace(reading, split_file=str(lines))
    found = annotated.read(storage.local_copy(data, ".cache/annotated"), reading)
    made = cut.cut(found, reading)
    made = cut.without_seen(made, earlier.seen(champion, replay))
    with storage.staged_directory(out) as stage:
        write.write(made, stage, version)
    return cut.describe(made)


def build_shards(
    dataset: Location,
    replay: Location | None,
    new: Location,
    out: Location,
    recipe: Recipe,
    name: str,
) -> str:
    """Shards of the new data in `new`, and in `out` an index over these and the old ones; gives the
    report for people.

    Evaluation images of the old shards are kept out of the new training data, as those of the new
    are; of public datasets, near copies of them, too.
    """
    _require_free(name, recipe)
    own = variants.datasets(recipe, name).shards
    old = shards.read_index(replay) if replay else None
    planned = build.plan(dataset, own)
    kept_out = planned.held_out.union(earlier.held_out(old, name)) if old else planned.held_out
    storage.require_replaceable(new, finish.QUARANTINE, dataset, written=finish.WRITTEN)
    with storage.staged_directory(new) as stage:
        for set_name in planned.sets:
            build.build_set(dataset, str(stage), set_name, kept_out, own)
            finish.finish_set(str(stage), set_name)
        finish.merge(str(stage), planned.sets)
    index = shards.read_index(new)
    if not shards.num_samples(index.shards(f"train/{name}")) or not shards.num_samples(
        index.shards(f"eval/{name}")
    ):
        raise ValueError(
            f"{dataset}: no picture is left to train or to evaluate on: {finish.describe(index)}"
        )
    lines = finish.describe(index)
    if old:  # while it is there: `out` may take its place
        lines += earlier.alike(index, name, old) + earlier.annotated_otherwise(index, name, old)
    shards.combine(out, [old, index] if old else [index])
    require_boxes(out, recipe, name)
    return lines


def require_boxes(combined: Location, recipe: Recipe, name: str) -> None:
    """Raise ValueError before anything is trained if the gate would refuse any detector for the few
    boxes of the new benchmark.
    """
    boxes, least = count_boxes(combined, name), recipe.retrain.min_boxes
    if boxes >= least:
        return
    train = shards.texts(shards.read_index(combined), f"train/{name}")
    all_boxes = boxes + sum(len(record.boxes_xyxy) for record in train)
    share = math.ceil(10 * 1.25 * least / max(all_boxes, 1)) / 10  # a hash may choose poorer ones
    aside = f"put more of them aside for the evaluation (--val-share {share:g}), "
    aside = aside if share <= _MOST_ASIDE else ""
    raise ValueError(
        f"{name}: the evaluation pictures hold {counted(boxes, 'box', 'boxes')}, "
        f"and a detector is judged by {least} at least: annotate more pictures, "
        f"{aside}or allow it, --set retrain.min_boxes={max(boxes, 1)}"
    )


def _require_free(name: str, recipe: Recipe) -> None:
    """Raise ValueError for the name of a dataset or benchmark of the first training, which the new
    one would replace.
    """
    taken = {benchmark.name for benchmark in recipe.evaluation.benchmarks}
    taken |= {set_name.partition("/")[2] for stream in recipe.streams for set_name in stream.sets}
    if name in taken:
        raise ValueError(
            f"dataset name {name!r} is that of a dataset of the first training: give another "
            f"one, as --name my-{name}"
        )


def extend_vocabulary(
    combined: Location, champion: Location, out: Location, name: str, min_frequency: int = 2
) -> str:
    """The champion's vocabulary with the words of the new data behind its end; gives the report for
    people.

    Raises ValueError if the vocabulary is not the champion's or two of the new names are the same
    to it.
    """
    index = shards.read_index(combined)
    old, content = bundle.check(storage.local_copy(champion, ".cache/models"))
    names = list(index.ground_truth[f"eval/{name}"]["names"].values())
    texts = list(shards.texts(index, f"train/{name}"))
    extended, words = vocabulary_growth.extend(old, texts, min_frequency, names)
    extended.check_names(names)
    storage.require_replaceable(out, "vocabulary.json", combined, written=VOCABULARY_FILES)
    with storage.staged_directory(out) as stage:
        extended.save(stage)
    known = {n.lower(): n for n in content["names"]}
    new = counted(len(words), "new word")
    lines = [f"vocabulary: {new}{': ' if words else ''}{', '.join(words[:20])}"]
    if shared := [n for n in names if n.lower() in known]:
        lines.append(
            f"  the champion knows {listed(shared, cut.SHOWN)}: old pictures and new ones teach "
            "the same words"
        )
    return "\n".join(lines)


def count_boxes(combined: Location, name: str) -> int:
    """True boxes of the new benchmark that count; crowds do not."""
    index = shards.read_index(combined)
    truth = json.loads(
        storage.read_text(storage.join(index.location, index.ground_truth[f"eval/{name}"]["file"]))
    )
    return sum(not annotation.get("iscrowd", 0) for annotation in truth["annotations"])
