"""Look at a folder, say what it is, and split it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnidet.data.annotated import coco, voc, yolo
from omnidet.data.annotated.pictures import Annotated, Picture, images_by_stem

FORMATS: Mapping[str, Callable[[Path], Annotated | None]] = {
    "coco": coco.find,
    "voc": voc.find,
    "yolo": yolo.find,
}
HELD_OUT_SHARE = 0.2
"""Of a dataset without a split: kept for the evaluation."""


@dataclass(frozen=True, eq=False)
class Split:
    """An annotated folder, cut in what is trained on and what is evaluated on."""

    found: Annotated
    train: list[Picture]
    evaluation: list[Picture]
    why: str
    """How it was cut, for people."""


def find(root: Path, kind: str = "") -> Annotated:
    """What the folder holds. `kind` names the format where a folder has several.

    Raises FileNotFoundError or ValueError that says what was looked for.
    """
    if not root.is_dir():
        raise FileNotFoundError(
            f"{root} is no folder: give the one with pictures and their annotations"
        )
    if kind and kind not in FORMATS:
        raise ValueError(
            f"unknown annotation format {kind!r}: the known ones are {', '.join(FORMATS)}"
        )
    formats = [kind] if kind else list(FORMATS)
    found = {name: result for name in formats if (result := FORMATS[name](root)) is not None}
    num_pictures = sum(len(paths) for paths in images_by_stem(root).values())
    if not found:
        others = (
            [name for name in FORMATS if name != kind and FORMATS[name](root) is not None]
            if kind
            else []
        )
        if others:
            raise ValueError(
                f"{root} has no {kind} annotations, but {' and '.join(others)}: leave out --format, or give that"
            )
        raise ValueError(
            f"{root} has {num_pictures} pictures and no annotations: put a COCO json, YOLO txt files with a data.yaml, "
            "or Pascal VOC xml files beside them"
        )
    if len(found) > 1:
        raise ValueError(
            f"{root} has annotations in several formats ({', '.join(found)}): name one with --format"
        )
    result = next(iter(found.values()))
    _check(result, root)
    return result


def split(found: Annotated) -> Split:
    """Cut it: evaluated on `test`, else on `val`, else on a fifth that the names of the files decide; trained on the rest."""
    parts = {name: members for name, members in found.splits.items() if members}
    for name in ("test", "val"):
        if name in parts and set(parts) - {name}:
            rest = [
                picture
                for other, members in sorted(parts.items())
                if other != name
                for picture in members
            ]
            others = " + ".join(other or "unnamed" for other in sorted(parts) if other != name)
            return _measurable(
                Split(found, rest, parts[name], f"trained on {others}, evaluated on {name}")
            )
    # By the hash alone, so that no picture changes sides when the dataset grows.
    pictures = sorted(found.pictures(), key=lambda picture: _share(picture.path.name))
    if len(pictures) < 2:
        raise ValueError(
            "there is one annotated picture only: give two at least, one is for the evaluation"
        )
    held = sum(_share(picture.path.name) < HELD_OUT_SHARE for picture in pictures)
    held = min(max(held, 1), len(pictures) - 1)
    why = f"no split was found: {held} of {len(pictures)} pictures, by a hash of their names, are kept for the evaluation"
    return _measurable(Split(found, pictures[held:], pictures[:held], why))


def _measurable(cut: Split) -> Split:
    """The same, or ValueError where there is nothing to measure by."""
    if not any(box.area for picture in cut.evaluation for box in picture.boxes):
        raise ValueError(
            f"none of the {len(cut.evaluation)} pictures of the evaluation holds a box ({cut.why}): annotate more, or sort the "
            "pictures into folders train and test"
        )
    return cut


def describe(cut: Split) -> str:
    """The report for people: format, counts, names, split, problems."""
    found = cut.found
    counts = {
        name: Counter(box.name for p in members for box in p.boxes if box.area)
        for name, members in _parts(cut).items()
    }
    without_area = sum(
        not box.area for members in _parts(cut).values() for p in members for box in p.boxes
    )
    lines = [f"{found.format}: {len(cut.train) + len(cut.evaluation)} pictures; {cut.why}"]
    width = max(len(name) for name in found.names)
    lines.append(f"  {'':{width}}  {'train':>7}  {'evaluation':>10}")
    lines.append(f"  {'pictures':{width}}  {len(cut.train):7}  {len(cut.evaluation):10}")
    lines += [
        f"  {name:{width}}  {counts['train'][name]:7}  {counts['evaluation'][name]:10}"
        for name in found.names
    ]
    lines += [f"  left out: {count} x {reason}" for reason, count in sorted(found.problems.items())]
    if without_area:
        lines.append(f"  not counted above: {without_area} x box without an area")
    for name in found.names:
        in_pictures = sum(
            any(box.name == name and box.area for box in picture.boxes) for picture in cut.train
        )
        if in_pictures < 2:
            lines.append(
                f"  {name!r} stands in {in_pictures} training pictures: it will hardly be learned"
            )
        if not counts["evaluation"][name]:
            lines.append(f"  {name!r} stands in no evaluation picture: its AP is not measured")
    return "\n".join(lines)


def _parts(cut: Split) -> dict[str, list[Picture]]:
    return {"train": cut.train, "evaluation": cut.evaluation}


def _check(found: Annotated, root: Path) -> None:
    """Names that cannot be trained on, and a folder without a single box."""
    boxes = [box for picture in found.pictures() for box in picture.boxes]
    if not any(box.area for box in boxes):
        problems = {**found.problems, **({"box without an area": len(boxes)} if boxes else {})}
        reasons = (
            ", ".join(f"{count} x {reason}" for reason, count in problems.items())
            or "the files are empty"
        )
        raise ValueError(f"{root} has no usable annotation ({found.format}; {reasons})")
    seen: dict[str, str] = {}
    for name in found.names:
        plain = _words(name)
        if not any(c.isalnum() for c in plain):
            raise ValueError(
                f"{root}: a class is called {name!r}: give it a name with a letter or a digit"
            )
        if plain in seen:
            raise ValueError(
                f"{root}: the classes {seen[plain]!r} and {name!r} are the same words: rename one of them"
            )
        seen[plain] = name


def _words(name: str) -> str:
    """As the vocabulary reads a name: without case, and with a space for whatever is no letter, digit or symbol."""
    text = unicodedata.normalize("NFKC", name).lower().replace("'", "").replace("’", "")
    return " ".join(
        "".join(" " if unicodedata.category(c)[0] in "PZC" else c for c in text).split()
    )


def _share(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
