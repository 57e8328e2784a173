"""The split that a user chose: a share, a file that says where each picture belongs, or folds."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from omnidet.counted import counted
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import Annotated, Picture
from omnidet.data.folder_formats import runs
from omnidet.data.folder_formats.folder import PICTURES, walk

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "eval": "test",
    "evaluation": "test",
}
"""What a split file may call them."""
_VERSION = re.compile(r"\.rf\.[0-9A-Za-z]{16,}(?=\.[A-Za-z]+$)")
"""What Roboflow puts into the names of the pictures that it makes of one, turned or in other
colours.
"""
Shot = list[Picture]
"""A picture, or all that was made of one: a detector that learned one of them knows the others."""
Halves = tuple[list[Picture], list[Picture], str]
"""To train, to evaluate, and how it was cut, for people."""


def chosen(found: Annotated, reading: ReadConfig) -> Halves | None:
    """The pictures by the user's own choice, which comes before the folder's; None without one.

    Raises FileNotFoundError or ValueError that names the line, or the file, that is wrong.
    """
    if reading.split_file:
        return _by_file(found, Path(reading.split_file))
    shots = by_hash(found.pictures())
    if reading.fold:
        number, of = reading.fold_of()
        if len(shots) < of:
            raise ValueError(
                f"{found.root} has {len(shots)} annotated pictures, too few for {of} folds: "
                "give fewer"
            )
        held = [own for place, own in enumerate(shots) if place % of == number - 1]
        rest = [own for place, own in enumerate(shots) if place % of != number - 1]
        return flat(rest), flat(held), f"fold {number} of {of} is kept for the evaluation"
    if reading.val_share:
        rest, held = by_share(shots, reading.val_share, str(found.root))
        why = (
            f"--val-share {reading.val_share:g}: {len(flat(held))} of {len(flat(shots))} pictures, "
            "by a hash of their names, are kept for the evaluation"
        )
        return flat(rest), flat(held), why
    return None


def by_hash(pictures: Iterable[Picture]) -> list[Shot]:
    """The pictures in the order of a hash of their files' names."""
    found: dict[str, Shot] = {}
    for picture in pictures:
        name = picture.path.name
        is_version = bool(_VERSION.search(name))
        found.setdefault(_source(name) if is_version else str(picture.path), []).append(picture)
    return sorted(found.values(), key=_share)


def by_share(shots: Sequence[Shot], share: float, root: str) -> tuple[list[Shot], list[Shot]]:
    """To train and to evaluate: by the hash alone, so that no picture changes sides when the
    dataset grows.
    """
    if len(shots) < 2:
        raise ValueError(
            f"{root} has one annotated picture: give two at least, one is for the evaluation"
        )
    held = sum(_share(own) < share for own in shots)
    held = min(max(held, 1), len(shots) - 1)
    return list(shots[held:]), list(shots[:held])


def flat(shots: Iterable[Shot]) -> list[Picture]:
    """All their pictures."""
    return [picture for own in shots for picture in own]


def _share(shot: Shot) -> float:
    return share_of(_source(shot[0].path.name))


def _source(name: str) -> str:
    return _VERSION.sub("", name)


def share_of(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _by_file(found: Annotated, path: Path) -> Halves:
    rows = _rows(path)
    there, _ = runs.parted([*walk(found.root)])
    files = [PurePosixPath(file.as_posix()) for file in there]
    by_name: dict[str, list[PurePosixPath]] = {}
    for file in files:
        by_name.setdefault(file.name, []).append(file)
        if file.suffix.lower() in PICTURES:
            by_name.setdefault(file.stem, []).append(file)
    known = set(files)
    part_of: dict[PurePosixPath, str] = {}
    for number, (name, part) in rows.items():
        given = PurePosixPath(name.replace("\\", "/"))
        matches = [given] if given in known else _matching(given, by_name)
        if len(matches) != 1:
            fault = "is in the folder several times" if matches else "is not in the folder"
            raise ValueError(
                f"{path}, line {number}: {name} {fault} {found.root}: give its path in the folder"
            )
        if part_of.setdefault(matches[0], part) != part:
            raise ValueError(
                f"{path}, line {number}: {name} is {part} here and {part_of[matches[0]]} before: "
                "name it once"
            )
    return _halves(found, path, part_of)


def _matching(given: PurePosixPath, by_name: dict[str, list[PurePosixPath]]) -> list[PurePosixPath]:
    """The files whose path ends like that; a picture's ending may be left out."""
    count = len(given.parts)
    return [
        file for file in by_name.get(given.name, []) if given.parts[:-1] == file.parts[-count:-1]
    ]


def _halves(found: Annotated, path: Path, part_of: dict[PurePosixPath, str]) -> Halves:
    """Pictures that the file does not name are on the side that it does not list, else left out."""
    named: dict[str, list[Picture]] = {}
    unnamed = []
    for picture in found.pictures():
        file = PurePosixPath(picture.path.relative_to(found.root).as_posix())
        if file in part_of:
            named.setdefault(part_of[file], []).append(picture)
        else:
            unnamed.append(picture)
    listed = set(part_of.values())
    held_name = "test" if "test" in listed else "val"
    train, held = named.get("train", []), named.get(held_name, [])
    if held_name == "test":
        train = [*train, *named.get("val", [])]
    notes = [f"by {path.name}: evaluated on {held_name}" if held_name in listed else ""]
    if held_name not in listed:
        held, notes = unnamed, [f"by {path.name}: evaluated on the pictures that it does not name"]
    elif "train" not in listed:
        train = [*train, *unnamed]
        notes.append("trained on the pictures that it does not name")
    elif unnamed:
        notes.append(f"left out: {counted(len(unnamed), 'picture')} that it does not name")
    without = len(part_of) - sum(map(len, named.values()))
    if without:
        notes.append(f"{without} that it names have no usable annotation")
    return train, held, ", ".join(notes)


def _rows(path: Path) -> dict[int, tuple[str, str]]:
    """Line -> the picture and its part. A first line of headings is passed over."""
    if not path.is_file():
        raise FileNotFoundError(f"--split-file {path} does not exist: give a file of `path split`")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"--split-file {path} is not a text in UTF-8: save it as one") from error
    rows: dict[int, tuple[str, str]] = {}
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, part = _fields(line)
        if part.lower() in PARTS and name:
            rows[number] = (name, PARTS[part.lower()])
        elif not (first and name.lower() in ("path", "file", "image", "filename", "file_name")):
            raise ValueError(
                f"{path}, line {number}: {line.strip()!r} does not end with a split: write a "
                f"picture and one of {', '.join(PARTS)}"
            )
        first = False
    if not rows:
        raise ValueError(f"--split-file {path} names no picture: write lines of `path split`")
    return rows


def _fields(line: str) -> tuple[str, str]:
    """The picture and its part, from `path split` or `path,split`; the path may hold spaces."""
    for delimiter in (",", ";", "\t"):
        if delimiter in line:
            fields = next(csv.reader(io.StringIO(line), delimiter=delimiter))
            if len(fields) == 2:
                return fields[0].strip(), fields[1].strip()
    name, _, part = line.strip().rpartition(" ")
    return name.strip().strip('"'), part
