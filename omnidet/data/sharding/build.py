"""Datasets -> a shard folder: what is built from what, in one go or in parts on many machines, and the report of it.

    plan ─▶ build_set (each set, perhaps in n parts) ─▶ finish_set ─▶ merge

A set is cut into pieces of its input, and a piece becomes a shard (`pieces.py`). So the bytes are the same however many
processes and machines share the work, and a build that was killed goes on with the pieces that are missing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from omnidet import storage
from omnidet.config import require
from omnidet.data import shards, sources
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sharding import held_out, pieces
from omnidet.data.sharding.pieces import PARTS, PieceConfig

WHOLE = (1, 1)
"""The only part of one."""
UNFINISHED = ".unfinished"
"""Marks the folder beside `out` in which a build goes on."""


@dataclass(frozen=True)
class Dataset:
    """One split of a dataset and the set of shards that it becomes."""

    set_name: str
    """`train/...` or `eval/...`."""
    source: str
    """Name of the adapter in `data/sources/`."""
    path: str
    """Folder of the dataset, relative to the data folder."""
    split: str
    """In the dataset's own terms, as `train2017` or `umd/val`."""
    optional: bool = False
    """Whether a data folder without it will do."""


@dataclass(frozen=True)
class ShardsConfig:
    """What is read, and how it is cut."""

    train: tuple[Dataset, ...]
    evaluation: tuple[Dataset, ...]
    samples_per_shard: int = 1000
    """Images read for one shard; it holds those of them that are of use. (A tar of CC12M is cut into shards of this size.)"""
    max_bad_share: float = 0.1
    """Share of unusable records of a dataset above which the build stops."""
    hash_images: bool = True
    """Whether web images are compared with the evaluation images by perceptual hash."""
    max_side: int | None = None
    """Larger training images are scaled down to this many pixels; None: images are copied as they are."""
    decode_images: bool = False
    """Whether each JPEG is decoded once. Without it its parts are looked at, which finds all that stops a decoder."""
    workers: int = 0
    """Processes that build; 0: one a core."""
    parts: int = 1
    """Into how many parts a pipeline splits each set."""

    def __post_init__(self) -> None:
        require(
            self.samples_per_shard >= 1,
            f"shards.samples_per_shard={self.samples_per_shard}: give 1 or more",
        )
        require(
            0 <= self.max_bad_share <= 1,
            f"shards.max_bad_share={self.max_bad_share}: give a share from 0 to 1",
        )
        require(
            self.max_side is None or self.max_side >= 16,
            f"shards.max_side={self.max_side}: give 16 or more, or null",
        )
        require(self.workers >= 0, f"shards.workers={self.workers}: give 0 (one a core) or more")
        require(self.parts >= 1, f"shards.parts={self.parts}: give 1 or more")
        for dataset in self.evaluation:
            is_plain = (
                dataset.source == "refcocog"
                and dataset.split.startswith("google")
                and "google" not in dataset.set_name
            )
            require(
                not is_plain,
                f"{dataset.set_name}: RefCOCOg's {dataset.split} shares images with its train: take umd/val, or call it google",
            )


@dataclass(frozen=True)
class Plan:
    """What a build is made of: the sets that there are data for, and the images that no training set may hold."""

    sets: tuple[str, ...]
    held_out: held_out.HeldOut


def build(
    data: storage.Location, out: str, config: ShardsConfig, paths: Mapping[str, str] | None = None
) -> shards.Index:
    """Write the shard folder `out`, whole or not at all, and return its index.

    A local build grows in `<out>.work`, where one that was stopped goes on; what was there before stays until the new one is
    whole. On an object store it grows in its place, without an index until the end.

    Args:
        data: folder that holds the datasets at their `Dataset.path`, local or `s3://`.
        out: folder to write, local or `s3://`.
        paths: folders of single datasets that stand elsewhere, by adapter name.

    Raises FileNotFoundError for a missing dataset, ValueError for a broken one.
    """
    planned = plan(data, config, paths)
    with _resumable(out) as stage:
        for name in planned.sets:
            build_set(data, stage, name, planned.held_out, config, paths)
            finish_set(stage, name)
        merge(stage, planned.sets)
    return shards.read_index(out)


