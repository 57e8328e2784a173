"""One HTML file that shows a run: numbers, training curves, pictures with true and found boxes.

The file is self-contained: no network, no server, no script; pictures are embedded. Its look is in
`page.html.jinja`; the functions here and in the neighbouring files turn numbers into what that
draws.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

from omnidet import storage
from omnidet.evaluation.metric_names import SHOWN_LARGE
from omnidet.evaluation.name_analysis import NameAnalysis
from omnidet.evaluation.phrase_analysis import PhraseAnalysis
from omnidet.report import charts, comparison, panels, pictures, published
from omnidet.report.pictures import Sample
from omnidet.report.tables import Table


@dataclass(frozen=True, eq=False)
class Section:
    """What the report shows of one benchmark besides its numbers."""

    name: str
    """Such as `refcocog unseen`."""
    benchmark: str
    """What the names of its metrics begin with, such as `refcocog`."""
    analysis: NameAnalysis | PhraseAnalysis | None
    samples: Sequence[Sample] = ()
    """In the order in which they are shown, by group."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """Everything that the page shows."""

    title: str
    """What was trained."""
    subtitle: str
    """One sentence below the title."""
    metrics: Mapping[str, float]
    """By names such as `coco/AP50`; those from 0 to 1 are shown as shares."""
    protocols: Mapping[str, str]
    """Benchmark -> how its numbers were made."""
    training_log: Sequence[Mapping[str, float]]
    """Rows of `step`, `loss`, `learning_rate`, loss terms of streams such as `det/names`, and so
    on."""
    sections: Sequence[Section]
    """One for each benchmark, in the order in which they are shown."""
    facts: Mapping[str, str]
    """Recipe, data version, git commit, duration and so on, in the order they are shown."""
    tables: Sequence[Table] = ()
    """Further tables on data and provenance."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """For each benchmark: `intervals` of its metrics and `counts`, which tell whether published
    numbers are comparable."""
    drawn: bool = False
    """Whether the images are synthetic, so that no published number is comparable."""
    before: Mapping[str, float] | None = None
    """Metrics of the detector that this one may replace."""
    zero_shot: Mapping[str, float] | None = None
    """Metrics before anything of the new categories was trained on."""
    scores_note: str = ""
    """What the scores of the training log were measured on, where that is a sample."""
    first: str = ""
    """The benchmark that the report begins with: its numbers, its pictures."""
    first_table: Table | None = None
    """The data of that benchmark in numbers."""


def write(path: str | os.PathLike[str], report: Report) -> None:
    """Write the page to a local path or `s3://`."""
    template = (
        importlib.resources.files("omnidet.report")
        .joinpath("page.html.jinja")
        .read_text(encoding="utf-8")
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    report = _in_order(report)
    drawn = _sections(report.sections, report.metrics)
    content = environment.from_string(template).render(
        title=report.title,
        subtitle=report.subtitle,
        benchmarks=_benchmarks(report),
        opening=_opening(drawn, report),
        scores=charts.scores(report.training_log, report.scores_note),
        comparison=comparison.rows(report.metrics, report.before, report.zero_shot),
        charts=charts.training(report.training_log),
        sections=drawn,
        facts=report.facts,
        tables=report.tables,
        published=published.rows(report.metrics, report.details, report.drawn),
        size=(charts.WIDTH, charts.HEIGHT),
        plot={
            "left": charts.LEFT,
            "right": charts.RIGHT,
            "top": charts.TOP,
            "bottom": charts.BOTTOM,
        },
    )
    storage.write_text(path, content)


def _in_order(report: Report) -> Report:
    """The report with the numbers and the section of its first benchmark before the others."""
    own = f"{report.first}/"
    metrics = sorted(report.metrics.items(), key=lambda item: not item[0].startswith(own))
    sections = sorted(report.sections, key=lambda section: section.benchmark != report.first)
    return dataclasses.replace(report, metrics=dict(metrics), sections=sections)


def _opening(drawn: list[dict[str, Any]], report: Report) -> dict[str, Any] | None:
    """The pictures of the first benchmark, taken out of its section; None without one."""
    if not report.first or not drawn or report.sections[0].benchmark != report.first:
        return None
    galleries, drawn[0]["galleries"] = drawn[0]["galleries"], []
    return {"name": report.first, "galleries": galleries, "table": report.first_table}


def _sections(sections: Sequence[Section], metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """What the template draws for each section: its panels and galleries."""
    samples = [sample for section in sections for sample in section.samples]
    colour = pictures.colours(samples)
    encoded = iter(pictures.encode([sample.image for sample in samples]))
    drawn = []
    for section in sections:
        images = [next(encoded) for _ in section.samples]
        galleries = pictures.galleries(section.samples, images, colour)
        shown = _panels(section, metrics)
        drawn.append({"name": section.name, "panels": shown, "galleries": galleries})
    return drawn


def _panels(section: Section, metrics: Mapping[str, float]) -> dict[str, Any] | None:
    if section.analysis is None:
        return None
    if isinstance(section.analysis, PhraseAnalysis):
        return panels.of_phrases(section.analysis)
    parts = ((name.rpartition("/"), value) for name, value in metrics.items())
    own = {metric: value for (name, _, metric), value in parts if name == section.benchmark}
    return panels.of_names(section.analysis, own)


def _benchmarks(report: Report) -> list[dict[str, object]]:
    """The numbers of each benchmark as rows, and those that are shown large.

    A row is name, text, share (None if the number is not from 0 to 1) and interval.
    """
    groups: dict[str, list[tuple[str, str, float | None, str]]] = {}
    for key, value in report.metrics.items():
        benchmark, _, name = key.rpartition("/")
        share = value if 0 <= value <= 1 else None
        row = (name, charts.number(value), share, _interval(benchmark, name, report.details))
        groups.setdefault(benchmark, []).append(row)
    return [
        {
            "name": name or "numbers",
            "protocol": report.protocols.get(name, ""),
            "rows": rows,
            "headlines": [row for row in rows if row[0] in SHOWN_LARGE] or rows[:1],
        }
        for name, rows in groups.items()
    ]


def _interval(benchmark: str, name: str, details: Mapping[str, Any]) -> str:
    """Such as `.51 to .57`; empty if the evaluation has no interval."""
    base, _, suffix = name.rpartition("_")
    # AIGT_unseen is AIGT of a set of its own.
    for key, metric in ((benchmark, name), (f"{benchmark}_{suffix}", base)):
        found = details.get(key, {}).get("intervals", {}).get(metric)
        if found:
            return " to ".join(charts.number(limit) for limit in found)
    return ""
