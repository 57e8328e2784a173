"""Datasets of a catalogue -> a folder or bucket, with a progress bar and a line for each file.

`omnidet download` and the pipeline call this.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from omnidet import progress, storage
from omnidet.data.download import selection
from omnidet.data.download.catalogue import Dataset
from omnidet.data.download.selection import Options
from omnidet.data.download.to_folder import download_to_folder
from omnidet.storage import Location


def files_at_once(out: Location) -> int:
    """How many files `download` fetches at once into a local folder, or uploads at once."""
    if storage.is_s3(out):
        from omnidet import object_store

        return object_store.NUM_THREADS
    return Options.num_threads


def wanted(datasets: Sequence[Dataset], options: Options) -> list[Dataset]:
    """The datasets that have a wanted file. Raises ValueError for what would fail hours later."""
    names = [file.name for dataset in datasets for file in dataset.files]
    every = " or ".join(dataset.name for dataset in datasets)
    for pattern in options.patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise ValueError(
                f"--files {pattern}: {every} has no file that matches: "
                f"its files are {names[0]} and the like"
            )
    chosen = [dataset for dataset in datasets if selection.matching(dataset, options)]
    if options.path is not None:
        if not options.path.exists():
            raise ValueError(
                f"--path {options.path} does not exist: give the file, or the folder that holds it"
            )
        files = [file for dataset in chosen for file in selection.matching(dataset, options)]
        if not any(file.by_hand for file in files):
            raise ValueError(
                f"--path {options.path} is for files that only a person can get, "
                f"and {every} has no such file: leave it out"
            )
    for dataset in chosen:
        selection.require_by_hand(dataset, selection.matching(dataset, options), options)
    return chosen


def download(
    dataset: Dataset, out: Location, options: Options, scratch: Path | None = None
) -> None:
    """Download a dataset into a folder, or through `scratch` to `s3://`. Prints a line per file."""
    sizes = [file.size_bytes or 0 for file in dataset.files]
    total = sum(sizes) if all(sizes) else None
    with progress.bar(desc=dataset.name, unit="B", total=total) as bar:

        def show(count: int) -> None:
            bar.update(count)

        if storage.is_s3(out):
            from omnidet.data.download.to_bucket import download_to_bucket

            outcomes = download_to_bucket(dataset, str(out), scratch, options, show)
        else:
            outcomes = download_to_folder(dataset, Path(out), options, show)
    for outcome in outcomes:
        known = "first seen, now in the lock file" if outcome.is_first_seen else "as expected"
        print(
            f"{dataset.name}: {outcome.name}: {outcome.state}, {outcome.size_bytes} bytes, "
            f"SHA-256 {outcome.sha256} ({known})"
        )
