"""Datasets -> a shard folder: read, hold out, clean, write, and report what was left out."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from omnidet import storage
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


def build(data: Path, out: str, config: ShardsConfig, paths: dict[str, str] | None = None) -> shards.Index:
    """Write the shard folder `out`, whole or not at all, and return its index.

    Args:
        data: folder that holds the datasets at their `Dataset.path`.
        out: folder to write, local or `s3://`.
        paths: folders of single datasets that stand elsewhere, by adapter name.

    Raises FileNotFoundError for a missing dataset, ValueError for a broken one.
    """
    where = {d: str((paths or {}).get(d.source) or data / d.path) for d in (*config.train, *config.evaluation)}
    evaluation = [d for d in config.evaluation if _present(d, where[d])]
    train = [d for d in config.train if _present(d, where[d])]
    kept_out = held_out.collect(((d.source, where[d], d.split) for d in evaluation), hash_images=config.hash_images)
    quarantine, dropped = Quarantine(config.max_bad_share), {}
    sets: dict[str, tuple[shards.Shard, ...]] = {}
    truths: dict[str, Any] = {}
    with storage.staged_directory(out) as stage:
        for dataset in [*train, *evaluation]:
            counts: Counter[str] = Counter()
            known = kept_out if dataset in train else None
            records = _usable(dataset, where[dataset], quarantine, known, counts)
            sets[dataset.set_name] = shards.write_set(records, stage, dataset.set_name, config.samples_per_shard)
            quarantine.check_share(dataset.source, shards.num_samples(sets[dataset.set_name]))
            if counts:
                dropped[dataset.set_name] = dict(sorted(counts.items()))
            if dataset in evaluation:
                _copy_ground_truth(dataset, where[dataset], stage, truths)
        storage.write_text(stage / "quarantine.jsonl", "".join(line + "\n" for line in quarantine.lines))
        report = {"held_out": dropped, "quarantined": dict(sorted(quarantine.counts.items()))}
        shards.write_index(stage, sets, truths, report)
    return shards.read_index(out)


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


def _copy_ground_truth(dataset: Dataset, root: str, stage: Path, truths: dict[str, Any]) -> None:
    """Keep the official annotation file beside the shards: the official evaluation reads it, and nothing else does."""
    truth = sources.by_name(dataset.source).ground_truth(root, dataset.split)
    if truth is not None:
        name = f"{dataset.set_name}/ground_truth.json"
        shutil.copyfile(truth.path, stage / name)
        truths[dataset.set_name] = {"file": name, "names": {str(k): v for k, v in truth.names.items()}}


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
