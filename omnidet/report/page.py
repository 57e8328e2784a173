"""One HTML file that shows a run: numbers, training curves, pictures with true and found boxes.

The file stands alone: no network, no server, no script; pictures are embedded. `page.html.jinja` beside this holds
its look, the functions here and in the neighbouring files turn numbers into what it draws.
"""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    """What one benchmark shows beside its numbers."""

    name: str
    """As `refcocog unseen`."""
    benchmark: str
    """What its numbers are called by, as `refcocog`."""
    analysis: NameAnalysis | PhraseAnalysis | None
    samples: Sequence[Sample] = ()
    """In the order to be shown, by group."""


def write(
    path: str | os.PathLike[str],
    *,
    title: str,
    subtitle: str,
    metrics: Mapping[str, float],
    protocols: Mapping[str, str],
    training_log: Sequence[Mapping[str, float]],
    sections: Sequence[Section],
    facts: Mapping[str, str],
    details: Mapping[str, Any] | None = None,
    drawn: bool = False,
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
        sections: benchmarks taken apart, with their galleries, in the order to be shown.
        facts: recipe, data version, git commit, duration and the like, in the order to be shown.
        details: of each benchmark: `intervals` of its numbers, and `counts` that tell whether numbers of others compare.
        drawn: whether the images are synthetic, so that no number of others is comparable.
        before: the same numbers of the detector that this one may replace: shown side by side, with the difference.
        zero_shot: the numbers that were reached before anything of these categories was trained on, by the same names.
        tables: further tables, for data and provenance.
    """
    template = (
        importlib.resources.files("omnidet.report")
        .joinpath("page.html.jinja")
        .read_text(encoding="utf-8")
    )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    content = environment.from_string(template).render(
        title=title,
        subtitle=subtitle,
        benchmarks=_benchmarks(metrics, protocols, details or {}),
        comparison=comparison.rows(metrics, before, zero_shot),
        charts=charts.training(training_log),
        sections=_sections(sections, metrics),
        facts=facts,
        tables=tables,
        published=published.beside(metrics, details or {}, drawn),
        size=(charts.WIDTH, charts.HEIGHT),
        plot={
            "left": charts.LEFT,
            "right": charts.RIGHT,
            "top": charts.TOP,
            "bottom": charts.BOTTOM,
        },
    )
    storage.write_text(path, content)


def _sections(sections: Sequence[Section], metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """What the template draws of each: its panels and galleries."""
    samples = [sample for section in sections for sample in section.samples]
    colour = pictures.colours(samples)
    encoded = iter(pictures.encode([sample.image for sample in samples]))
    drawn = []
    for section in sections:
        own = {
            k.rpartition("/")[2]: v
            for k, v in metrics.items()
            if k.rpartition("/")[0] == section.benchmark
        }
        result = section.analysis
        shown = (
            panels.of_names(result, own)
            if isinstance(result, NameAnalysis)
            else panels.of_phrases(result)
            if result
            else None
        )
        images = [next(encoded) for _ in section.samples]
        galleries = pictures.galleries(section.samples, images, colour)
        drawn.append({"name": section.name, "panels": shown, "galleries": galleries})
    return drawn


def _benchmarks(
    metrics: Mapping[str, float], protocols: Mapping[str, str], details: Mapping[str, Any]
) -> list[dict[str, object]]:
    """The numbers of each benchmark: rows of name, text, share (None where it is none) and interval, and those shown large."""
    groups: dict[str, list[tuple[str, str, float | None, str]]] = {}
    for key, value in metrics.items():
        benchmark, _, name = key.rpartition("/")
        share = value if 0 <= value <= 1 else None
        groups.setdefault(benchmark, []).append(
            (name, charts.number(value), share, _interval(benchmark, name, details))
        )
    return [
        {
            "name": name or "numbers",
            "protocol": protocols.get(name, ""),
            "rows": rows,
            "headlines": [row for row in rows if row[0] in SHOWN_LARGE] or rows[:1],
        }
        for name, rows in groups.items()
    ]


def _interval(benchmark: str, name: str, details: Mapping[str, Any]) -> str:
    """`.51 to .57`, or nothing where the evaluation gives none."""
    base, _, suffix = name.rpartition("_")
    for key, metric in (
        (benchmark, name),
        (f"{benchmark}_{suffix}", base),
    ):  # a set of its own: AIGT_unseen
        found = details.get(key, {}).get("intervals", {}).get(metric)
        if found:
            return " to ".join(charts.number(limit) for limit in found)
    return ""