def plan(
    data: storage.Location, config: ShardsConfig, paths: Mapping[str, str] | None = None
) -> Plan:
    """Which sets can be built, and what is held out of the training sets. Every dataset is known to be there after it.

    Raises FileNotFoundError for a missing dataset, also where it is optional but its folder was named in `paths`.
    """
    unknown = sorted(set(paths or {}) - {d.source for d in (*config.train, *config.evaluation)})
    require(not unknown, f"--path {', '.join(unknown)}: the recipe reads no such dataset")
    evaluation = [d for d in config.evaluation if _present(d, _root(d, data, paths))]
    train = [d for d in config.train if _present(d, _root(d, data, paths))]
    _require_named({d.source for d in (*train, *evaluation)}, config, paths or {})
    entries = [(d.source, _root(d, data, paths), d.split) for d in evaluation]
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
    """Write the shards of one set, or of its part i of n, to `out/set_name`; they are a set once `finish_set` has run.

    Part i takes every n-th piece. What stands there already from the same input is kept.
    """
    require(1 <= part[0] <= part[1], f"part {part[0]}/{part[1]}: give i/n with i from 1 to n")
    dataset = _dataset(config, set_name)
    root, location = _root(dataset, data, paths), storage.join(out, set_name)
    storage.remove(storage.join(location, storage.INDEX_NAME))
    for file in _part_files(location):
        if not file.endswith(
            f"-of-{part[1]}.json"
        ):  # of a build that was given up: its shards have the names of this one's
            storage.remove(storage.join(location, PARTS, file))
    quarantine, is_training = Quarantine(), dataset in config.train
    found = sources.by_name(dataset.source).pieces(
        root, dataset.split, quarantine, config.samples_per_shard
    )
    own = ((number, piece) for number, piece in enumerate(found) if number % part[1] == part[0] - 1)
    settings = PieceConfig(
        config.samples_per_shard, config.max_side if is_training else None, config.decode_images
    )
    written = []
    with tqdm(desc=f"shards {set_name}", unit="image", mininterval=1) as progress:
        for result in pieces.build(
            own, location, settings, kept_out if is_training else None, config.workers
        ):
            written.append(result)
            progress.update(sum(shard["samples"] for shard in result["shards"]))
    content = {
        "source": dataset.source,
        "made_with": [
            dataset.split,
            root.rstrip("/"),
            dataclasses.asdict(settings),
            kept_out.digest if is_training else "",
        ],
        "max_bad_share": config.max_bad_share,
        "quarantine": quarantine.lines,  # what the split as a whole has wrong
        "counts": dict(quarantine.counts),
        "ground_truth": _copy_ground_truth(dataset, root, location) if part[0] == 1 else None,
        "pieces": written,
    }
    storage.write_text(
        storage.join(location, PARTS, f"{part[0]}-of-{part[1]}.json"), json.dumps(content)
    )


