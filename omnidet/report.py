"""One HTML file that shows a run: numbers, training curves, pictures with true and found boxes.

The file stands alone: no network, no server, no script; pictures are embedded. `report.html.jinja` beside this holds
its look, the functions here turn numbers into what it draws.
"""

from __future__ import annotations

import base64
import importlib.resources
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jinja2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from omnidet import boxes, storage

Box = tuple[float, float, float, float]
_Values = npt.NDArray[np.float64]

HEADLINES = ("AP", "AP50", "APr", "AIGT", "R@1")
"""The numbers of a benchmark that are shown large; without any of them, its first."""
KINDS = {"names": "By class name", "phrase": "By free phrase"}
"""The galleries, with their headings."""
NUM_COLOURS = 10
"""Label colours of the template: all at least 4.5:1 against the white text upon them."""
NUM_LINE_COLOURS = 6
IMAGE_SIDE = 720
"""Longer side of an embedded picture in pixels: sharp on a phone and on a desk, some 60 kB each."""
CHART_WIDTH, CHART_HEIGHT = 400, 210
PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, PLOT_BOTTOM = 44, 390, 10, 182
MAX_POINTS = 400
"""Points of a drawn line: more than there are pixels to show them."""
MIN_IOU = 0.5
STAGE_RATIO = 4 / 3
"""Width to height of the frame that every picture is fitted into, as the template has it."""
LABEL_SIZE = 0.042
"""Height of a label as a share of the frame's width: about 12 pixels on a page."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of the gallery; boxes are xyxy in pixels of the image."""

    title: str
    """The file for class names, the phrase for phrases."""
    kind: Literal["names", "phrase"]
    image: bytes
    truth: Sequence[tuple[Box, str]]
    predicted: Sequence[tuple[Box, str, float]]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"sample {self.title!r} has kind {self.kind!r}: give one of {', '.join(KINDS)}")


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
    """
    labels = sorted({label for s in samples for label in [t[1] for t in s.truth] + [p[1] for p in s.predicted]})
    colours = {label: index % NUM_COLOURS for index, label in enumerate(labels)}
    galleries = [(kind, text, [_picture(s, colours) for s in samples if s.kind == kind]) for kind, text in KINDS.items()]
    template = importlib.resources.files("omnidet").joinpath("report.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    content = environment.from_string(template).render(
        title=title,
        subtitle=subtitle,
        benchmarks=_benchmarks(metrics, protocols),
        charts=_charts(training_log),
        galleries=galleries,
        facts=facts,
        published=published,
        size=(CHART_WIDTH, CHART_HEIGHT),
        plot={"left": PLOT_LEFT, "right": PLOT_RIGHT, "top": PLOT_TOP, "bottom": PLOT_BOTTOM},
    )
    storage.write_text(path, content)


def _benchmarks(metrics: Mapping[str, float], protocols: Mapping[str, str]) -> list[dict[str, object]]:
    """The numbers of each benchmark: rows of name, text and share (None where it is none), and those shown large."""
    groups: dict[str, list[tuple[str, str, float | None]]] = {}
    for key, value in metrics.items():
        benchmark, _, name = key.rpartition("/")
        share = value if 0 <= value <= 1 else None
        groups.setdefault(benchmark, []).append((name, _number(value), share))
    return [
        {
            "name": name or "numbers",
            "protocol": protocols.get(name, ""),
            "rows": rows,
            "headlines": [row for row in rows if row[0] in HEADLINES] or rows[:1],
        }
        for name, rows in groups.items()
    ]


def _number(value: float) -> str:
    """A share as .xxx, any other number with four digits."""
    if not math.isfinite(value):
        return "n/a"
    return f"{value:.3f}".removeprefix("0") if 0 <= value <= 1 else f"{value:.4g}"


def _charts(rows: Sequence[Mapping[str, float]]) -> list[dict[str, object]]:
    """A chart for the loss, one for each term with all its streams, one for each other number."""
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key != "step"]
    terms = dict.fromkeys(key.split("/", 1)[1] for key in keys if "/" in key)
    streams = list(dict.fromkeys(key.split("/", 1)[0] for key in keys if "/" in key))
    groups: dict[str, dict[str, str]] = {"loss": {"all streams": "loss"}} if "loss" in keys else {}
    for term in terms:
        groups[f"loss: {term}"] = {stream: f"{stream}/{term}" for stream in streams if f"{stream}/{term}" in keys}
    for key in keys:
        if "/" not in key and key != "loss":
            groups[key.replace("_", " ")] = {"": key}
    charts = (_chart(title, lines, rows, streams) for title, lines in groups.items())
    return [chart for chart in charts if chart is not None]


def _chart(
    title: str, lines: Mapping[str, str], rows: Sequence[Mapping[str, float]], streams: list[str]
) -> dict[str, object] | None:
    """None where no row has a finite number to draw."""
    series: dict[str, tuple[_Values, _Values, _Values]] = {}
    for name, key in lines.items():
        points = [(row.get("step", i), row[key]) for i, row in enumerate(rows) if math.isfinite(row.get(key, math.nan))]
        if points:
            steps, values = np.array(points, np.float64).T
            series[name] = (steps, values, _smooth(values))
    if not series:
        return None
    # A few wild steps would press the rest of the curve flat.
    shown = np.concatenate([np.percentile(v, [1, 98]) for _, values, smooth in series.values() for v in (values, smooth)])
    logarithmic = title != "learning rate" and bool(shown.min() > 0) and bool(shown.max() > 100 * shown.min())
    y_ticks = _powers(shown) if logarithmic else _ticks(float(shown.min()), float(shown.max()))
    all_steps = np.concatenate([steps for steps, _, _ in series.values()])
    x_low, x_high = float(all_steps.min()), float(max(all_steps.max(), all_steps.min() + 1))
    place_x = _scale(x_low, x_high, PLOT_LEFT, PLOT_RIGHT, logarithmic=False)
    place_y = _scale(y_ticks[0], y_ticks[-1], PLOT_BOTTOM, PLOT_TOP, logarithmic=logarithmic)
    drawn = [
        {
            "name": name,
            "colour": streams.index(name) % NUM_LINE_COLOURS if name in streams else 0,
            "raw": _points(place_x(steps), place_y(values)),
            "smooth": _points(place_x(steps), place_y(smooth)),
            "last": _compact(float(smooth[-1])),
        }
        for name, (steps, values, smooth) in series.items()
    ]
    return {
        "title": title,
        "lines": drawn,
        "x_ticks": [(float(place_x(np.array(t))), _compact(t)) for t in _ticks(x_low, x_high) if x_low <= t <= x_high],
        "y_ticks": [(float(place_y(np.array(t))), _compact(t)) for t in y_ticks],
        "logarithmic": logarithmic,
    }


def _smooth(values: _Values) -> _Values:
    """Centred moving average over a fortieth of the run, so that a bend stands at the step where it happened."""
    window = np.ones(max(1, len(values) // 40))
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")


def _scale(low: float, high: float, start: float, end: float, *, logarithmic: bool) -> Callable[[_Values], _Values]:
    """From numbers to drawing units; what lies outside is drawn on the edge."""

    def place(values: _Values) -> _Values:
        clipped = np.clip(values, low, high)
        share = np.log(clipped / low) / math.log(high / low) if logarithmic else (clipped - low) / (high - low)
        return np.asarray(start + (end - start) * share)

    return place


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose the range, from 0 where it comes near."""
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


