"""An annotated folder -> shards beside the old ones, and a vocabulary that knows its words."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from omnidet import storage
from omnidet.counted import counted
from omnidet.data import shards, vocabulary_growth
from omnidet.data.annotated import cut, write
from omnidet.data.annotated import read as annotated
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.reading.perceptual_hash import MAX_DISTANCE, perceptual_hash
from omnidet.data.sharding import build, finish
from omnidet.data.sharding.held_out import HeldOut
from omnidet.data.vocabulary import VOCABULARY_FILES
from omnidet.inference.question import listed
from omnidet.model import bundle
from omnidet.recipes import retrain as variants
from omnidet.recipes.recipe import Recipe
from omnidet.schema import Record
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
) -> str:
    """An annotated folder in the one layout; gives the account of what was read, for people.

    Args:
        replay: shards that the detector was trained on: none of their training pictures is
            evaluated on.
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
    if replay:
        made = cut.without_seen(made, _trained_on(shards.read_index(replay)))
    with storage.staged_directory(out) as stage:
        write.write(made, stage, version)
    return cut.describe(made)


def _trained_on(index: shards.Index) -> frozenset[int]:
    """Ids of the pictures that somebody annotated, in all training sets of a shard folder."""
    prefix, found = f"{variants.SOURCE}:", set()
    for set_name in (name for name in index.sets if name.startswith("train/")):
        for record in shards.texts(index, set_name):
            if not _is_own(record):
                break  # a set is of one source
            found.add(int(record.image_id.removeprefix(prefix)))
    return frozenset(found)


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
    kept_out = _union(planned.held_out, _held_out(old, name)) if old else planned.held_out
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
    shards.combine(out, [old, index] if old else [index])
    require_boxes(out, recipe, name)
    return finish.describe(index) + _alike(index, name, old)


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


def _held_out(index: shards.Index, name: str) -> HeldOut:
    """Ids of the evaluation images of a shard folder, and perceptual hashes of those of public
    datasets. Somebody's own pictures may all look alike, as those of one camera do.
    """
    names: dict[str, str] = {}
    hashes: dict[str, Any] = {}
    for set_name in _still_measured(index, name):
        for record in shards.records(index, set_name):
            names.setdefault(record.image_id, set_name)
            if _is_own(record) or record.image_id in hashes:
                continue
            if (own := perceptual_hash(record.image)) is not None:
                hashes[record.image_id] = own
    return HeldOut(names, np.array(list(hashes.values()), np.uint64), tuple(hashes))


def _still_measured(index: shards.Index, name: str) -> list[str]:
    """Evaluation sets of a shard folder without that of an earlier state of the dataset: the new
    one takes its place, and in the folder of an earlier run its files are gone by then.
    """
    return [s for s in index.sets if s.startswith("eval/") and s != f"eval/{name}"]


def _is_own(record: Record) -> bool:
    """Whether somebody annotated it: its id is a hash of the picture."""
    return record.image_id.startswith(f"{variants.SOURCE}:")


def _alike(index: shards.Index, name: str, old: shards.Index | None) -> str:
    """A line on the training pictures that look like somebody's own evaluation pictures of before;
    empty without one.
    """
    hashes = _hashes_of_own(old, _still_measured(old, name)) if old else {}
    if not hashes:
        return ""
    alike: Counter[str] = Counter()
    for own in _hashes_of_own(index, [f"train/{name}"]).get(f"train/{name}", ()):
        for set_name, those in hashes.items():
            alike[set_name] += bool((np.bitwise_count(those ^ own) <= MAX_DISTANCE).any())
    return "".join(
        f"\n  train/{name}: {counted(count, 'picture')} like evaluation pictures of {other}, "
        f"trained on since those of one camera look alike: if they are copies, {other}'s numbers "
        "are too good"
        for other, count in ((n.removeprefix("eval/"), count) for n, count in alike.items())
        if count
    )


def _hashes_of_own(
    index: shards.Index, set_names: Iterable[str]
) -> dict[str, npt.NDArray[np.uint64]]:
    """Perceptual hashes of the pictures that somebody annotated, for each of the sets that has
    any.
    """
    found = {}
    for set_name in set_names:
        own = itertools.takewhile(_is_own, shards.records(index, set_name))  # or none of a set
        hashes = [value for r in own if (value := perceptual_hash(r.image)) is not None]
        if hashes:
            found[set_name] = np.array(hashes, np.uint64)
    return found


def _union(first: HeldOut, second: HeldOut) -> HeldOut:
    return HeldOut(
        {**second.benchmarks, **first.benchmarks},
        np.concatenate([first.hashes, second.hashes]),
        (*first.hash_ids, *second.hash_ids),
    )
