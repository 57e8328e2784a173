"""The tables of the report: data, streams, what was held out, every field of the recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omnidet.data import shards
from omnidet.data.annotated.account import KINDS


@dataclass(frozen=True)
class Table:
    """A table of the report; numbers are texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    folded: bool = False
    """Whether the rows are hidden until unfolded."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r} has a row of {len(row)} cells for {len(self.columns)} "
                    f"columns: {row}"
                )


def of_run(index: shards.Index, provenance: Mapping[str, Any]) -> list[Table]:
    """The tables of a run on these shards; those without rows are left out."""
    recipe = provenance.get("recipe", {})
    tables = [
        Table(
            "Data",
            ("Set", "images", "shards", "size"),
            [
                (
                    name,
                    f"{shards.num_samples(own):,}",
                    f"{len(own):,}",
                    _size(sum(s.size_bytes for s in own)),
                )
                for name, own in index.sets.items()
            ],
            f"Dataset version {index.dataset_version[:12]}, a hash over all shards.",
        ),
        Table(
            "Streams",
            ("Stream", "sets", "images a step"),
            _streams(recipe),
            "Every step contains all of them.",
        ),
        Table(
            "Held out of training",
            ("Set", "because of", "images"),
            _held_out(index),
            "Images that a benchmark evaluates.",
        ),
        Table(
            "Left out while building",
            ("What", "records"),
            _quarantined(index),
            "Each is named in the shard folder.",
            True,
        ),
        Table("Every field of the recipe", ("Field", "value"), list(_flat(recipe)), folded=True),
    ]
    accounts = index.report.get("accounts", {}).items()
    tables[:0] = [_read(name, account) for name, account in accounts]
    return [table for table in tables if table.rows]


def _read(name: str, account: Mapping[str, Any]) -> Table:
    """What became of an annotated folder: read = kept + left out, each reason with its first."""
    rows: list[tuple[str, str, str, str, str]] = []
    for kind in KINDS:
        read, kept = account[kind]["read"], account[kind]["kept"]
        rows.append((kind, f"{read:,}", f"{kept:,}", f"{read - kept:,}", ""))
        rows += [
            (reason, "", "", f"{out['count']:,}", out["first"])
            for reason, out in account[kind]["left_out"].items()
        ]
    columns = ("", "read", "kept", "left out", "the first of them")
    return Table(f"What was read of {name}", columns, rows, "; ".join(account["notes"]))


def of_dataset(index: shards.Index, name: str) -> Table:
    """Pictures of a dataset, and boxes of each name, as they were used.

    Args:
        name: of the sets `train/<name>` and `eval/<name>`.
    """
    sides = [
        list(shards.texts(index, set_name)) if set_name in index.sets else []
        for set_name in (f"train/{name}", f"eval/{name}")
    ]
    counts: list[Counter[str]] = [Counter() for _ in sides]
    for records, counted in zip(sides, counts, strict=True):
        for record in records:
            for phrase, boxes in zip(record.phrases, record.phrase_boxes, strict=True):
                counted[phrase] += len(boxes)
    known = index.ground_truth.get(f"eval/{name}", {}).get("names", {})
    names = dict.fromkeys([*known.values(), *counts[0], *counts[1]])
    rows = [("pictures", *(f"{len(records):,}" for records in sides))]
    rows += [(n, *(f"{counted[n]:,}" for counted in counts)) for n in names]
    note = "As used: without pictures that were left out or held out. Boxes of each name."
    return Table(f"{name} in numbers", ("", "trained on", "evaluated on"), rows, note)


def _streams(recipe: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    streams = recipe.get("streams", ())
    return [
        (s["name"], ", ".join(dict.fromkeys(s["sets"])), f"{s['images_per_step']:,}")
        for s in streams
    ]


def _held_out(index: shards.Index) -> list[tuple[str, str, str]]:
    held_out = index.report.get("held_out", {})
    return [
        (name, why, f"{count:,}")
        for name, reasons in held_out.items()
        for why, count in reasons.items()
    ]


def _quarantined(index: shards.Index) -> list[tuple[str, str]]:
    return [(reason, f"{count:,}") for reason, count in index.report.get("quarantined", {}).items()]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Names such as `train.steps` with their values."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        for number, part in enumerate(value, 1):
            yield from _flat(part, f"{name}[{number}]")
    else:
        yield (
            name,
            ", ".join(str(part) for part in value) if isinstance(value, list) else str(value),
        )


def _size(num_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes / 1e3:.0f} kB"
