"""Datasets of a catalogue into a folder or an object store, told as they come: what `omnidet download` and the pipeline do."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from omnidet import object_store, storage
from omnidet.data.download import to_folder
from omnidet.data.download.catalogue import Dataset
from omnidet.data.download.to_bucket import download_to_bucket
from omnidet.storage import Location


def files_at_once(out: Location) -> int:
    """How many files `download` fetches at the same time into a local folder, or uploads."""
    return object_store.NUM_THREADS if storage.is_s3(out) else 4


def wanted(datasets: Sequence[Dataset], how: to_folder.Options) -> list[Dataset]:
    """Those of the datasets that have a wanted file. Raises ValueError for what one of them would fail for, hours later."""
    names = [file.name for dataset in datasets for file in dataset.files]
    every = " or ".join(dataset.name for dataset in datasets)
    for pattern in how.patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ValueError(
                f"--files {pattern}: {every} has no file that fits: there is {names[0]} and the like"
            )
    chosen = [dataset for dataset in datasets if to_folder.fitting(dataset, how)]
    if how.path is not None:
        if not how.path.exists():
            raise ValueError(
                f"--path {how.path} does not exist: give the file, or the folder that holds it"
            )
        if not any(file.by_hand for dataset in chosen for file in to_folder.fitting(dataset, how)):
            raise ValueError(
                f"--path {how.path} is for what only a person could get, and {every} has no such file: leave it out"
            )
    for dataset in chosen:
        to_folder.require_by_hand(dataset, to_folder.fitting(dataset, how), how)
    return chosen


def download(
    dataset: Dataset, out: Location, how: to_folder.Options, scratch: Path | None = None
) -> None:
    """One dataset of a catalogue into a folder or `s3://`, this by way of `scratch`; prints a line for each file."""
    sizes = [file.size_bytes or 0 for file in dataset.files]
    # Where nobody watches, as in a container's log, a line now and then.
    every = 1 if sys.stderr.isatty() else 30
    total = sum(sizes) if all(sizes) else None
    with tqdm(
        desc=dataset.name, total=total, unit="B", unit_scale=True, mininterval=every, delay=1
    ) as bar:

        def show(count: int) -> None:
            bar.update(count)

        if storage.is_s3(out):
            outcomes = download_to_bucket(dataset, str(out), scratch, how, show)
        else:
            outcomes = to_folder.download_to_folder(dataset, Path(out), how, show)
    for outcome in outcomes:
        known = "first seen, now in the lock" if outcome.is_learned else "as expected"
        told = f"{outcome.state}, {outcome.size_bytes} bytes, SHA-256 {outcome.sha256} ({known})"
        print(f"{dataset.name}: {outcome.name}: {told}")