def finish_set(out: str, set_name: str) -> None:
    """Make a set of what its parts wrote: the index, and the list of what was left out. Nothing to do where it is one already.

    Raises FileNotFoundError where a part is missing, and ValueError where parts do not fit together or too many records were
    refused.
    """
    location = storage.join(out, set_name)
    if storage.exists(storage.join(location, storage.INDEX_NAME)):
        return
    parts = _parts(location, set_name)
    done = sorted(
        (piece for part in parts for piece in part["pieces"]),
        key=lambda piece: int(piece["number"]),
    )
    quarantine, dropped, names = (
        Quarantine(parts[0]["max_bad_share"]),
        Counter[str](),
        Counter[str](),
    )
    for content in (parts[0], *done):  # what the split as a whole has wrong, every part has found
        quarantine.counts.update(content["counts"])
        quarantine.lines += content["quarantine"]
        dropped.update(content.get("held_out", {}))
        names.update(content.get("names", {}))
    members = [shards.Shard(**shard) for piece in done for shard in piece["shards"]]
    quarantine.check_share(parts[0]["source"], shards.num_samples(members))
    require(
        bool(
            members or dropped
        ),  # where all of them are held out, the report says so and training refuses the set
        f"{set_name}: {parts[0]['source']} holds no image that can be used: mend or complete it, or take it away, which is "
        "enough where it is optional, or out of the recipe",
    )
    content = {
        "shards": [dataclasses.asdict(shard) for shard in members],
        "ground_truth": parts[0]["ground_truth"],
        "held_out": dict(sorted(dropped.items())),
        "names": dict(sorted(names.items())) if len(names) <= shards.MAX_COUNTED_NAMES else {},
        "quarantined": dict(sorted(quarantine.counts.items())),
    }
    storage.write_text(
        storage.join(location, "quarantine.jsonl"),
        "".join(line + "\n" for line in quarantine.lines),
    )
    storage.write_text(
        storage.join(location, storage.INDEX_NAME),
        json.dumps(content, indent=1, ensure_ascii=False) + "\n",
    )


def merge(out: str, set_names: Sequence[str]) -> None:
    """Write the index over the finished sets in `out`: only now is the folder whole."""
    sets: dict[str, tuple[shards.Shard, ...]] = {}
    truths: dict[str, Mapping[str, Any]] = {}
    dropped: dict[str, Any] = {}
    names: dict[str, Mapping[str, int]] = {}
    quarantined: Counter[str] = Counter()
    lines: list[str] = []
    for name in set_names:
        content = json.loads(storage.read_text(storage.join(out, name, storage.INDEX_NAME)))
        lines.append(storage.read_text(storage.join(out, name, "quarantine.jsonl")))
        sets[name] = tuple(
            shards.Shard(**{**shard, "path": f"{name}/{shard['path']}"})
            for shard in content["shards"]
        )
        quarantined += Counter(content["quarantined"])
        if content["held_out"]:
            dropped[name] = content["held_out"]
        if name.startswith("train/") and content.get("names"):
            names[name] = content["names"]
        _clear(out, name, content)
        if content["ground_truth"]:
            truths[name] = {
                **content["ground_truth"],
                "file": f"{name}/{content['ground_truth']['file']}",
            }
    storage.write_text(storage.join(out, "quarantine.jsonl"), "".join(lines))
    shards.write_index(
        out,
        sets,
        truths,
        {"held_out": dropped, "quarantined": dict(sorted(quarantined.items()))},
        names,
    )


def describe(index: shards.Index) -> str:
    """The build's report, for people."""
    lines = [f"data version {index.dataset_version[:12]}"]
    for name, members in index.sets.items():
        size = sum(m.size_bytes for m in members)
        lines.append(
            f"  {name:24} {shards.num_samples(members):8} images in {len(members)} shards, {size / 1e6:.1f} MB"
        )
    for name, counts in index.report["held_out"].items():
        lines += [
            f"  {name}: {count} images held out: {reason}" for reason, count in counts.items()
        ]
    lines += [
        f"  quarantined: {count} x {reason}"
        for reason, count in index.report["quarantined"].items()
    ]
    return "\n".join(lines)


def _dataset(config: ShardsConfig, set_name: str) -> Dataset:
    return {d.set_name: d for d in (*config.train, *config.evaluation)}[set_name]


def _root(dataset: Dataset, data: storage.Location, paths: Mapping[str, str] | None) -> str:
    given = (paths or {}).get(dataset.source)
    return (
        str(given)
        if given
        else storage.join(data, dataset.path)
        if dataset.path != "."
        else str(data)
    )


def _present(dataset: Dataset, root: str) -> bool:
    """Whether the dataset is there; a missing one that is not optional is an error."""
    try:
        sources.by_name(dataset.source).check(root, dataset.split)
    except FileNotFoundError as error:
        if not dataset.optional:
            raise
        tqdm.write(f"{dataset.set_name}: left out, for {error}")
        return False
    return True


