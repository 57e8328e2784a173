"""Results of runs -> tables, curves and flat numbers: a part of `recipes.py`."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recipe_contestants import CONTESTANTS

from omnidet.evaluation import resampling

Result = Mapping[str, Any]
"""What `recipe_runs.result` returns."""
OURS = "ours"
GROUPS = {
    "Heads": (OURS, "owl-vit", "grounding-dino", "staged"),
    "Parts": (
        OURS,
        "caption-regions",
        "no-token-alignment",
        "no-region-alignment",
        "no-relations",
        "no-captions",
        "bag-of-tokens",
        "no-idf",
    ),
    "Streams": (OURS, "det", "det+grd", "det+img"),
}
QUALITY = {
    "coco/AP": "COCO-style AP",
    "coco/AP50": "COCO-style AP50",
    "lvis/AP": "LVIS-style AP",
    "lvis/APr": "LVIS-style APr",
    "refcocog/AIGT_plain": "referring, plain",
    "refcocog/AIGT_relational": "referring, relational",
    "refcocog/AIGT_unseen": "referring, unseen pairs",
    "refcocog/AIGT_relational_scrambled": "relational, words scrambled (control)",
    "flickr30k/R@1": "Flickr30K-style R@1",
    "absent/false_positive_rate": "false positives on absent names ↓",
    "calibration/coco": "calibration error, COCO-style ↓",
    "calibration/lvis": "calibration error, LVIS-style ↓",
    "calibration/refcocog": "calibration error, referring ↓",
    "calibration/flickr30k": "calibration error, Flickr30K-style ↓",
    "fitted/coco": "the same, scores fitted, COCO-style ↓",
    "fitted/lvis": "the same, scores fitted, LVIS-style ↓",
    "fitted/refcocog": "the same, scores fitted, referring ↓",
    "fitted/flickr30k": "the same, scores fitted, Flickr30K-style ↓",
}
"""Arrows mark numbers that are better if they are lower."""
CONTROLS = ("refcocog/AIGT_relational_scrambled",)
"""Neither higher nor lower is better."""
COSTS: dict[str, tuple[str, Callable[[Result], float], str]] = {
    "parameters": ("parameters, millions", lambda r: r["parameters"] / 1e6, ".2f"),
    "steps": ("steps", lambda r: r["steps"], ".0f"),
    "minutes": ("training, processor minutes", lambda r: r["processor_minutes"], ".1f"),
    "step": ("training step, s", lambda r: r["step_seconds"], ".2f"),
}
TIMES = {
    "inference": "a picture, {count:,} names, s",
    "reading": "to read {count:,} names once, s",
}
_SEED = 0


@dataclass(frozen=True)
class Difference:
    """Ours minus another, over the seeds that both have."""

    value: float
    interval: tuple[float, float] | None
    """Over images and seeds; None where neither can be drawn again."""

    @property
    def is_clear(self) -> bool:
        """Whether chance is excluded."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and the standard deviation over seeds if there are several."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def difference(ours: Sequence[Result], other: Sequence[Result], key: str) -> Difference | None:
    """Paired by seed and, in each resample, by image: both were measured on the same draws.

    A resample draws the seeds, too, with replacement. None if no seed has the number twice.
    """
    seeds = [
        seed
        for seed, (one, two) in _by_seed(ours, other).items()
        if key in one["values"] and key in two["values"]
    ]
    if not seeds:
        return None
    pairs = _by_seed(ours, other)
    own_S = np.array([pairs[s][0]["values"][key] - pairs[s][1]["values"][key] for s in seeds])
    drawn = [[_drawn(result, key) for result in pairs[s]] for s in seeds]
    if all(part is not None for pair in drawn for part in pair):
        drawn_SB = np.array([one - two for one, two in drawn])
    elif len(seeds) > 1:
        drawn_SB = np.repeat(own_S[:, None], resampling.RESAMPLES, 1)
    else:
        return Difference(float(own_S.mean()), None)
    generator = np.random.default_rng(_SEED)
    chosen_SB = generator.integers(len(seeds), size=drawn_SB.shape)
    means_B = np.take_along_axis(drawn_SB, chosen_SB, 0).mean(0)
    ends = resampling.interval(float(own_S.mean()), means_B, least=-1.0)
    return Difference(float(own_S.mean()), (ends[0], ends[1]) if ends else None)


def _by_seed(ours: Sequence[Result], other: Sequence[Result]) -> dict[int, tuple[Result, Result]]:
    others = {result["seed"]: result for result in other}
    return {r["seed"]: (r, others[r["seed"]]) for r in ours if r["seed"] in others}


def _drawn(result: Result, key: str) -> Any:
    found = result["resamples"].get(key)
    return None if found is None else np.array([np.nan if v is None else v for v in found])


def text(results: Sequence[Result], setting: str) -> str:
    """All tables in Markdown."""
    by_name = {n: [r for r in results if r["contestant"] == n] for n in CONTESTANTS}
    about = f"{setting[0].upper()}{setting[1:]}. {_seeds(by_name)}"
    parts = [textwrap.fill(about, 100, break_on_hyphens=False)]
    for title, names in GROUPS.items():
        present = [name for name in names if by_name[name]]
        if len(present) > 1 or present == [OURS] == [n for n in by_name if by_name[n]]:
            parts.append(f"### {title}: {setting}")
            parts.append(_means(by_name, present))
        if len(present) > 1 and OURS in present:
            rest = [name for name in present if name != OURS]
            parts.append(f"Ours minus the other, {resampling.LEVEL:.0%} interval:")
            parts.append(_differences(by_name, rest))
    return "\n\n".join(parts)


