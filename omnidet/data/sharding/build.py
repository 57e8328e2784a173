"""Datasets -> the sets of a shard folder, in one go or in parts on many machines.

    plan ─▶ build_set (each set, perhaps in n parts) ─▶ finish.finish_set ─▶ finish.merge

A set is cut into pieces of its input, and each piece becomes a shard (`pieces.py`). The bytes are
therefore the same however many processes and machines share the work, and a build that was killed
continues with the missing pieces.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnidet import progress, storage
from omnidet.config import require
from omnidet.data import shards, sources
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sharding import finish, held_out, pieces
from omnidet.data.sharding.config import Dataset, ShardsConfig
from omnidet.data.sharding.pieces import PARTS, PieceConfig, SetToBuild

WHOLE = (1, 1)
"""The only part of one."""
UNFINISHED = ".unfinished"
"""File that marks the folder next to `out` in which a build is running."""


@dataclass(frozen=True)
class Plan:
    """What is built: the sets that have data, and the images that no training set may hold."""

    sets: tuple[str, ...]
    held_out: held_out.HeldOut


def build(
    data: storage.Location, out: str, config: ShardsConfig, paths: Mapping[str, str] | None = None
) -> shards.Index:
    """Write the shard folder `out`, whole or not at all, and return its index.

    A local build grows in `<out>.work`, and continues there if it was stopped; an existing `out`
    stays until the new one is whole. On an object store it grows in place, without an index until
    the end.

    Args:
        data: folder that holds the datasets at their `Dataset.path`, local or `s3://`.
        out: folder to write, local or `s3://`.
        paths: folders of single datasets that are elsewhere, by adapter name.

    Raises:
        FileNotFoundError: if a dataset is missing.
        ValueError: if one is broken.
    """
    planned = plan(data, config, paths)
    with _resumable(out) as stage:
        for name in planned.sets:
            build_set(data, stage, name, planned.held_out, config, paths)
            finish.finish_set(stage, name)
        finish.merge(stage, planned.sets)
    return shards.read_index(out)


def plan(
    data: storage.Location, config: ShardsConfig, paths: Mapping[str, str] | None = None
) -> Plan:
    """Find which sets can be built, and what is held out of training, once every dataset is there.

    Raises:
        FileNotFoundError: if a dataset is missing that is not optional, or that `paths` names.
        ValueError: if an evaluation set would pass for a benchmark that it is not.
    """
    unknown = sorted(set(paths or {}) - {d.source for d in (*config.train, *config.evaluation)})
    require(not unknown, f"--path {', '.join(unknown)}: the recipe reads no such dataset")
    for dataset in config.evaluation:
        _require_plain_name(dataset)
    evaluation = [d for d in config.evaluation if _present(d, root_of(d, data, paths))]
    train = [d for d in config.train if _present(d, root_of(d, data, paths))]
    _require_named({d.source for d in (*train, *evaluation)}, config, paths or {})
    entries = [(d.source, root_of(d, data, paths), d.split) for d in evaluation]
    kept_out = held_out.collect(
        entries, hash_images=config.hash_images and bool(train), workers=config.workers
    )
    return Plan(tuple(d.set_name for d in (*train, *evaluation)), kept_out)


def build_set(
    data: storage.Location,
    out: str,
    set_name: str,
    kept_out: held_out.HeldOut,
    config: ShardsConfig,
    paths: Mapping[str, str] | None = None,
    part: tuple[int, int] = WHOLE,
) -> None:
    """Write the shards of one set, or of its part i of n, to `out/set_name`.

    Part i takes every n-th piece; pieces already built from the same input are kept. The shards are
    a set once `finish_set` has run.
    """
    require(1 <= part[0] <= part[1], f"part {part[0]}/{part[1]}: give i/n with i from 1 to n")
    dataset = dataset_of(config, set_name)
    is_training = dataset in config.train
    root, location = root_of(dataset, data, paths), storage.join(out, set_name)
    storage.remove(storage.join(location, storage.INDEX_NAME))
    finish.remove_parts_of_other_cuts(location, part[1])
    settings = PieceConfig(
        config.samples_per_shard, config.max_side if is_training else None, config.decode_images
    )
    wanted = SetToBuild(
        location,
        dataset.source,
        settings,
        kept_out if is_training else None,
        finish.was_refused(location, config.max_bad_share),
    )
    quarantine, written = Quarantine(), []
    found = sources.by_name(dataset.source).pieces(
        root, dataset.split, quarantine, config.samples_per_shard
    )
    own = ((number, piece) for number, piece in enumerate(found) if number % part[1] == part[0] - 1)
    with progress.bar(desc=f"shards {set_name}", unit="image") as shown:
        for result in pieces.build(own, wanted, config.workers):
            written.append(result)
            shown.update(sum(shard["samples"] for shard in result["shards"]))
    content = {
        "source": dataset.source,
        "made_with": [
            dataset.split,
            root.rstrip("/"),
            dataclasses.asdict(settings),
            wanted.held_out_digest,
        ],
        "max_bad_share": config.max_bad_share,
        "quarantine": quarantine.lines,  # faults of the split as a whole
        "counts": dict(quarantine.counts),
        "ground_truth": _copy_ground_truth(dataset, root, location) if part[0] == 1 else None,
        "account": sources.account(dataset.source, root),
        "pieces": written,
    }
    storage.write_text(storage.join(location, PARTS, finish.part_file(part)), json.dumps(content))


def dataset_of(config: ShardsConfig, set_name: str) -> Dataset:
    """The dataset that becomes this set."""
    return {d.set_name: d for d in (*config.train, *config.evaluation)}[set_name]


def root_of(dataset: Dataset, data: storage.Location, paths: Mapping[str, str] | None) -> str:
    """The folder of the dataset."""
    given = (paths or {}).get(dataset.source)
    if given:
        return str(given)
    return str(data) if dataset.path == "." else storage.join(data, dataset.path)


def _present(dataset: Dataset, root: str) -> bool:
    """Whether the dataset is there. Raises FileNotFoundError if it is missing and not optional."""
    try:
        sources.by_name(dataset.source).check(root, dataset.split)
    except FileNotFoundError as error:
        if not dataset.optional:
            raise
        print(f"{dataset.set_name}: left out: {error}")
        return False
    return True


def _require_plain_name(dataset: Dataset) -> None:
    """Raise ValueError for a leaking split whose set does not say so in its name."""
    word = sources.by_name(dataset.source).LEAKING_SPLITS.get(dataset.split, "")
    require(
        word in dataset.set_name,
        f"{dataset.set_name}: {dataset.source} {dataset.split} shares images with the dataset's "
        f"own training split: evaluate another split, or put {word!r} into the name of the set",
    )


def _require_named(found: Container[str], config: ShardsConfig, paths: Mapping[str, str]) -> None:
    """Raise FileNotFoundError if a folder in `paths` has no split at all of its dataset."""
    for source, root in paths.items():
        if source not in found:
            splits = dict.fromkeys(
                d.split for d in (*config.train, *config.evaluation) if d.source == source
            )
            raise FileNotFoundError(
                f"--path {source}={root}: there is no {source} ({', '.join(splits)}): "
                "name its folder, or leave --path out"
            )


def _copy_ground_truth(dataset: Dataset, root: str, location: str) -> dict[str, Any] | None:
    """Keep the official annotation file next to the shards, for the official evaluation alone."""
    truth = (
        sources.by_name(dataset.source).ground_truth(root, dataset.split)
        if dataset.set_name.startswith("eval/")
        else None
    )
    if truth is None:
        return None
    name, names = "ground_truth.json", {str(k): v for k, v in truth.names.items()}
    if truth.content is not None:
        storage.write_bytes(storage.join(location, name), truth.content)
        return {"file": name, "sha256": hashlib.sha256(truth.content).hexdigest(), "names": names}
    if storage.is_s3(location):
        storage.write_bytes(storage.join(location, name), Path(truth.path).read_bytes())
    else:
        # A set without images has no shard, whose writing would have made the folder.
        Path(location).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(truth.path, Path(location, name))
    digest = storage.sha256(Path(truth.path))
    return {"file": name, "sha256": digest, "names": names}


@contextmanager
def _resumable(out: str) -> Iterator[str]:
    """The place to build the folder `out` in, with what an earlier build left there.

    A local folder is built next to its place; on an object store in its place, without an index.
    Raises ValueError if another process here builds the same folder.
    """
    if storage.is_s3(out):
        storage.remove(storage.join(out, storage.INDEX_NAME))
        yield out
        return
    work = f"{out.rstrip('/')}.work"
    if not storage.exists(storage.join(work, UNFINISHED)):
        storage.require_replaceable(work, UNFINISHED)
    busy = f"another build of {out} is under way: wait for it, or give another folder"
    with storage.locked(Path(work, UNFINISHED), busy):
        yield work
        # With the mark, so that nobody else begins in a folder that is about to move.
        storage.replace_directory(work, out)
        storage.remove(storage.join(out, UNFINISHED))
