"""`omnidet label PICTURES --phrases WORDS --out DATASET`: a first draft of the annotations of
pictures, to be corrected and taught.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet import extras
from omnidet.commands import asking
from omnidet.commands.arguments import Commands, add_command
from omnidet.commands.exit_codes import FAILED
from omnidet.standard_output import json_line

if TYPE_CHECKING:
    from omnidet.predictions.journal import Journal

FORMATS = ("coco", "yolo", "voc", "cvat", "labelme", "label-studio")
"""Those of `predictions.formats.LABELS`, which the parser does not load."""


def add(commands: Commands) -> None:
    """Register the command."""
    text = "draft the annotations of pictures: a dataset to correct, which `finetune` reads"
    parser = add_command(commands, "label", text, run)
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="FOLDER",
        help="folders, pictures, glob patterns, text files with a name a line, http(s):// or "
        "s3:// addresses, videos, or - for standard input",
    )
    asking.add_question(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DATASET",
        help="new folder; the same command goes on where it was stopped",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="yolo",
        help="format of the annotations (default: %(default)s)",
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="take every Nth frame of videos"
    )
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="also fetch from addresses of this machine and its network",
    )


def run(options: argparse.Namespace) -> int:
    """Write the dataset, and say what is in it.

    Raises ValueError or OSError before anything is loaded if an argument is wrong.
    """
    from omnidet.inference import hints, question
    from omnidet.predictions import inputs
    from omnidet.predictions.dataset import check_names
    from omnidet.predictions.journal import Journal

    extras.require("torch", *extras.TORCH)
    asked = asking.asked(options)
    question.checked_count(options.every, "--every", least=1)
    names = [one.name for one in asked.wanted]
    check_names(names, "--phrases-file" if options.phrases_file else "--phrases")
    items, notes = inputs.expand(options.pictures)
    items, passed = inputs.outside(items, options.out)
    facts = {**asking.facts(options, asked), "format": options.format, "every": options.every}
    Journal(options.out, facts, "--out").check(without=asking.OF_MODEL)
    for note in [*notes, *passed]:
        print(f"note: {note}", file=sys.stderr)
    detector, identity = asking.open_detector(options)
    prompt = asking.prompt_of(detector, asked)
    check_names(prompt.labels, "the names to look for")
    with Journal(options.out, {**facts, **identity}, "--out") as journal:
        told = hints.without_meaning(detector.vocabulary, asked.wanted)
        return _labelled(options, journal, detector, prompt, items, told)


def _start(options: argparse.Namespace) -> str:
    """What `finetune` is told to teach the champion of the model that drew the boxes; nothing if
    that is not in a registry."""
    name = str(options.model).partition("@")[0]
    if "/" in name or Path(name, "config.json").is_file():
        return ""
    registry = options.registry
    where = "" if registry == "registry" else f" --registry {shlex.quote(registry)}"
    return f" --from {name}{where}"


def _labelled(
    options: argparse.Namespace,
    journal: Journal,
    detector: Any,
    prompt: Any,
    items: Any,
    told: Collection[str],
) -> int:
    from omnidet.predictions.dataset import DatasetFiles
    from omnidet.predictions.folder import run_into
    from omnidet.predictions.run import Settings
    from omnidet.predictions.tables import dataset_tables

    settings = Settings(
        options.threshold,
        options.max_detections,
        no_overlaps=True,
        batch=options.batch,
        every=options.every,
        allow_private=options.allow_private,
    )
    result = run_into(
        journal,
        detector,
        prompt,
        items,
        settings,
        DatasetFiles(options.out, options.format, prompt.labels),
        dataset_tables(journal, options.format, prompt.labels),
        lambda _: None,
        lambda reason: print(f"omnidet label: {reason}", file=sys.stderr),
        told,
    )
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    print(_said(journal, prompt.labels))
    print(f"correct it, then: omnidet finetune {shlex.quote(str(options.out))}{_start(options)}")
    if not result.failed:
        return 0
    count = result.before + result.pictures + result.failed
    print(f"omnidet label: {result.failed} of {count} could not be read", file=sys.stderr)
    return FAILED


def _said(journal: Journal, names: tuple[str, ...]) -> str:
    """How many pictures and boxes there are, and where a look is worth most."""
    counts: Counter[str] = Counter()
    pictures = 0
    doubtful: list[tuple[float, str]] = []
    for line in journal.lines():
        pictures += 1
        counts.update(entry["label"] for entry in line["detections"])
        least = min((entry["score"] for entry in line["detections"]), default=1.0)
        doubtful = sorted([*doubtful, (least, line["picture"])])[:5]
    width = max(map(len, (*names, "pictures")))
    lines = [f"{'pictures':{width}}  {pictures}"]
    lines += [f"{name:{width}}  {counts[name]}" for name in names]
    unsure = [path for score, path in doubtful if score < 1]
    if unsure:
        lines.append(f"least sure of: {json_line(unsure)}")
    return "\n".join(lines)
