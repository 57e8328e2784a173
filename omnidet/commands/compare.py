"""`omnidet compare A B`: two evaluations side by side, and whether the second is good enough."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omnidet.commands.arguments import Commands, add_command
from omnidet.commands.exit_codes import NOT_PASSED

if TYPE_CHECKING:
    from omnidet.evaluation.differences import Comparison, MetricChange


def add(commands: Commands) -> None:
    """Register the command."""
    text = "two evaluations side by side, with intervals; "
    text += f"exit code {NOT_PASSED} if a limit is not met"
    command = add_command(commands, "compare", text, run)
    command.add_argument(
        "before", metavar="A", help="folder that `omnidet evaluate --out` wrote, local or s3://"
    )
    command.add_argument("after", metavar="B", help="folder of the evaluation to compare with it")
    command.add_argument(
        "--max-drop",
        type=_share,
        metavar="X",
        help="no compared metric may fall by more than X, for example 0.01",
    )
    command.add_argument(
        "--min-gain", type=_share, metavar="X", help="each compared metric must rise by X or more"
    )
    command.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="metric the limits apply to, for example coco/AP; repeatable (default: headlines)",
    )
    command.add_argument(
        "--categories",
        type=int,
        default=5,
        metavar="N",
        help="how many of the categories that lost or gained most to show (default: %(default)s)",
    )
    command.add_argument(
        "--json", metavar="OUT", help="JSON file to write: every row, note and reason"
    )


def run(options: argparse.Namespace) -> int:
    """Compare and print.

    Raises FileNotFoundError or ValueError for a folder that is not an evaluation.
    """
    from omnidet import storage
    from omnidet.evaluation import differences, stored
    from omnidet.evaluation.metric_names import HEADLINES, is_headline

    if options.json:
        storage.require_file_target(
            options.json,
            *(storage.join(f, storage.INDEX_NAME) for f in (options.before, options.after)),
        )
    before, after = stored.read(options.before), stored.read(options.after)
    unknown = [
        name
        for name in options.metric or ()
        if name not in before.values and name not in after.values
    ]
    if unknown:
        raise ValueError(
            f"--metric {unknown[0]}: neither evaluation has it; "
            f"they have {', '.join(before.values)}"
        )
    comparison = differences.compare(
        before, after, _version(options.before) == _version(options.after) != ""
    )
    headlines = [name for name in before.values if is_headline(name)]
    compared = options.metric or headlines
    limited = options.max_drop is not None or options.min_gain is not None
    if limited and not compared:
        raise ValueError(
            f"{options.before} has no headline ({', '.join(HEADLINES)}): "
            "name what to compare with --metric"
        )
    reasons = differences.violations(comparison, compared, options.max_drop, options.min_gain)
    if options.json:
        content = comparison.describe() | {
            "compared": compared,
            "passed": not reasons,
            "reasons": reasons,
        }
        storage.write_text(options.json, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    print(_text(comparison, max(options.categories, 0)))
    for reason in reasons:
        print(f"not met: {reason}")
    return NOT_PASSED if reasons else 0


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 up")
    return value


def _version(folder: str) -> str:
    from omnidet import storage

    content = json.loads(storage.read_text(storage.join(folder, storage.INDEX_NAME)))
    return str(content.get("dataset_version", ""))


def _text(comparison: Comparison, num_categories: int) -> str:
    lines = _table(comparison.rows)
    for benchmark, rows in comparison.categories.items():
        shown = (
            rows
            if len(rows) <= 2 * num_categories
            else (*rows[:num_categories], *rows[len(rows) - num_categories :])
        )
        if shown and num_categories:
            lines += [
                "",
                f"{benchmark}, AP of {len(shown)} of {len(rows)} categories, largest loss first",
                *_table(shown),
            ]
    lines += [f"note: {note}" for note in comparison.notes]
    return "\n".join(lines)


def _table(rows: Sequence[MetricChange]) -> list[str]:
    width = max((len(row.metric) for row in rows), default=0)
    lines = [f"{'':{width}}  {'before':24} {'after':24} difference"]
    for row in rows:
        cells = (_cell(row.before, row.before_interval), _cell(row.after, row.after_interval))
        apart = _cell(row.difference, row.difference_interval, "+")
        lines.append(
            f"{row.metric:{width}}  {cells[0]:24} {cells[1]:24} {apart:26} {row.verdict}".rstrip()
        )
    return lines


def _cell(value: float | None, interval: list[float] | None, sign: str = "") -> str:
    if value is None:
        return "none"
    return f"{value:{sign}.4f}" + (
        f" ({interval[0]:{sign}.3f} to {interval[1]:{sign}.3f})" if interval else ""
    )
