"""Curves over processor minutes, or whatever costs something, as SVG panels side by side."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

Series = Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
"""By panel and curve: (minutes above 0, share from 0 to 1)."""
COLOURS = (
    *("#3b6ea5", "#c1542b", "#4f8f4a", "#8a5aa8", "#7a7a7a", "#b8860b"),
    *("#c2185b", "#00838f", "#5d4037", "#9e9d24", "#1a237e", "#000000"),
)
MOST_TICKS = 8
APART = 30
"""Least pixels between the numbers of two ticks."""
SIDE, WIDE, LEFT, TOP = 240, 320, 50, 40


def svg(series: Series, label: str = "AP50") -> str:
    """Panels side by side; minutes on a logarithmic scale, since marks are dense at the start.

    Args:
        label: what the curves show; without it, the titles of the panels say so themselves.
    """
    curves = list(dict.fromkeys(name for panel in series.values() for name in panel))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(curves)}
    apart = max(110, 40 + 7 * max(map(len, curves), default=0))
    parts = []
    for number, (title, panel) in enumerate(series.items()):
        x0 = LEFT + number * (WIDE + LEFT)
        marks = sorted({x for points in panel.values() for x, _ in points})
        shown = f"{title}, {label} after processor minutes" if label else title
        parts += _frame(shown, x0, marks)
        for name, points in panel.items():
            places = [_place(x0, marks, point) for point in points]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>'
            )
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[name]}"/>'
                for x, y in places
            ]
    for i, name in enumerate(curves):
        x = LEFT + i * apart
        y = TOP + SIDE + 52
        parts.append(f'<rect x="{x}" y="{y - 9}" width="18" height="4" fill="{colours[name]}"/>')
        parts.append(f'<text x="{x + 24}" y="{y}">{html.escape(name)}</text>')
    width = max(LEFT + len(series) * (WIDE + LEFT), LEFT + len(curves) * apart)
    height = TOP + SIDE + 70
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="{width}" height="{height}" '
        'fill="white"/>' + "".join(parts) + "</svg>\n"
    )


def _frame(title: str, x0: int, marks: Sequence[float]) -> list[str]:
    parts = [f'<text x="{x0}" y="{TOP - 14}" font-size="14">{html.escape(title)}</text>']
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1.0):
        _, y = _place(x0, marks, (marks[0], tick))
        parts.append(f'<line x1="{x0}" x2="{x0 + WIDE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for mark in _ticks(marks):
        x, _ = _place(x0, marks, (mark, 0))
        parts.append(
            f'<text x="{x:.1f}" y="{TOP + SIDE + 18}" text-anchor="middle">{mark:g}</text>'
        )
    return parts


def _ticks(marks: Sequence[float]) -> list[float]:
    """The marks, or 1, 2, 5, 10, ... between them where there are many or two would overlap."""
    places = [_place(0, marks, (mark, 0))[0] for mark in marks]
    if len(marks) <= MOST_TICKS and all(b - a >= APART for a, b in pairwise(places)):
        return list(marks)
    low, high = (math.floor(math.log10(mark)) for mark in (marks[0], marks[-1]))
    round_ones = [digit * 10.0**power for power in range(low, high + 1) for digit in (1, 2, 5)]
    return [tick for tick in round_ones if marks[0] <= tick <= marks[-1]] or [marks[0], marks[-1]]


def _place(x0: int, marks: Sequence[float], point: tuple[float, float]) -> tuple[float, float]:
    minutes, share = point
    span = math.log(marks[-1] / marks[0]) or 1.0
    along = math.log(minutes / marks[0]) / span if len(marks) > 1 else 0.5
    return x0 + 10 + (WIDE - 20) * along, TOP + SIDE * (1 - share)
