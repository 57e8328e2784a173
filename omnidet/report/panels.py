"""An analysis -> the panels of its section: charts, and tables with bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omnidet.evaluation.average_precision import RECALLS_R
from omnidet.evaluation.name_analysis import FREQUENCIES, Category, NameAnalysis
from omnidet.evaluation.phrase_analysis import IOUS_R, PhraseAnalysis
from omnidet.report import charts
from omnidet.report.charts import number

NUM_CATEGORIES = 6
"""How many of the best and of the worst categories are shown without unfolding all."""
MEANING = {
    "localisation": "right name, poor box: IoU .1 to .5",
    "confusion": "right box, wrong name",
    "duplicate": "a better detection already has the box",
    "background": "nothing is annotated there: IoU up to .1",
    "both": "wrong name and poor box",
}
PHRASE_MEANING = {
    "localisation": "the right object, but a poor box: IoU .1 to .5",
    "confusion": "another annotated object of the image",
    "elsewhere": "something else, or nothing",
}
SIZE_LETTERS = {"small": "s", "medium": "m", "large": "l"}


def of_names(analysis: NameAnalysis, metrics: Mapping[str, float]) -> dict[str, Any]:
    """The panels of boxes by class name.

    Args:
        metrics: the benchmark's own numbers, such as `APs`.
    """
    return {
        "charts": [
            charts.shares(
                "Precision at each recall",
                "The number after each name is the mean: AP at that IoU.",
                {name: (RECALLS_R, curve) for name, curve in analysis.curves.items()},
                "recall",
                "precision, mean over names",
            ),
            charts.reliability(analysis.calibration),
        ],
        "bars": [
            bars
            for bars in (_by_size(analysis, metrics), _by_frequency(analysis), _mistakes(analysis))
            if bars["rows"]
        ],
        "categories": _categories(analysis.categories),
        "confusions": [(found, true, f"{count:,}") for found, true, count in analysis.confusions],
    }


def of_phrases(analysis: PhraseAnalysis) -> dict[str, Any]:
    """The panels of the best box for each phrase."""
    num_phrases = max(len(analysis.iou_P), 1)
    wrong = [
        (kind, PHRASE_MEANING[kind], count / num_phrases, f"{count:,}")
        for kind, count in analysis.mistakes.items()
        if count
    ]
    groups = [
        (name, f"{count:,} phrases", share, number(share))
        for name, (share, count) in analysis.groups.items()
    ]
    return {
        "charts": [
            charts.shares(
                "How well the best box fits",
                "A phrase counts as found at an IoU of .5 or more.",
                {"mean IoU": (IOUS_R, analysis.curve)},
                "IoU of at least",
                "share of phrases",
            ),
            charts.reliability(analysis.calibration),
        ],
        "bars": [
            _bars("Found, by kind of phrase", "Share of phrases whose best box is right.", groups),
            _bars("Why the best box is wrong", f"Of {len(analysis.iou_P):,} phrases.", wrong),
        ],
        "categories": None,
        "confusions": [],
    }


def _bars(title: str, note: str, rows: Sequence[tuple[str, str, float, str]]) -> dict[str, Any]:
    """Rows of name, explanation, share and text."""
    return {"title": title, "note": note, "rows": rows}


def _by_size(analysis: NameAnalysis, metrics: Mapping[str, float]) -> dict[str, Any]:
    rows = []
    for size, letter in SIZE_LETTERS.items():
        count, value = analysis.sizes[size], metrics.get(f"AP{letter}")
        if value is not None and count:
            rows.append((size, f"{count:,} true boxes", value, number(value)))
    return _bars("By size", "AP of boxes under 32 × 32 pixels, up to 96 × 96, and larger.", rows)


def _by_frequency(analysis: NameAnalysis) -> dict[str, Any]:
    rows = []
    for frequency in FREQUENCIES.values():
        values = [c.average_precision for c in analysis.categories if c.frequency == frequency]
        if values:
            mean = float(np.mean(values))
            rows.append((frequency, f"{len(values):,} names", mean, number(mean)))
    return _bars(
        "By frequency in training",
        "AP of names with up to 10 training images, up to 100, and more.",
        rows,
    )


def _mistakes(analysis: NameAnalysis) -> dict[str, Any]:
    total = sum(o.right + o.wrong for o in analysis.outcomes.values())
    true_boxes = sum(o.right + o.missed for o in analysis.outcomes.values())
    rows = [
        (
            kind,
            f"{MEANING[kind]}; if corrected, AP50 {_gain(analysis.gains[kind])}",
            count / max(total, 1),
            f"{count:,}",
        )
        for kind, count in analysis.mistakes.items()
    ]
    gain = _gain(analysis.gains["missed"])
    meaning = f"true boxes not found; without those that nothing came near, AP50 {gain}"
    rows.append(("missed", meaning, analysis.missed / max(true_boxes, 1), f"{analysis.missed:,}"))
    note = (
        f"Of {total:,} detections with a score of at least {number(analysis.threshold)}, at which "
        f"F1 is best: precision {number(analysis.precision)}, recall {number(analysis.recall)} of "
        f"{true_boxes:,} true boxes. Kinds of mistakes as in TIDE (Bolya et al., ECCV 2020), at an "
        "IoU of .5. The gain in AP50 is for correcting all mistakes of the kind, of any score. "
        f"In {analysis.doubles:.1%} of the images two of these detections frame the same thing: "
        "one name, IoU above .7."
    )
    return _bars("What goes wrong", note, rows)


def _gain(value: float) -> str:
    return f"+{value:.3f}".replace("+0.", "+.")


def _categories(categories: Sequence[Category]) -> dict[str, Any] | None:
    """The best and the worst names, and all of them if there are more."""
    if len(categories) < 2:
        return None
    rows = [
        (
            c.name,
            f"{c.true_boxes:,} true boxes{', ' + c.frequency if c.frequency else ''}",
            c.average_precision,
            number(c.average_precision),
        )
        for c in categories
    ]
    half = min(NUM_CATEGORIES, len(rows) // 2)
    return {
        "best": rows[:half],
        "worst": rows[: -half - 1 : -1],
        "all": rows if len(rows) > 2 * half else [],
    }
