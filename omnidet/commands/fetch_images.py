"""`omnidet fetch-images LIST --out FOLDER`: the pictures of LAION's and CC12M's lists as WebDataset
tars.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

TEXT = (
    "lists of addresses and captions (parquet, tsv, csv) -> WebDataset tars that the laion and "
    "cc12m readers take"
)

LISTS_CACHE = ".cache/lists"


def add(commands: Any) -> None:
    """Register the command."""
    command: argparse.ArgumentParser = commands.add_parser(
        "fetch-images", help=TEXT, description=TEXT
    )
    command.add_argument(
        "lists", metavar="LIST", help="a list, or a folder of lists, local or s3://"
    )
    command.add_argument(
        "--out", required=True, help="local folder to write; the same command goes on after a break"
    )
    command.add_argument("--workers", type=int, help="processes (default: one a core)")
    command.add_argument(
        "--rows-per-shard", type=int, help="rows of the list that make a tar (default: 5000)"
    )
    command.add_argument(
        "--part",
        default="0/1",
        metavar="I/N",
        help="the I-th of N shares, from 0, for several machines",
    )
    command.add_argument(
        "--hash-column",
        default="",
        help="column with MD5, SHA-1 or SHA-256 of each picture: others are refused",
    )
    command.add_argument(
        "--keep-near-copies",
        action="store_true",
        help="keep pictures that look like an earlier one",
    )
    command.add_argument("--connections", type=int, help="at once in a process (default: 64)")
    command.add_argument(
        "--per-host", type=int, help="at once to one host, in a process (default: 4)"
    )
    command.add_argument(
        "--timeout", type=float, help="seconds for a picture as a whole (default: 40)"
    )
    command.add_argument("--tries", type=int, help="for what may pass (default: 3)")
    command.add_argument("--max-bytes", type=int, help="of a picture (default: 20000000)")
    command.add_argument("--max-pixels", type=int, help="of a picture (default: 50000000)")
    command.add_argument("--min-side", type=int, help="in pixels (default: 16)")
    command.add_argument(
        "--refuse", metavar="DIRECTIVES", help="of X-Robots-Tag (default: noai,noimageai)"
    )
    command.add_argument(
        "--dead-links",
        action="store_true",
        help="go on where not one host of a shard can be reached",
    )
    command.add_argument(
        "--allow-private", action="store_true", help="fetch from the own machine and network too"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Fetch, and print what became of the rows."""
    from tqdm import tqdm

    from omnidet import storage
    from omnidet.data.web_images import fetch, report

    if storage.is_s3(options.out):
        raise ValueError(
            f"--out {options.out}: pictures are fetched into a local folder; `omnidet shards` "
            "writes to s3:// from it"
        )
    lists = (
        storage.local_copy(options.lists, LISTS_CACHE)
        if storage.is_s3(options.lists)
        else Path(options.lists)
    )
    how = _options(options)
    watched = sys.stderr.isatty()
    with tqdm(
        desc="rows", unit="row", unit_scale=True, mininterval=1 if watched else 30, delay=1
    ) as bar:

        def show(count: int) -> None:
            bar.update(count)

        counts = fetch.fetch_images(lists, Path(options.out), how, show)
    print(report.describe(counts))


def _options(options: argparse.Namespace) -> Any:
    from omnidet.data.web_images.settings import Options

    part, _, parts = options.part.partition("/")
    if not part.isdecimal() or not parts.isdecimal():
        raise ValueError(f"--part {options.part!r} is not of the form I/N, as 0/4")
    limits = {
        name: getattr(options, name) for name in ("connections", "per_host", "tries", "max_bytes")
    }
    more = {
        name: getattr(options, name)
        for name in ("workers", "rows_per_shard", "max_pixels", "min_side")
    }
    if options.timeout is not None and not options.timeout > 0:
        raise ValueError(f"--timeout {options.timeout} is not more than 0")
    low = next(
        (name for name, value in {**limits, **more}.items() if value is not None and value < 1),
        None,
    )
    if low:
        raise ValueError(f"--{low.replace('_', '-')} {getattr(options, low)} is less than 1")
    default = Options()
    directives = (
        None
        if options.refuse is None
        else tuple(d.strip().lower() for d in options.refuse.split(",") if d.strip())
    )
    manners = _changed(
        default.manners,
        **limits,
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


def _changed(default: Any, **fields: Any) -> Any:
    """A copy with the fields that were given."""
    return dataclasses.replace(
        default, **{name: value for name, value in fields.items() if value is not None}
    )
