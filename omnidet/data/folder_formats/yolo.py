"""YOLO txt: a line a box, as shares of the picture; https://docs.ultralytics.com/datasets/detect/.

Outlines and oriented boxes (`class x y x y ...`) become the boxes around them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omnidet.data.folder_formats import lookup, numbering
from omnidet.data.folder_formats.folder import Folder, split_of_folders
from omnidet.data.folder_formats.lists import Lists, text_of
from omnidet.data.folder_formats.sheets import (
    NO_AREA,
    UNKNOWN_CLASS,
    Found,
    Shape,
    Sheet,
    number,
    scored,
)
from omnidet.data.folder_formats.yolo_names import Names, NamesOf, name_files
from omnidet.data.folder_formats.yolo_rows import Reading, Row, looks_like_label, reading, rows

_FIRST = ("test", "val", "train")
"""A folder of several splits is of the first of these: nothing is trained on what is evaluated on.
"""
_LEAST_FILES = 5
"""Label files of a folder whose class numbers are looked at without those of the others."""
TITLE = "YOLO txt"
UNREADABLE = "label file that is not UTF-8"
NOT_A_BOX = "line that is not a box"
TWO_LABELS = "label file of a picture that has another one, which differs"


def read(folder: Folder) -> Found | None:
    """Every label file.

    Raises ValueError where the names of the classes are not given, or contradict one another.
    """
    lists = Lists(folder)
    texts = _labels(folder, lists)
    if not any(looks_like_label(found or []) for found in texts.values()):
        return None
    names = NamesOf(folder)
    if names.is_empty and not any(_has_numbered_class(found or []) for found in texts.values()):
        return None  # words and numbers, as KITTI writes them
    described = names.description
    meant = {path: names.of(path) for path in texts}
    for split, places in (described.folders if described else {}).items():
        for place in places:
            if place.suffix.lower() == ".txt":
                lists.add(place, split)
    plan = reading(
        [(folder.root / path, row) for path, found in texts.items() for row in found or []],
        described.keypoints if described else None,
    )
    sheets = [_sheet(folder, path, texts[path], meant[path], plan, lists) for path in texts]
    in_order = dict.fromkeys(n for m in meant.values() for _, n in sorted(m.by_number.items()))
    drawn = [sheet.file for sheet in sheets if sheet.picture is not None]
    read = {path: texts[path] or [] for path in drawn}
    used = _used(read, meant, plan)
    # Folders by themselves as well: the labels of one may count from another number.
    alone = [
        (place, _used({path: read[path] for path in own}, meant, plan))
        for place, own in _by_folder(drawn).items()
    ]
    faults = [_fault(names, own) or _of_names(names, own) for names, own in used]
    faults += [_fault(names, own, place) for place, found in alone for names, own in found]
    fault = next(filter(None, faults), "")
    notes = [*_notes(described, meant), *_notes_of_first(used), *lists.notes()]
    notes += scored((plan.confidence(r) for own in texts.values() for r in own or []), "the labels")
    kept = _one_each(folder, sheets)
    return Found(TITLE, "cxcywh", kept, tuple(in_order), notes, fault)


def _has_numbered_class(found: list[Row]) -> bool:
    return any(number(row.kind) is not None for row in found)


def _labels(folder: Folder, lists: Lists) -> dict[Path, list[Row] | None]:
    """The rows of each text file that a picture has, or that looks like a label; None for one that
    is not UTF-8.
    """
    others = {*lists.files, *name_files(folder)}
    found: dict[Path, list[Row] | None] = {}
    unclear: dict[Path, list[Row]] = {}
    for path in folder.with_suffix(".txt"):
        if path in others:
            continue
        has_picture = (
            folder.key(path.stem) in folder.by_stem or folder.key(path.stem) in folder.by_name
        )
        text = text_of(folder, path)
        own = None if text is None else rows(text)
        if has_picture or (own is not None and looks_like_label(own)):
            found[path] = own
        elif own:
            unclear[path] = own
    # Without a picture and a row that can be read, it is a label if it lies among labels.
    folders = {path.parent for path in found}
    found |= {
        path: own
        for path, own in unclear.items()
        if path.parent in folders and all(number(row.kind) is not None for row in own)
    }
    return dict(sorted(found.items()))


def _sheet(
    folder: Folder,
    path: Path,
    found: list[Row] | None,
    names: Names,
    plan: Reading,
    lists: Lists,
) -> Sheet:
    split = split_of_folders(path)
    hit = _picture(folder, path, split)
    shapes = tuple(_shape(row, names, plan) for row in found or [])
    told = _described_split(names, hit.picture) or lists.of(hit.picture) or split
    problem = UNREADABLE if found is None else ""
    if shapes and all(shape.corners is None for shape in shapes):
        problem = NOT_A_BOX
    return Sheet(
        path,
        hit.picture,
        shapes,
        hit.problem or problem,
        unit="shares",
        covers=frozenset(names.by_number.values()),
        split=told or (split_of_folders(hit.picture) if hit.picture else ""),
        origin=hit.origin,
        where=f"({hit.detail})" if hit.detail else "",
    )


def _picture(folder: Folder, path: Path, split: str) -> lookup.Hit:
    """`a.jpg.txt` belongs to `a.jpg`, else a label to the picture of its name without ending."""
    if folder.key(path.stem) not in folder.by_name:
        hit = lookup.find_by_stem(folder, path.stem, path, split)
        if hit.problem != lookup.NOT_THERE:
            return hit
    return lookup.find(folder, path.stem, path, split)


def _shape(row: Row, names: Names, plan: Reading) -> Shape:
    corners, is_outline = plan.corners(row)
    name = _named(row.kind, names)
    if corners is None:
        return Shape(name, None, NOT_A_BOX, where=row.where)
    problem = "" if name is not None else UNKNOWN_CLASS
    where = row.where if name is not None else f"{row.where}: class {row.kind} of {names}"
    if not problem and (corners[2] <= corners[0] or corners[3] <= corners[1]):
        problem = NO_AREA
    return Shape(name, corners, problem, is_outline=is_outline, where=where)


def _named(kind: str, names: Names) -> str | None:
    """The name of a class, which some tools write in place of its number."""
    value = number(kind)
    if value is None:
        return kind if kind in names.by_number.values() else None
    return names.by_number.get(int(value)) if value == int(value) else None


def _used(
    texts: Mapping[Path, Sequence[Row]], meant: Mapping[Path, Names], plan: Reading
) -> list[tuple[Names, Counter[int]]]:
    """The boxes of each number, by the names that they mean: files with the same names are one."""
    found: dict[tuple[tuple[int, str], ...], tuple[Names, Counter[int]]] = {}
    for path, own in texts.items():
        names = meant[path]
        _, used = found.setdefault(tuple(names.by_number.items()), (names, Counter()))
        values = [number(row.kind) for row in own if plan.corners(row)[0] is not None]
        used.update(int(value) for value in values if value is not None and value == int(value))
    return list(found.values())


def _by_folder(paths: Sequence[Path]) -> dict[Path, list[Path]]:
    """The label files of each folder that has enough of them to judge alone."""
    found: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        found[path.parent].append(path)
    return {p: own for p, own in found.items() if _LEAST_FILES <= len(own) < len(paths)}


def _fault(names: Names, used: Mapping[int, int], place: Path | None = None) -> str:
    """Of labels that count from another number; `place`: the folder of these, if not of all."""
    words = ("class", str(names.file), "labels" if place is None else f"labels in {place}")
    found = numbering.fault(used, names.by_number, names.nameless, words)
    if found is None:
        return ""
    first, said = found
    if place is not None:
        return (
            f"{said}; number the labels in {place} like the others, or take the boxes of the "
            "other class out if they are left over"
        )
    as_written = names.numbered_from(first)
    return (
        f"{said}; number the names in {names.file} like that ({as_written}), or name the other "
        "class there too if it is one, or take its boxes out if they are left over"
    )


def _of_names(names: Names, used: Mapping[int, int]) -> str:
    words = ("class", str(names.file), "labels")
    said = numbering.of_none(used, names.by_number, words)
    return said or numbering.twice(used, names.by_number, words)


def _notes_of_first(used: Sequence[tuple[Names, Mapping[int, int]]]) -> list[str]:
    """Where the last class does not occur, labels that count from 1 leave no other sign."""
    return [
        f"class 0 of {names.file}, {names.by_number[0]!r}, has no box: if the labels count from 1, "
        f"every box has the name of the next class; look at a few pictures, and number the names "
        f"like that ({names.numbered_from(1)}) if so"
        for names, own in used
        if own
        and 0 in names.by_number
        and 0 not in own
        and not numbering.stands_for_none(names.by_number[0])
    ]


def _described_split(names: Names, picture: Path | None) -> str:
    """The split whose folder in data.yaml is the nearest one above the picture; "" if that folder
    is all that is trained on, and evaluated on as well.
    """
    if picture is None:
        return ""
    found: dict[int, set[str]] = defaultdict(set)
    for split, places in names.folders.items():
        for place in places:
            if place == Path() or place in picture.parents:
                found[len(place.parts)].add(split)
    nearest = found[max(found)] if found else set()
    others = {p for split, places in names.folders.items() if split != "train" for p in places}
    if nearest > {"train"} and others.issuperset(names.folders["train"]):
        return ""
    return min(nearest, key=_FIRST.index, default="")


def _one_each(folder: Folder, sheets: list[Sheet]) -> list[Sheet]:
    """A picture has one label file; of several that differ, nothing says which is right."""
    by_picture: dict[Path, list[Sheet]] = defaultdict(list)
    for sheet in sheets:
        if sheet.picture is not None:
            by_picture[sheet.picture].append(sheet)
    kept = [sheet for sheet in sheets if sheet.picture is None]
    for own in by_picture.values():
        if len(own) > 1 and folder.same([sheet.file for sheet in own]):
            own = [replace(sheet, origin="") for sheet in own]
        elif len(own) > 1:
            pairs = zip(own, own[1:] + own[:1], strict=True)
            own = [
                replace(sheet, picture=None, problem=TWO_LABELS, where=f"and {other.file}")
                for sheet, other in pairs
            ]
        kept += own
    return kept


def _notes(described: Names | None, meant: Mapping[Path, Names]) -> list[str]:
    used = described or next(iter(meant.values()))
    notes = [f"names from {used.file}"]
    if described is None:
        return notes
    count = len(described.by_number)
    if described.num_classes is not None and described.num_classes != count:
        notes.append(f"{described.file} says nc: {described.num_classes} and names {count} classes")
    notes += [f"{described.file} names {entry}, which is not there" for entry in described.absent]
    notes += [
        f"{described.file} names {entry}, which is not a split: write train, val or test"
        for entry in described.strange
    ]
    counts = Counter(place for places in described.folders.values() for place in set(places))
    shared = sorted(str(place) for place, count in counts.items() if count > 1)
    if shared:
        notes.append(
            f"{described.file} names {shared[0]} for several splits: it is evaluated on, unless "
            "nothing else is there to train on"
        )
    return notes
