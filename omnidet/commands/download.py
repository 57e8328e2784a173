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
    command.add_argument("--out", help="folder or s3:// URI to write into; coco, lvis and refcocog belong into one")
    command.add_argument("--catalogue", help="a catalogue of your own (default: omnidet/data/catalogue.toml)")
    command.add_argument("--path", type=Path, help="file, or folder of files, that only a person could get")
    command.add_argument("--files", action="append", default=[], metavar="PATTERN", help="only these, as '*train-00[0-4]?.tar'")
    command.add_argument("--threads", type=int, help="files fetched, or for s3:// uploaded, at once (default: 4, 8)")
    command.add_argument("--keep-archives", action="store_true", help="keep archives after unpacking, in .downloads/")
    command.add_argument("--verify", action="store_true", help="hash again what is there; for s3:// fetch it again and compare")
    command.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        help="for s3://: local folder to unpack one file at a time (default: a temporary one)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Fetch, and print a line for each file."""
    from omnidet import storage
    from omnidet.data import acquire, catalogue

    if not options.sources:
        print("\n".join(_described(dataset) for dataset in catalogue.load(options.catalogue).values()))
        return
    datasets = catalogue.choose(options.sources, options.catalogue)
    if options.out is None:
        raise ValueError("--out is missing: give the folder to write into")
    is_remote = storage.is_s3(options.out)
    if is_remote and options.keep_archives:
        raise ValueError(f"--keep-archives keeps them in a local folder, and --out is {options.out}: leave it out")
    if options.scratch and not is_remote:
        raise ValueError(f"--scratch is for --out s3://...: files for {options.out} are unpacked there")
    threads = at_once(options.out) if options.threads is None else options.threads
    if threads < 1:
        raise ValueError(f"--threads {threads} is less than 1")
    how = acquire.Options(
        path=options.path,
        patterns=tuple(options.files),
        num_threads=threads,
        keep_archives=options.keep_archives,
        verify=options.verify,
    )
    for dataset in datasets:
        bring(dataset, options.out, how, options.scratch)


def at_once(out: str) -> int:
    """Files that are fetched at the same time into a local folder, or uploaded."""
    from omnidet import object_store, storage

    return object_store.NUM_THREADS if storage.is_s3(out) else 4


def bring(dataset: Any, out: str, how: Any, scratch: Path | None = None) -> None:
    """Fetch one dataset of a catalogue into a folder or `s3://`; show how far it is, and print a line for each file."""
    from tqdm import tqdm

    from omnidet import storage
    from omnidet.data.acquire import acquire
    from omnidet.data.acquire_remote import acquire_remote

    sizes = [file.size_bytes or 0 for file in dataset.files]
    total = sum(sizes) if all(sizes) else None
    # Where nobody watches, as in a container's log, a line now and then.
    watched = sys.stderr.isatty()
    with tqdm(desc=dataset.name, total=total, unit="B", unit_scale=True, mininterval=1 if watched else 30, delay=1) as bar:

        def show(count: int) -> None:
            bar.update(count)

        if storage.is_s3(out):
            outcomes = acquire_remote(dataset, out, scratch, how, show)
        else:
            outcomes = acquire(dataset, Path(out), how, show)
    for outcome in outcomes:
        known = "first seen, now in the lock" if outcome.is_learned else "as expected"
        told = f"{outcome.state}, {outcome.size_bytes} bytes, SHA-256 {outcome.sha256} ({known})"
        print(f"{dataset.name}: {outcome.name}: {told}")


def _described(dataset: Any) -> str:
    size = sum(file.size_bytes or 0 for file in dataset.files)
    is_known = all(file.size_bytes for file in dataset.files)
    told = f"{size / 1e9:.1f} GB" if is_known else "size not known"
    return f"{dataset.name:12} {len(dataset.files):5} files, {told}: {dataset.about} ({dataset.licence})"
