"""Datasets -> a shard folder: read, hold out, clean, write, and report what was left out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from omnidet import storage
from omnidet.config import require
from omnidet.data import held_out, shards, sources
from omnidet.data.quarantine import Quarantine, clean
from omnidet.schema import Record


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
    max_bad_share: float = 0.1
    """Share of unusable records of a dataset above which the build stops."""
    hash_images: bool = True
    """Whether web images are compared with the evaluation images by perceptual hash."""

    def __post_init__(self) -> None:
        require(self.samples_per_shard >= 1, f"shards.samples_per_shard={self.samples_per_shard}: give 1 or more")
        require(0 <= self.max_bad_share <= 1, f"shards.max_bad_share={self.max_bad_share}: give a share from 0 to 1")


@dataclass(frozen=True)
class Plan:
    """What a build is made of: the sets that there are data for, and the images that no training set may hold."""

    sets: tuple[str, ...]
    held_out: held_out.HeldOut


def build(data: Path, out: str, config: ShardsConfig, paths: Mapping[str, str] | None = None) -> shards.Index:
    """Write the shard folder `out`, whole or not at all, and return its index.

    The same in parts, for a pipeline that builds each set on another machine: `plan`, `build_set`, `merge`.

    Args:
        data: folder that holds the datasets at their `Dataset.path`.
        out: folder to write, local or `s3://`.
        paths: folders of single datasets that stand elsewhere, by adapter name.

    Raises FileNotFoundError for a missing dataset, ValueError for a broken one.
    """
    unknown = sorted(set(paths or {}) - {d.source for d in (*config.train, *config.evaluation)})
    require(not unknown, f"--path {', '.join(unknown)}: the recipe reads no such dataset")
    planned = plan(data, config, paths)
    with storage.staged_directory(out) as stage:
        for name in planned.sets:
            build_set(data, str(stage), name, planned.held_out, config, paths)
        merge(str(stage), planned.sets)
    return shards.read_index(out)


def plan(data: Path, config: ShardsConfig, paths: Mapping[str, str] | None = None) -> Plan:
    """Which sets can be built, and what is held out of the training sets."""
    evaluation = [d for d in config.evaluation if _present(d, _root(d, data, paths))]
    train = [d for d in config.train if _present(d, _root(d, data, paths))]
    entries = [(d.source, _root(d, data, paths), d.split) for d in evaluation]
    kept_out = held_out.collect(entries, hash_images=config.hash_images)
    return Plan(tuple(d.set_name for d in (*train, *evaluation)), kept_out)


def build_set(
    data: Path,
    out: str,
    set_name: str,
    kept_out: held_out.HeldOut,
    config: ShardsConfig,
    paths: Mapping[str, str] | None = None,
) -> None:
    """Write one set to `out/set_name`, whole or not at all, with what was left out beside it."""
    dataset = {d.set_name: d for d in (*config.train, *config.evaluation)}[set_name]
    root = _root(dataset, data, paths)
    quarantine, dropped = Quarantine(config.max_bad_share), Counter[str]()
    with storage.staged_directory(storage.join(out, set_name)) as stage:
        records = _usable(dataset, root, quarantine, kept_out if dataset in config.train else None, dropped)
        written = shards.write_set(records, stage, "", config.samples_per_shard)
        quarantine.check_share(dataset.source, shards.num_samples(written))
        content = {
            "shards": [dataclasses.asdict(shard) for shard in written],
            "ground_truth": _copy_ground_truth(dataset, root, stage),
            "held_out": dict(sorted(dropped.items())),
            "quarantined": dict(sorted(quarantine.counts.items())),
        }
        storage.write_text(stage / "quarantine.jsonl", "".join(line + "\n" for line in quarantine.lines))
        storage.write_text(stage / storage.INDEX_NAME, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def merge(out: str, set_names: Sequence[str]) -> None:
    """Write the index over the sets that `build_set` wrote to `out`: only now is the folder whole."""
    sets: dict[str, tuple[shards.Shard, ...]] = {}
    truths: dict[str, Mapping[str, Any]] = {}
    dropped: dict[str, Any] = {}
    quarantined: Counter[str] = Counter()
    lines: list[str] = []
    for name in set_names:
        content = json.loads(storage.read_text(storage.join(out, name, storage.INDEX_NAME)))
        lines.append(storage.read_text(storage.join(out, name, "quarantine.jsonl")))
        sets[name] = tuple(shards.Shard(**{**shard, "path": f"{name}/{shard['path']}"}) for shard in content["shards"])
        quarantined += Counter(content["quarantined"])
        if content["held_out"]:
            dropped[name] = content["held_out"]
        if content["ground_truth"]:
            truths[name] = {**content["ground_truth"], "file": f"{name}/{content['ground_truth']['file']}"}
    storage.write_text(storage.join(out, "quarantine.jsonl"), "".join(lines))
    shards.write_index(out, sets, truths, {"held_out": dropped, "quarantined": dict(sorted(quarantined.items()))})


def _root(dataset: Dataset, data: Path, paths: Mapping[str, str] | None) -> str:
    return str((paths or {}).get(dataset.source) or data / dataset.path)


def _present(dataset: Dataset, root: str) -> bool:
    """Whether the dataset is there; a missing one that is not optional is left to its adapter, which names the file."""
    if not dataset.optional:
        return True
    try:
        sources.by_name(dataset.source).image_ids(root, dataset.split)
    except FileNotFoundError as error:
        tqdm.write(f"{dataset.set_name}: left out, for {error}")
        return False
    return True


def _usable(
    dataset: Dataset, root: str, quarantine: Quarantine, kept_out: held_out.HeldOut | None, dropped: Counter[str]
) -> Iterator[Record]:
    found = sources.by_name(dataset.source).read(root, dataset.split, quarantine)
    for record in tqdm(found, desc=f"shards {dataset.set_name}", unit="image", mininterval=1):
        reason = kept_out.reason(record) if kept_out else None
        if reason:
            dropped[reason] += 1
            continue
        cleaned = clean(record, quarantine)
        if cleaned is not None:
            yield cleaned


def _copy_ground_truth(dataset: Dataset, root: str, stage: Path) -> dict[str, Any] | None:
    """Keep the official annotation file beside the shards: the official evaluation reads it, and nothing else does."""
    truth = sources.by_name(dataset.source).ground_truth(root, dataset.split)
    if truth is None or not dataset.set_name.startswith("eval/"):
        return None
    shutil.copyfile(truth.path, stage / "ground_truth.json")
    digest = hashlib.sha256((stage / "ground_truth.json").read_bytes()).hexdigest()
    return {"file": "ground_truth.json", "sha256": digest, "names": {str(k): v for k, v in truth.names.items()}}


def describe(index: shards.Index) -> str:
    """The build's report, for people."""
    lines = [f"data version {index.dataset_version[:12]}"]
    for name, members in index.sets.items():
        size = sum(m.size_bytes for m in members)
        lines.append(f"  {name:24} {shards.num_samples(members):8} images in {len(members)} shards, {size / 1e6:.1f} MB")
    for name, counts in index.report["held_out"].items():
        lines += [f"  {name}: {count} images held out: {reason}" for reason, count in counts.items()]
    lines += [f"  quarantined: {count} x {reason}" for reason, count in index.report["quarantined"].items()]
    return "\n".join(lines)
