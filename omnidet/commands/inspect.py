"""`omnidet inspect SHARDS [--html OUT]`: look at the data before training on it."""

from __future__ import annotations

import argparse
from typing import Any

TEXT = "what a shard folder holds: counts, label spaces, sizes, words that are missing, what was left out"


def add(commands: Any) -> None:
    """Register the command."""
    command: argparse.ArgumentParser = commands.add_parser("inspect", help=TEXT, description=TEXT)
    command.add_argument("shards", metavar="SHARDS", help="shard folder, local or s3://")
    command.add_argument(
        "--vocabulary",
        help="vocabulary folder: compare its tokens where otherwise words are compared",
    )
    command.add_argument(
        "--html",
        metavar="OUT",
        help="also write an HTML page with sample images, boxes and phrases",
    )
    command.add_argument(
        "--samples", type=int, default=12, help="images of each set on the page (default: 12)"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the survey, and write the page."""
    from omnidet import storage
    from omnidet.data import shards
    from omnidet.data.sharding import survey
    from omnidet.data.vocabulary import Vocabulary
    from omnidet.report import survey as page

    if options.html:
        storage.require_file_target(options.html)
    if options.samples < 1:
        raise ValueError(f"--samples {options.samples} is less than 1")
    index = shards.read_index(options.shards)
    folder = (
        storage.local_copy(options.vocabulary, ".cache/vocabulary") if options.vocabulary else None
    )
    found = survey.survey(index, Vocabulary.load(folder) if folder else None)
    print(survey.describe(found))
    if options.html:
        page.write(options.html, found, index, options.samples)
        print(f"\n{options.html}")
