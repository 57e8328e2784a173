"""Numbers -> the lines, ticks and labels of the report's charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from omnidet.evaluation.calibration import Calibration

_Values = npt.NDArray[np.float64]

NUM_LINE_COLOURS = 6
WIDTH, HEIGHT = 400, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 390, 10, 182
"""The part of a chart that lines are drawn in."""
MAX_POINTS = 400
"""Points of a drawn line: more than there are pixels to show them."""


def training(log: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Charts: the loss, each loss term with all its streams, and each other number."""
    rows = [
        {key: float(value) for key, value in row.items() if isinstance(value, int | float)}
        for row in log
    ]
    keys = [
        key
        for key in dict.fromkeys(key for row in rows for key in row)
        if key != "step" and not is_score(key)
    ]
    terms = dict.fromkeys(key.split("/", 1)[1] for key in keys if "/" in key)
    streams = list(dict.fromkeys(key.split("/", 1)[0] for key in keys if "/" in key))
    groups: dict[str, dict[str, str]] = {"loss": {"all streams": "loss"}} if "loss" in keys else {}
    for term in terms:
        groups[f"loss: {term}"] = {
            stream: f"{stream}/{term}" for stream in streams if f"{stream}/{term}" in keys
        }
    for key in keys:
        if "/" not in key and key != "loss":
            groups[key.replace("_", " ")] = {"": key}
    charts = (_chart(title, lines, rows, streams) for title, lines in groups.items())
    return [chart for chart in charts if chart is not None]


def scores(log: Sequence[Mapping[str, object]], note: str = "") -> list[dict[str, object]]:
    """Charts of what was measured as training went: one of all numbers, one by benchmark.

    Args:
        note: what they were measured on, where that is not everything.
    """
    rows = [
        {key: float(value) for key, value in row.items() if isinstance(value, int | float)}
        for row in log
        if any(map(is_score, row))
    ]
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if is_score(key)]
    title = "AP on evaluation pictures, as training went"
    whole = {key: key for key in keys if " " not in key}
    each = {key.partition(" ")[2]: key for key in keys if " " in key}
    charts = (
        _chart(name, lines, rows, list(lines))
        for name, lines in ((title, whole), (f"{title}: by benchmark", each))
    )
    return [{**chart, "note": note} for chart in charts if chart is not None]


def is_score(key: str) -> bool:
    """Whether a number of the training log was measured on evaluation pictures: `AP`, `AP50`, or
    `AP NAME`.
    """
    return key in ("AP", "AP50") or key.startswith("AP ")


def _chart(
    title: str, lines: Mapping[str, str], rows: Sequence[Mapping[str, float]], streams: list[str]
) -> dict[str, object] | None:
    """None if no row has a finite number to draw."""
    series: dict[str, tuple[_Values, _Values, _Values]] = {}
    for name, key in lines.items():
        points = [
            (row.get("step", i), row[key])
            for i, row in enumerate(rows)
            if math.isfinite(row.get(key, math.nan))
        ]
        if points:
            steps, values = np.array(points, np.float64).T
            series[name] = (steps, values, _smooth(values))
    if not series:
        return None
    # Without this, a few extreme steps would flatten the rest of the curve.
    shown = np.concatenate(
        [
            np.percentile(v, [1, 98])
            for _, values, smooth in series.values()
            for v in (values, smooth)
        ]
    )
    logarithmic = (
        title != "learning rate" and bool(shown.min() > 0) and bool(shown.max() > 100 * shown.min())
    )
    y_ticks = _powers(shown) if logarithmic else ticks(float(shown.min()), float(shown.max()))
    all_steps = np.concatenate([steps for steps, _, _ in series.values()])
    x_low, x_high = float(all_steps.min()), float(max(all_steps.max(), all_steps.min() + 1))
    place_x = _scale(x_low, x_high, LEFT, RIGHT, logarithmic=False)
    place_y = _scale(y_ticks[0], y_ticks[-1], BOTTOM, TOP, logarithmic=logarithmic)
    drawn = [
        {
            "name": name,
            "colour": streams.index(name) % NUM_LINE_COLOURS if name in streams else 0,
            "raw": _points(place_x(steps), place_y(values)),
            "smooth": _points(place_x(steps), place_y(smooth)),
            "last": compact(float(smooth[-1])),
        }
        for name, (steps, values, smooth) in series.items()
    ]
    return {
        "title": title,
        "lines": drawn,
        "x_ticks": [
            (float(place_x(np.array(t))), compact(t))
            for t in ticks(x_low, x_high)
            if x_low <= t <= x_high
        ],
        "y_ticks": [(float(place_y(np.array(t))), compact(t)) for t in y_ticks],
        "logarithmic": logarithmic,
    }