def _compact(value: float) -> str:
    """A number in few characters: 12000 as 12k, 0.0003 as 3e-4."""
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


def _picture(sample: Sample, colours: Mapping[str, int]) -> dict[str, object]:
    """What the template draws of a sample."""
    # Stored pixels, written anew: a browser would turn a JPEG with an orientation mark away from under its boxes.
    with Image.open(io.BytesIO(sample.image)) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    image.thumbnail((IMAGE_SIDE, IMAGE_SIDE))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=88)
    size = round(LABEL_SIZE * max(width, height * STAGE_RATIO), 2)
    predicted = sorted(sample.predicted, key=lambda p: p[2])
    return {
        "title": sample.title,
        "source": "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode(),
        "width": width,
        "height": height,
        "font": size,
        "alt": f"{sample.title}: {len(sample.truth)} true and {len(sample.predicted)} found boxes",
        "truth": [(_rectangle(box), label) for box, label in sample.truth],
        "predicted": [(_rectangle(box), label, _number(score), colours[label]) for box, label, score in predicted],
        "label_places": _label_places(predicted, size, width, height),
        "found": _found(sample),
    }


def _rectangle(box: Box) -> tuple[float, ...]:
    """x, y, width and height as SVG takes them."""
    x0, y0, x1, y1 = box
    return tuple(round(v, 1) for v in (x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0)))


def _label_places(
    predicted: Sequence[tuple[Box, str, float]], size: float, width: int, height: int
) -> list[tuple[float, float]]:
    """Where each label begins (x, base line): above its box, within it or below, where it hides the fewest other labels."""
    taken: list[Box] = []
    places: list[tuple[float, float]] = []
    for (x0, y0, _, y1), label, score in reversed(predicted):
        length = 0.6 * size * len(f"{label} {_number(score)}")
        x = max(0.2 * size, min(x0, width - length))
        lines = (y0 - 0.35 * size, y0 + 1.1 * size, y1 - 0.4 * size, y1 + 1.1 * size)
        tries = [(x, max(size, min(y, height - 0.3 * size))) for y in lines]
        areas = [(x, y - size, x + length, y) for x, y in tries]
        hidden = [sum(float(boxes.iou(torch.tensor(a), torch.tensor(t))) for t in taken) for a in areas]
        best = hidden.index(min(hidden))
        places.append(tries[best])
        taken.append(areas[best])
    return places[::-1]


def _found(sample: Sample) -> tuple[int, int]:
    """How many of the true boxes have a found box of their label, or the best box of the phrase, at IoU >= 0.5."""
    best = sorted(sample.predicted, key=lambda p: -p[2])[: 1 if sample.kind == "phrase" else None]
    hits = 0
    for true_box, true_label in sample.truth:
        rivals = [box for box, label, _ in best if sample.kind == "phrase" or label == true_label]
        if rivals and bool((boxes.iou(torch.tensor(rivals), torch.tensor(true_box)) >= MIN_IOU).any()):
            hits += 1
    return hits, len(sample.truth)
