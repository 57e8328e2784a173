"""`omnidet inspect SHARDS [--html OUT]`: look at the data before training on it."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from omnidet.commands.arguments import Commands, add_command

_SHOWN = 24
"""Pictures of each set on the page of `finetune --dry-run`."""


def add(commands: Commands) -> None:
    """Register the command."""
    text = (
        "what a shard folder holds: counts, label spaces, sizes, missing words, what was left out"
    )
    command = add_command(commands, "inspect", text, run)
    command.add_argument("shards", metavar="SHARDS", help="shard folder, local or s3://")
    command.add_argument(
        "--vocabulary",
        help="vocabulary folder: compare by its tokens; words are compared without it",
    )
    command.add_argument(
        "--html",
        metavar="OUT",
        help="also write an HTML page with sample images, boxes and phrases",
    )
    command.add_argument(
        "--samples",
        type=int,
        default=12,
        help="images of each set on the page (default: %(default)s)",
    )


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
        raise ValueError(f"--samples {options.samples}: give 1 or more")
    place = storage.join(options.shards, storage.INDEX_NAME)
    if not storage.exists(place):
        raise FileNotFoundError(
            f"{place} does not exist, so this is not a shard folder: give one, or look at "
            f"annotated pictures with omnidet finetune {shlex.quote(options.shards)} --dry-run"
        )
    index = shards.read_index(options.shards)
    folder = (
        storage.local_copy(options.vocabulary, ".cache/vocabulary") if options.vocabulary else None
    )
    found = survey.survey(index, Vocabulary.load(folder) if folder else None)
    print(survey.describe(found))
    if options.html:
        page.write(options.html, found, index, options.samples)
        print(f"\n{options.html}")


def show(folder: str, shards_location: str, dataset: str, page_file: str) -> None:
    """Write the page of a folder that is about to be taught, and say where it is.

    Args:
        folder: as it was given.
        dataset: what the shards were made of; it has the names of people's own files.
    """
    from omnidet.data import shards
    from omnidet.data.annotated import write
    from omnidet.data.sharding import survey
    from omnidet.report import survey as page

    index = shards.read_index(shards_location)
    own = write.source_files(dataset)
    page.write(page_file, survey.survey(index, None), index, _SHOWN, files=own, title=folder)
    print(f"pictures    {Path(page_file).resolve()}\nnothing was trained: leave out --dry-run")
