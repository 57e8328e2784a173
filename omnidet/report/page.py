"""One HTML file that shows a run: numbers, training curves, pictures with true and found boxes.

The file stands alone: no network, no server, no script; pictures are embedded. `page.html.jinja` beside this holds
its look, the functions here and in the neighbouring files turn numbers into what it draws.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jinja2

from omnidet import storage
from omnidet.report import charts, comparison, pictures
from omnidet.report.pictures import Sample

HEADLINES = ("AP", "AP50", "APr", "AIGT", "R@1")
"""The numbers of a benchmark that are shown large; without any of them, its first."""


@dataclass(frozen=True)
class Table:
    """A table of the report; numbers come as texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r} has a row of {len(row)} cells for {len(self.columns)} columns: {row}")


def write(
    path: str | os.PathLike[str],
    *,
    title: str,
    subtitle: str,
    metrics: Mapping[str, float],
    protocols: Mapping[str, str],
    training_log: Sequence[Mapping[str, float]],
    samples: Sequence[Sample],
    facts: Mapping[str, str],
    published: bool = False,
    before: Mapping[str, float] | None = None,
    zero_shot: Mapping[str, float] | None = None,
    tables: Sequence[Table] = (),
) -> None:
    """Write the report.

    Args:
        path: where, local or `s3://`.
        title: what was trained.
        subtitle: one sentence below it.
        metrics: flat names such as `coco/AP50`; shares from 0 to 1, other numbers as they are.
        protocols: benchmark -> how its numbers were made, printed beside them.
        training_log: rows of `step`, `loss`, terms of the streams such as `det/names`, `learning_rate` and the like.
        samples: the gallery, in the order to be shown.
        facts: recipe, data version, git commit, duration and the like, in the order to be shown.
        published: whether to show what other detectors are said to reach; only fair beside the full data sets.
        before: the same numbers of the detector that this one may replace: shown side by side, with the difference.
        zero_shot: the numbers that were reached before anything of these categories was trained on, by the same names.
        tables: further tables, for data and provenance.
    """
    template = importlib.resources.files("omnidet.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    content = environment.from_string(template).render(
        title=title,
        subtitle=subtitle,
        benchmarks=_benchmarks(metrics, protocols),
        comparison=comparison.rows(metrics, before, zero_shot),
        charts=charts.training(training_log),
        galleries=pictures.figures(samples),
        facts=facts,
        tables=tables,
        published=published,
        size=(charts.WIDTH, charts.HEIGHT),
        plot={"left": charts.LEFT, "right": charts.RIGHT, "top": charts.TOP, "bottom": charts.BOTTOM},
    )
    storage.write_text(path, content)


def _benchmarks(metrics: Mapping[str, float], protocols: Mapping[str, str]) -> list[dict[str, object]]:
    """The numbers of each benchmark: rows of name, text and share (None where it is none), and those shown large."""
    groups: dict[str, list[tuple[str, str, float | None]]] = {}
    for key, value in metrics.items():
        benchmark, _, name = key.rpartition("/")
        share = value if 0 <= value <= 1 else None
        groups.setdefault(benchmark, []).append((name, charts.number(value), share))
    return [
        {
            "name": name or "numbers",
            "protocol": protocols.get(name, ""),
            "rows": rows,
            "headlines": [row for row in rows if row[0] in HEADLINES] or rows[:1],
        }
        for name, rows in groups.items()
    ]