def _require_named(found: Container[str], config: ShardsConfig, paths: Mapping[str, str]) -> None:
    """Raise FileNotFoundError for a named folder that holds nothing of its dataset; some of the splits may be missing."""
    for source, root in paths.items():
        if source not in found:
            splits = dict.fromkeys(
                d.split for d in (*config.train, *config.evaluation) if d.source == source
            )
            raise FileNotFoundError(
                f"--path {source}={root}: there is no {source} ({', '.join(splits)}): name its folder, or leave --path out"
            )


def _parts(location: str, set_name: str) -> list[dict[str, Any]]:
    """What all parts of a set wrote, by their number. Raises ValueError where they were not built alike."""
    found = {
        _part_name(file): storage.join(location, PARTS, file) for file in _part_files(location)
    }
    there = ", ".join(found) or "none"
    for total in sorted({int(name.split("/")[1]) for name in found}):
        names = [f"{i}/{total}" for i in range(1, total + 1)]
        if found.keys() >= set(names):
            parts = [json.loads(storage.read_text(found[name])) for name in names]
            for name, part in zip(names, parts, strict=True):
                require(
                    part.get("made_with") == parts[0].get("made_with"),
                    f"{set_name}: part {name} was built of other data or with other settings than part {names[0]}: build the "
                    "parts again with the same --data, --path and --set",
                )
            return parts
    raise FileNotFoundError(
        f"{set_name}: not all parts are built (there is {there}): build the others first"
    )


def _part_files(location: str) -> list[str]:
    return [
        name for name in storage.list_files(storage.join(location, PARTS)) if name.endswith(".json")
    ]


def _part_name(file: str) -> str:
    """`1-of-2.json` as people write it: 1/2."""
    return file.removesuffix(".json").replace("-of-", "/")


def _clear(out: str, set_name: str, content: Mapping[str, Any]) -> None:
    """Remove what a set needed while it was built, and what an earlier build left."""
    location = storage.join(out, set_name)
    kept = {storage.INDEX_NAME, "quarantine.jsonl", *(shard["path"] for shard in content["shards"])}
    if content["ground_truth"]:
        kept.add(content["ground_truth"]["file"])
    for folder in (PARTS, pieces.PIECES):
        storage.remove(storage.join(location, folder))
    for name in storage.list_files(location):
        if name not in kept:
            storage.remove(storage.join(location, name))


def _copy_ground_truth(dataset: Dataset, root: str, location: str) -> dict[str, Any] | None:
    """Keep the official annotation file beside the shards: the official evaluation reads it, and nothing else does."""
    truth = (
        sources.by_name(dataset.source).ground_truth(root, dataset.split)
        if dataset.set_name.startswith("eval/")
        else None
    )
    if truth is None:
        return None
    name = "ground_truth.json"
    if truth.content is not None:
        storage.write_bytes(storage.join(location, name), truth.content)
        return {"file": name, "sha256": hashlib.sha256(truth.content).hexdigest(), "names": {}}
    if storage.is_s3(location):
        storage.write_bytes(storage.join(location, name), Path(truth.path).read_bytes())
    else:
        Path(location).mkdir(
            parents=True, exist_ok=True
        )  # no shard has made it where there is no image
        shutil.copyfile(truth.path, Path(location, name))
    digest = storage.sha256(Path(truth.path))
    return {"file": name, "sha256": digest, "names": {str(k): v for k, v in truth.names.items()}}


@contextmanager
def _resumable(out: str) -> Iterator[str]:
    """Where the folder `out` is built: beside it, or without an index in its place; what is there already is made use of."""
    if storage.is_s3(out):
        storage.remove(storage.join(out, storage.INDEX_NAME))
        yield out
        return
    work = f"{out.rstrip('/')}.work"
    storage.require_replaceable(work, UNFINISHED)
    storage.write_text(storage.join(work, UNFINISHED), "")
    yield work
    storage.remove(storage.join(work, UNFINISHED))
    storage.replace_directory(work, out)