def shares(
    title: str, note: str, lines: Mapping[str, tuple[_Values, _Values]], across: str, up: str
) -> dict[str, object]:
    """A chart of shares against shares, both from 0 to 1.

    Args:
        lines: name -> x and y of its points; the mean of y is printed after the name.
        across: what the x axis shows.
        up: what the y axis shows.
    """
    drawn = [
        {
            "name": name,
            "colour": number % NUM_LINE_COLOURS,
            "smooth": _points(_across(x), _upwards(y)),
            "last": f"{y.mean():.2f}".removeprefix("0"),
        }
        for number, (name, (x, y)) in enumerate(lines.items())
    ]
    return {**_unit_square(title, across, up), "note": note, "lines": drawn}


def reliability(calibration: Calibration) -> dict[str, object]:
    """Bars of how often detections of similar scores are right, to compare with the diagonal."""
    edges = np.linspace(0, 1, len(calibration.count_B) + 1)
    bars = [
        {
            "x": round(float(_across(low)) + 1, 1),
            "width": round(float(_across(high) - _across(low)) - 2, 1),
            "y": round(float(_upwards(right)), 1),
            "height": round(BOTTOM - float(_upwards(right)), 1),
            "dot": (round(float(_across(score)), 1), round(float(_upwards(score)), 1)),
            "text": f"score {score:.2f}: {right:.2f} of {count:,} right",
        }
        for low, high, count, score, right in zip(
            edges[:-1],
            edges[1:],
            calibration.count_B,
            calibration.score_B,
            calibration.right_B,
            strict=True,
        )
        if count
    ]
    chart = _unit_square("Are scores probabilities?", "score", "share that is right")
    return {
        **chart,
        "bars": bars,
        "error": f"{calibration.error:.3f}".removeprefix("0"),
        "least_score": calibration.least_score,
    }


def _unit_square(title: str, across: str, up: str) -> dict[str, object]:
    marks = (0.0, 0.25, 0.5, 0.75, 1.0)
    return {
        "title": title,
        "across": across,
        "up": up,
        "x_ticks": [(float(_across(np.array(t))), compact(t)) for t in marks],
        "y_ticks": [(float(_upwards(np.array(t))), compact(t)) for t in marks],
    }


def _across(shares: _Values) -> _Values:
    return _scale(0, 1, LEFT, RIGHT, logarithmic=False)(np.asarray(shares))


def _upwards(shares: _Values) -> _Values:
    return _scale(0, 1, BOTTOM, TOP, logarithmic=False)(np.asarray(shares))


def _smooth(values: _Values) -> _Values:
    """Centred moving average over a fortieth of the run; centred, so bends stay at their steps."""
    window = np.ones(max(1, len(values) // 40))
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")


def _scale(
    low: float, high: float, start: float, end: float, *, logarithmic: bool
) -> Callable[[_Values], _Values]:
    """From numbers to drawing units; numbers out of range are drawn on the edge."""

    def place(values: _Values) -> _Values:
        clipped = np.clip(values, low, high)
        share = (
            np.log(clipped / low) / math.log(high / low)
            if logarithmic
            else (clipped - low) / (high - low)
        )
        return np.asarray(start + (end - start) * share)

    return place


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose the range, starting at 0 if that is near."""
    low = 0.0 if 0 <= low <= high / 2 or (low == high and low > 0) else low
    high = high if high > low else low + max(abs(low), 1.0)
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _powers(values: _Values) -> list[float]:
    first, last = math.floor(math.log10(values.min())), math.ceil(math.log10(values.max()))
    return [10.0**i for i in range(first, last + 1)]


def number(value: float) -> str:
    """A share as .xxx, any other number with four digits."""
    if not math.isfinite(value):
        return "n/a"
    return f"{value:.3f}".removeprefix("0") if 0 <= value <= 1 else f"{value:.4g}"


def compact(value: float) -> str:
    """A number in few characters: 12000 is 12k, 0.0003 is 3e-4."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    if abs(value) >= 1000:
        return f"{value / 1000:.3g}k"
    if 0 < abs(value) < 0.001:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.3g}"


def _points(x: _Values, y: _Values) -> str:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int))
    return " ".join(f"{x[i]:.1f},{y[i]:.1f}" for i in kept)
