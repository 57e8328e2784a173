"""The report's numbers as JSON files, for `dvc metrics` and `dvc plots`.

Every file but `metrics.json` is a list of flat rows; `dvc.yaml` says which columns are drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from omnidet.evaluation.analysis import BINS, NamesAnalysis, PhraseAnalysis
from omnidet.evaluation.mistakes import RECALLS
from omnidet.report.page import Section

METRICS_NAME = "metrics.json"
"""Flat numbers; also what marks the folder as written by this."""

Row = dict[str, float | str]
Rows = list[Row]


def files(sections: Sequence[Section], training_log: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Content of each file by its name; a file without rows has an empty list."""
    analyses = {section.name: section.analysis for section in sections if section.analysis is not None}
    values = {f"{name}/{key}": round(value, 6) for name, a in analyses.items() for key, value in a.values().items()}
    by_name = {name: a for name, a in analyses.items() if isinstance(a, NamesAnalysis)}
    by_phrase = {name: a for name, a in analyses.items() if isinstance(a, PhraseAnalysis)}
    tables: dict[str, Rows] = {
        "precision_recall": _columns(
            "recall", {f"{name} {overlap}": curve for name, a in by_name.items() for overlap, curve in a.curves.items()}
        ),
        "phrase_overlap": _columns("overlap", {name: a.curve for name, a in by_phrase.items()}),
        "calibration": _calibration(analyses),
        "mistakes": [
            {"kind": f"{name} {kind}", "count": count} for name, a in analyses.items() for kind, count in a.mistakes.items()
        ],
        "categories": [
            {"category": f"{name} {c.name}", "AP": round(c.average_precision, 6), "true_boxes": c.true_boxes}
            for name, a in by_name.items()
            for c in a.categories
        ],
        "training": [{column(key): value for key, value in row.items()} for row in training_log],
    }
    content = {f"{name}.json": _text(rows) for name, rows in tables.items()}
    return {METRICS_NAME: json.dumps(values, indent=1) + "\n", **content}


def column(name: str) -> str:
    """A name that a plot can use: dots and slashes mean something else there."""
    return name.replace("IoU .", "").replace("/", "_").replace(".", "_").replace(" ", "_")


def _columns(axis: str, curves: Mapping[str, np.ndarray]) -> Rows:
    if not curves:
        return []
    rows: Rows = []
    for i, x in enumerate(RECALLS):
        row: Row = {axis: round(float(x), 4)}
        rows.append(row | {column(name): round(float(curve[i]), 6) for name, curve in curves.items()})
    return rows


def _calibration(analyses: Mapping[str, NamesAnalysis | PhraseAnalysis]) -> Rows:
    """One row for each bin, with the share that is right of each evaluation that has scores there, and what is ideal."""
    edges = np.linspace(0, 1, BINS + 1)
    rows: Rows = []
    for b, middle in enumerate((edges[:-1] + edges[1:]) / 2):
        row: Row = {"score": round(float(middle), 4), "ideal": round(float(middle), 4)}
        there = {name: a.calibration for name, a in analyses.items() if a.calibration.count_B[b]}
        rows.append(row | {column(name): round(float(c.right_B[b]), 6) for name, c in there.items()})
    return rows


def _text(rows: Sequence[Mapping[str, object]]) -> str:
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
