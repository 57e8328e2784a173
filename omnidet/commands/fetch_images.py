"""`omnidet fetch-images LIST --out FOLDER`: images from the URL lists of LAION and CC12M."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from omnidet.commands.arguments import Commands, add_command

if TYPE_CHECKING:
    from omnidet.data.web_images.settings import Options

LISTS_CACHE = ".cache/lists"
COUNTS = (
    ("--workers", "processes (default: one for each core)"),
    ("--rows-per-shard", "rows of the list that make one tar (default: 5000)"),
    ("--connections", "connections at once in a process (default: 64)"),
    ("--per-host", "connections at once to one host, in a process (default: 4)"),
    ("--tries", "tries for what may be temporary (default: 3)"),
    ("--max-bytes", "largest image file (default: 20000000)"),
    ("--max-pixels", "largest image in pixels (default: 50000000)"),
    ("--min-side", "shortest side of an image in pixels (default: 16)"),
)
"""Options that are whole numbers from 1 up. Their defaults are those of `web_images/settings.py`,
which is too heavy to import for a help text; a test compares the two."""

_T = TypeVar("_T")


def add(commands: Commands) -> None:
    """Register the command."""
    text = "URL lists with captions (parquet, tsv, csv) -> WebDataset tars for laion and cc12m"
    command = add_command(commands, "fetch-images", text, run)
    command.add_argument(
        "lists", metavar="LIST", help="a list, or a folder of lists, local or s3://"
    )
    command.add_argument(
        "--out",
        required=True,
        help="local folder to write; after an interruption, the same command continues",
    )
    command.add_argument(
        "--part",
        default="0/1",
        metavar="I/N",
        help="the I-th of N shares, counted from 0, for several machines",
    )
    for name, about in COUNTS:
        command.add_argument(name, type=int, metavar="N", help=about)
    command.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="for an image as a whole (default: 40)"
    )
    command.add_argument(
        "--hash-column",
        default="",
        help="column with the MD5, SHA-1 or SHA-256 of each image: others are refused",
    )
    command.add_argument(
        "--keep-near-copies",
        action="store_true",
        help="keep images that look like an earlier one",
    )
    command.add_argument(
        "--refuse",
        metavar="DIRECTIVES",
        help="X-Robots-Tag directives that are obeyed (default: noai,noimageai)",
    )
    command.add_argument(
        "--dead-links",
        action="store_true",
        help="continue when no host of a shard can be reached",
    )
    command.add_argument(
        "--allow-private",
        action="store_true",
        help="fetch from this machine and the local network too",
    )


def run(options: argparse.Namespace) -> None:
    """Fetch, and print what became of the rows."""
    from omnidet import progress, storage
    from omnidet.data.web_images import fetch, report

    if storage.is_s3(options.out):
        raise ValueError(
            f"--out {options.out}: images are fetched into a local folder; `omnidet shards` "
            "writes to s3:// from there"
        )
    is_remote = storage.is_s3(options.lists)
    lists = storage.local_copy(options.lists, LISTS_CACHE) if is_remote else Path(options.lists)
    how = _options(options)
    with progress.bar(desc="web images", unit="row") as bar:

        def show(count: int) -> None:
            bar.update(count)

        counts = fetch.fetch_images(lists, Path(options.out), how, show)
    print(report.describe(counts))


def _options(options: argparse.Namespace) -> Options:
    """The settings of the arguments. Raises ValueError for a number that does not make sense."""
    from omnidet.data.web_images.settings import Options

    part, _, parts = options.part.partition("/")
    if not part.isdecimal() or not parts.isdecimal():
        raise ValueError(f"--part {options.part!r} is not of the form I/N, for example 0/4")
    for name, _ in COUNTS:
        value = getattr(options, name[2:].replace("-", "_"))
        if value is not None and value < 1:
            raise ValueError(f"{name} {value}: give 1 or more")
    if options.timeout is not None and not options.timeout > 0:
        raise ValueError(f"--timeout {options.timeout}: give seconds above 0")
    directives = None
    if options.refuse is not None:
        listed = (directive.strip().lower() for directive in options.refuse.split(","))
        directives = tuple(directive for directive in listed if directive)
    default = Options()
    manners = _changed(
        default.manners,
        connections=options.connections,
        per_host=options.per_host,
        tries=options.tries,
        max_bytes=options.max_bytes,
        total_seconds=options.timeout,
        refused_directives=directives,
        allow_private=options.allow_private,
    )
    return _changed(
        default,
        workers=options.workers,
        rows_per_shard=options.rows_per_shard,
        part=int(part),
        parts=int(parts),
        digest_column=options.hash_column,
        dead_links=options.dead_links,
        near_copies=not options.keep_near_copies,
        manners=manners,
        taste=_changed(default.taste, max_pixels=options.max_pixels, min_side=options.min_side),
    )


def _changed(default: _T, **fields: object) -> _T:
    """A copy with the fields that were given."""
    given = {name: value for name, value in fields.items() if value is not None}
    return dataclasses.replace(default, **given)  # type: ignore[type-var]  # settings are dataclasses
