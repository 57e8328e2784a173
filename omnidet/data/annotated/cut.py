"""What is trained on and what is evaluated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from omnidet.counted import counted
from omnidet.data.annotated import chosen_split
from omnidet.data.annotated.chosen_split import flat
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import Annotated, Picture

HELD_OUT_SHARE = 0.2
"""Of a dataset without a split: kept for the evaluation."""
LEAST_BOXES = 5
"""In the evaluation of a dataset without a split, if half of its pictures hold as many: a detector
is not judged by fewer (`retrain.min_boxes`)."""
SHOWN = 10
"""Names that a line lists."""


@dataclass(frozen=True, eq=False)
class Cut:
    """An annotated folder in two parts."""

    found: Annotated
    train: Sequence[Picture]
    evaluation: Sequence[Picture]
    why: str
    """How it was cut, for people."""


def cut(found: Annotated, reading: ReadConfig | None = None) -> Cut:
    """As the user chose; else evaluated on `test`, else on `val`, else on a fifth that the names of
    the files decide; trained on the rest.

    Raises ValueError where there is nothing to measure by, or nothing to learn from.
    """
    own = chosen_split.chosen(found, reading or ReadConfig())
    if own:
        train, evaluation, why = own
        return _measurable(Cut(found, train, evaluation, why))
    parts = {name: members for name, members in found.splits.items() if members}
    unused = ""
    for name in ("test", "val"):
        if name in parts and set(parts) - {name}:
            if not _has_box(parts[name]):
                unused += (
                    f"; {name} has {counted(len(parts[name]), 'picture')} and no box: trained on"
                )
                continue
            remaining = [p for other in sorted(parts) if other != name for p in parts[other]]
            others = " + ".join(other or "unnamed" for other in sorted(parts) if other != name)
            why = f"trained on {others}, evaluated on {name}{unused}"
            return _measurable(Cut(found, remaining, parts[name], why))
    shots = chosen_split.by_hash(found.pictures())
    rest, held = chosen_split.by_share(shots, HELD_OUT_SHARE, str(found.root))
    while len(held) < len(shots) // 2 and _boxes(flat(held)) < LEAST_BOXES:
        held.append(rest.pop(0))  # a few dozen pictures: the hash gave it fewer than its share
    why = (
        f"no split was found: {len(flat(held))} of {len(flat(shots))} pictures, by a hash of their "
        f"names, are kept for the evaluation{unused}"
    )
    return _measurable(Cut(found, flat(rest), flat(held), why))


def without_seen(made: Cut, trained_on: Container[int]) -> Cut:
    """The cut with those evaluation pictures trained on that a detector was trained on before: what
    it finds in them says nothing of other pictures.

    Args:
        trained_on: ids of pictures.

    Raises ValueError if no box is left to measure by.
    """
    seen = [picture for picture in made.evaluation if picture.opened.image_id in trained_on]
    if not seen:
        return made
    root, whole = made.found.root, counted(len(made.evaluation), "evaluation picture")
    first = f"first: {seen[0].path.name}"
    kept = [picture for picture in made.evaluation if picture.opened.image_id not in trained_on]
    if not _has_box(kept):
        raise ValueError(
            f"{root}: the detector was trained on {len(seen)} of the {whole} before ({first}), and "
            f"no other shows a box to measure by ({made.why}): add pictures that it has not seen, "
            "or make a new detector of them (--from photo-small)"
        )
    why = f"{made.why}; {len(seen)} of the {whole} are trained on, as they were before ({first})"
    return replace(made, train=[*made.train, *seen], evaluation=kept, why=why)


def _has_box(pictures: Sequence[Picture]) -> bool:
    return _boxes(pictures) > 0


def _boxes(pictures: Sequence[Picture]) -> int:
    return sum(not box.is_crowd for picture in pictures for box in picture.boxes)


def _measurable(made: Cut) -> Cut:
    """The cut itself. Raises ValueError if one of its two parts holds no box."""
    for part, pictures in (("evaluation", made.evaluation), ("training", made.train)):
        if not _has_box(pictures):
            raise ValueError(
                f"{made.found.root}: the {part} has {counted(len(pictures), 'picture')} and no box "
                f"({made.why}): annotate more, or sort the pictures into folders train and test"
            )
    return made


def describe(made: Cut) -> str:
    """The report for people: format, split, counts by name, and the account of what was read."""
    found = made.found
    parts = {"train": made.train, "evaluation": made.evaluation}
    counts = {
        part: Counter(box.name for p in members for box in p.boxes)
        for part, members in parts.items()
    }
    lines = [
        f"{found.format}: {counted(len(made.train) + len(made.evaluation), 'picture')}; {made.why}"
    ]
    width = max(len(name) for name in (*found.names, "pictures"))
    lines.append(f"  {'':{width}}  {'train':>7}  {'evaluation':>10}")
    lines.append(f"  {'pictures':{width}}  {len(made.train):7}  {len(made.evaluation):10}")
    lines += [
        f"  {name:{width}}  {counts['train'][name]:7}  {counts['evaluation'][name]:10}"
        for name in found.names
    ]
    lines += found.account.lines()
    in_pictures = Counter(name for p in made.train for name in {box.name for box in p.boxes})
    lines += _poor(found.names, in_pictures, counts["evaluation"])
    everywhere = [name for name in found.names if 1 < in_pictures[name] == len(made.train)]
    if everywhere:
        lines.append(
            f"  every training picture shows {', '.join(map(repr, everywhere))}: pictures without "
            "are not learned, so add some, with empty annotations"
        )
    return "\n".join(lines)


def _poor(
    names: Sequence[str], train: Mapping[str, int], evaluation: Mapping[str, int]
) -> Iterator[str]:
    """A line for each way in which names have too little; of 200 names, a line each hides all
    other lines."""
    for said, poor in (
        ("in no training picture, not learned", [n for n in names if not train[n]]),
        ("in one training picture, hardly learned", [n for n in names if train[n] == 1]),
        ("in no evaluation picture, AP not measured", [n for n in names if not evaluation[n]]),
    ):
        if poor:
            more = f" and {counted(len(poor) - SHOWN, 'more name')}" if poor[SHOWN:] else ""
            yield f"  {said}: {', '.join(map(repr, poor[:SHOWN]))}{more}"
