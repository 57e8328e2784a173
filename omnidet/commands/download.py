"""`omnidet download SOURCE ... --out DIR`: the files of the real datasets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from omnidet.commands.arguments import Commands, add_command

if TYPE_CHECKING:
    from omnidet.data.download.catalogue import Dataset


def add(commands: Commands) -> None:
    """Register the command."""
    text = "fetch the files of datasets, resumed, checked and unpacked; without SOURCE: list them"
    command = add_command(commands, "download", text, run)
    command.add_argument(
        "sources", nargs="*", metavar="SOURCE", help="dataset of the catalogue, for example coco"
    )
    command.add_argument(
        "--out", help="folder or s3:// URI to write into; coco, lvis and refcocog share one"
    )
    command.add_argument(
        "--catalogue",
        help="a catalogue of your own (default: omnidet/data/download/catalogue.toml)",
    )
    command.add_argument(
        "--path", type=Path, help="file, or folder of files, that only a person can get"
    )
    command.add_argument(
        "--files",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these files, for example '*train-00[0-4]?.tar'; repeatable",
    )
    command.add_argument(
        "--threads", type=int, help="files fetched, or for s3:// uploaded, at once (default: 4, 8)"
    )
    command.add_argument(
        "--keep-archives", action="store_true", help="keep archives after unpacking, in .downloads/"
    )
    command.add_argument(
        "--verify",
        action="store_true",
        help="hash existing files again; for s3:// download them again and compare",
    )
    command.add_argument(
        "--scratch",
        type=Path,
        metavar="DIR",
        help="for s3://: local folder to unpack one file at a time (default: a temporary one)",
    )


def run(options: argparse.Namespace) -> None:
    """Fetch, and print a line for each file."""
    from omnidet import storage
    from omnidet.data.download import catalogue, selection
    from omnidet.data.download.datasets import download, files_at_once, wanted

    if not options.sources:
        print(
            "\n".join(_described(dataset) for dataset in catalogue.load(options.catalogue).values())
        )
        return
    datasets = catalogue.choose(options.sources, options.catalogue)
    if not options.out:
        raise ValueError("--out is missing: give the folder to write into")
    is_remote = storage.is_s3(options.out)
    if is_remote and options.keep_archives:
        raise ValueError(
            f"--keep-archives keeps them in a local folder, but --out is {options.out}: "
            "leave it out"
        )
    if options.scratch and not is_remote:
        raise ValueError(
            f"--scratch is for --out s3://: files for {options.out} are unpacked in place"
        )
    threads = files_at_once(options.out) if options.threads is None else options.threads
    if threads < 1:
        raise ValueError(f"--threads {threads}: give 1 or more")
    how = selection.Options(
        path=options.path,
        patterns=tuple(options.files),
        num_threads=threads,
        keep_archives=options.keep_archives,
        verify=options.verify,
    )
    for dataset in wanted(datasets, how):
        download(dataset, options.out, how, options.scratch)


def _described(dataset: Dataset) -> str:
    size = sum(file.size_bytes or 0 for file in dataset.files)
    is_known = all(file.size_bytes for file in dataset.files)
    shown = f"{size / 1e9:.1f} GB" if is_known else "size not known"
    files = f"{dataset.name:12} {len(dataset.files):5} files"
    return f"{files}, {shown}: {dataset.about} ({dataset.licence})"
