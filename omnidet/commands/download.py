"""`omnidet download SOURCE ... --out DIR`: the files of the real datasets, resumed, checked and unpacked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

TEXT = "fetch the files of datasets, resumed, checked and unpacked; without SOURCE: list them"


def add(commands: Any) -> None:
    """Register the command."""
    command: argparse.ArgumentParser = commands.add_parser("download", help=TEXT, description=TEXT)
    command.add_argument("sources", nargs="*", metavar="SOURCE", help="dataset of the catalogue, as coco")
    command.add_argument("--out", help="local folder to write into; coco, lvis and refcocog belong into one")
    command.add_argument("--catalogue", type=Path, help="a catalogue of your own (default: omnidet/data/catalogue.toml)")
    command.add_argument("--path", type=Path, help="file, or folder of files, that only a person could get")
    command.add_argument("--files", action="append", default=[], metavar="PATTERN", help="only these, as '*train-00[0-4]?.tar'")
    command.add_argument("--threads", type=int, default=4, help="files fetched at once (default: 4)")
    command.add_argument("--keep-archives", action="store_true", help="keep archives after unpacking, in .downloads/")
    command.add_argument("--verify", action="store_true", help="hash again what is there already")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Fetch, and print a line for each file."""
    from tqdm import tqdm

    from omnidet import storage
    from omnidet.data import acquire, catalogue

    datasets = catalogue.load(options.catalogue)
    if not options.sources:
        print("\n".join(_described(dataset) for dataset in datasets.values()))
        return
    unknown = next((name for name in options.sources if name not in datasets), None)
    if unknown:
        raise ValueError(f"there is no dataset {unknown!r} in the catalogue: use {', '.join(datasets)}")
    if options.out is None:
        raise ValueError("--out is missing: give the folder to write into")
    if storage.is_s3(options.out):
        raise ValueError(
            f"--out {options.out}: archives are unpacked into a local folder; `omnidet shards` writes to s3:// from it"
        )
    if options.threads < 1:
        raise ValueError(f"--threads {options.threads} is less than 1")
    how = acquire.Options(
        path=options.path,
        patterns=tuple(options.files),
        num_threads=options.threads,
        keep_archives=options.keep_archives,
        verify=options.verify,
    )
    for name in options.sources:
        sizes = [file.size_bytes or 0 for file in datasets[name].files]
        total = sum(sizes) if all(sizes) else None
        # Where nobody watches, as in a container's log, a line now and then.
        watched = sys.stderr.isatty()
        with tqdm(desc=name, total=total, unit="B", unit_scale=True, mininterval=1 if watched else 30, delay=1) as bar:

            def show(count: int, bar: Any = bar) -> None:
                bar.update(count)

            outcomes = acquire.acquire(datasets[name], Path(options.out), how, show)
        for outcome in outcomes:
            known = "first seen, now in the lock" if outcome.is_learned else "as expected"
            print(f"{name}: {outcome.name}: {outcome.state}, {outcome.size_bytes} bytes, SHA-256 {outcome.sha256} ({known})")


def _described(dataset: Any) -> str:
    size = sum(file.size_bytes or 0 for file in dataset.files)
    is_known = all(file.size_bytes for file in dataset.files)
    told = f"{size / 1e9:.1f} GB" if is_known else "size not known"
    return f"{dataset.name:12} {len(dataset.files):5} files, {told}: {dataset.about} ({dataset.licence})"