def _seeds(by_name: Mapping[str, Sequence[Result]]) -> str:
    counts = {name: sorted(r["seed"] for r in own) for name, own in by_name.items() if own}
    seeds = sorted({seed for own in counts.values() for seed in own})
    said = f"Seeds: {', '.join(map(str, seeds))}."
    fewer = [f"{n} {len(own)}" for n, own in counts.items() if len(own) < len(seeds)]
    if fewer:
        said += f" Fewer runs: {', '.join(fewer)}."
    if len(seeds) == 1:
        return (
            f"{said} With one seed, intervals are over images alone: they say nothing of how "
            "far another seed would be off."
        )
    return f"{said} Intervals are over images and seeds; ± is the standard deviation over seeds."


def _means(by_name: Mapping[str, Sequence[Result]], names: Sequence[str]) -> str:
    rows = []
    for key, label in QUALITY.items():
        rows.append([label, *(_cell(_values(by_name[name], key), ".3f") for name in names)])
    for label, read, form in COSTS.values():
        rows.append([label, *(_cell([read(r) for r in by_name[name]], form) for name in names)])
    for kind, label in TIMES.items():
        counts = {int(c) for name in names for r in by_name[name] for c in r.get(kind, {})}
        for count in sorted(counts):
            own = [[r.get(kind, {}).get(str(count)) for r in by_name[name]] for name in names]
            cells = [_cell([v for v in values if v is not None], ".3g") for values in own]
            rows.append([label.format(count=count), *cells])
    return _table(["", *names], rows)


def _differences(by_name: Mapping[str, Sequence[Result]], names: Sequence[str]) -> str:
    rows = []
    for key, label in QUALITY.items():
        found = [difference(by_name[OURS], by_name[name], key) for name in names]
        rows.append([label, *(_told(one, key) for one in found)])
    return _table(["", *names], rows)


def _values(results: Sequence[Result], key: str) -> list[float]:
    return [result["values"][key] for result in results if key in result["values"]]


def _cell(values: Sequence[float], form: str) -> str:
    if not values:
        return ""
    mean, spread = mean_and_spread(values)
    return _short(mean, form) + (f" ± {_short(spread, form)}" if spread else "")


def _told(one: Difference | None, key: str) -> str:
    """In bold if ours is clearly better, in italics if it is clearly worse."""
    if one is None:
        return ""
    value = f"{'+' if one.value >= 0 else '−'}{_short(abs(one.value), '.3f')}"
    if one.interval is None:
        return value
    ends = ", ".join(f"{'−' if end < 0 else ''}{_short(abs(end), '.3f')}" for end in one.interval)
    if one.is_clear and key not in CONTROLS:
        mark = "**" if (one.value > 0) != QUALITY[key].endswith("↓") else "*"
        value = f"{mark}{value}{mark}"
    return f"{value} [{ends}]"


def _short(value: float, form: str) -> str:
    """Shares without the zero before the point."""
    told = format(value, form)
    return told[1:] if form == ".3f" and told.startswith("0.") else told


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    kept = [row for row in rows if any(row[1:])]
    lines = [header, ["---"] * len(header), *kept]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def line(result: Result) -> str:
    """One run in a line."""
    shown = ("coco/AP", "coco/AP50", "refcocog/AIGT_plain", "refcocog/AIGT_unseen")
    values = " ".join(f"{k} {_short(result['values'][k], '.3f')}" for k in shown)
    return (
        f"{result['contestant']} seed {result['seed']}: {result['steps']} steps, "
        f"{result['processor_minutes']:.1f} minutes: {values}"
    )


def flat(results: Sequence[Result]) -> dict[str, float]:
    """`contestant/seed/number`."""
    numbers = {}
    for result in results:
        own = {key: result["values"][key] for key in QUALITY if key in result["values"]}
        own |= {key: read(result) for key, (_, read, _) in COSTS.items()}
        for kind in TIMES:
            own |= {f"{kind}_{count}": v for count, v in result.get(kind, {}).items()}
        place = f"{result['contestant']}/{result['seed']}"
        numbers |= {f"{place}/{key}": round(value, 6) for key, value in own.items()}
    return numbers


def series(results: Sequence[Result]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """What was measured on the way, the mean over seeds, against steps and processor minutes.

    Of the heads where several were run: a dozen curves are not told apart.
    """
    panels: dict[str, dict[str, list[tuple[float, float]]]] = {}
    present = {result["contestant"] for result in results}
    heads = [name for name in GROUPS["Heads"] if name in present]
    for shown, label in (("AP50", "COCO-style AP50"), ("referring", "Referring")):
        for along, axis in (("step", "steps"), ("minutes", "processor minutes")):
            panel = panels.setdefault(f"{label} after {axis}", {})
            for name in heads if len(heads) > 1 else CONTESTANTS:
                runs = [r["curve"] for r in results if r["contestant"] == name and r["curve"]]
                if runs:
                    panel[name] = [
                        tuple(statistics.mean(p[k] for p in points) for k in (along, shown))
                        for points in zip(*runs, strict=False)
                    ]
    return panels


def put(page: Path, kind: str, tables: str) -> None:
    """Replace what stands between the marks of this kind; without marks, add it at the end."""
    begin, end = f"<!-- {kind} -->", f"<!-- end of {kind} -->"
    old = page.read_text(encoding="utf-8") if page.exists() else "# Recipe results\n"
    before, found, rest = old.partition(begin)
    after = rest.partition(end)[2] if found else "\n"
    before = before if found else f"{before}\n"
    page.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}", encoding="utf-8")
