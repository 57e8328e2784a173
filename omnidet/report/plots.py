"""The report's numbers as JSON files, for `dvc metrics` and `dvc plots`.

Every file but `metrics.json` is a list of flat rows; `dvc.yaml` says which columns are drawn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from omnidet.evaluation.average_precision import RECALLS_R
from omnidet.evaluation.calibration import Calibration
from omnidet.evaluation.name_analysis import NameAnalysis
from omnidet.evaluation.phrase_analysis import PhraseAnalysis
from omnidet.report.page import Section

METRICS_NAME = "metrics.json"
"""Flat numbers. The file also marks the folder as one that may be replaced."""

PlotRow = dict[str, float | str | None]


def files(
    sections: Sequence[Section], training_log: Sequence[Mapping[str, float]]
) -> dict[str, str]:
    """The content of each file, by name; a file without rows holds an empty list."""
    analyses = {
        section.name: section.analysis for section in sections if section.analysis is not None
    }
    values = {
        f"{name}/{key}": round(value, 6)
        for name, a in analyses.items()
        for key, value in a.values().items()
    }
    by_name = {name: a for name, a in analyses.items() if isinstance(a, NameAnalysis)}
    by_phrase = {name: a for name, a in analyses.items() if isinstance(a, PhraseAnalysis)}
    tables: dict[str, list[PlotRow]] = {
        "precision_recall": _columns(
            "recall",
            {
                f"{name} {overlap}": curve
                for name, a in by_name.items()
                for overlap, curve in a.curves.items()
            },
        ),
        "phrase_overlap": _columns("overlap", {name: a.curve for name, a in by_phrase.items()}),
        **{
            f"calibration_{column(name)}": _calibration(a.calibration)
            for name, a in analyses.items()
        },
        "mistakes": [
            {"kind": f"{name} {kind}", "count": count}
            for name, a in analyses.items()
            for kind, count in a.mistakes.items()
        ],
        "categories": [
            {
                "category": f"{name} {c.name}",
                "AP": round(c.average_precision, 6),
                "true_boxes": c.true_boxes,
            }
            for name, a in by_name.items()
            for c in a.categories
        ],
        "training": _training(training_log),
    }
    content = {f"{name}.json": _text(rows) for name, rows in tables.items()}
    return {METRICS_NAME: json.dumps(values, indent=1) + "\n", **content}


def column(name: str) -> str:
    """The name as DVC can use it: dots, slashes and spaces have a meaning there."""
    return name.replace("IoU .", "").replace("/", "_").replace(".", "_").replace(" ", "_")


def _columns(axis: str, curves: Mapping[str, np.ndarray]) -> list[PlotRow]:
    if not curves:
        return []
    rows: list[PlotRow] = []
    for i, x in enumerate(RECALLS_R):
        row: PlotRow = {axis: round(float(x), 4)}
        rows.append(
            row | {column(name): round(float(curve[i]), 6) for name, curve in curves.items()}
        )
    return rows


def _calibration(calibration: Calibration) -> list[PlotRow]:
    """One row for each bin that is not empty.

    Each evaluation has a file of its own, because DVC needs every column in every row.
    """
    bins = zip(calibration.count_B, calibration.score_B, calibration.right_B, strict=True)
    return [
        {"score": round(float(s), 6), "right": round(float(r), 6), "count": int(count)}
        for count, s, r in bins
        if count
    ]


def _training(log: Sequence[Mapping[str, float]]) -> list[PlotRow]:
    """The log with every column in every row.

    DVC draws nothing of a file whose first row lacks a column, and skips null values.
    """
    keys = dict.fromkeys(key for row in log for key in row)
    return [{column(key): _finite(row.get(key)) for key in keys} for row in log]


def _finite(value: object) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _text(rows: Sequence[Mapping[str, object]]) -> str:
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
