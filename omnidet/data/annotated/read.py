"""A folder -> its pictures with their boxes, whatever tool annotated it; or a refusal with the
reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omnidet.counted import counted
from omnidet.data.annotated import assemble, phrases, refusals, unlooked
from omnidet.data.annotated.account import Account
from omnidet.data.annotated.assemble import Draft
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.formats import FORMATS
from omnidet.data.annotated.pictures import Opened
from omnidet.data.folder_formats import runs
from omnidet.data.folder_formats.folder import Folder, walk
from omnidet.data.folder_formats.sheets import Found

ONLY_CROWDS = "box around a group, of a name that has no other box"


@dataclass(frozen=True)
class Box:
    """One annotated box."""

    name: str
    """The phrase that the vocabulary reads."""
    xywh: tuple[float, float, float, float]
    """Pixels of the picture as viewers show it; inside it, and with an area."""
    is_crowd: bool = False
    """Frames a group: the name is not exhaustive in this picture."""


@dataclass(frozen=True)
class Picture:
    """One picture and its boxes."""

    path: Path
    """Where the file is."""
    opened: Opened
    boxes: tuple[Box, ...]
    unknown: frozenset[str] = frozenset()
    """Names that it may show without a box: neither exhaustive nor absent.

    Crowds say so themselves.
    """


@dataclass(frozen=True, eq=False)
class Annotated:
    """An annotated folder as it was read."""

    root: Path
    format: str
    names: tuple[str, ...]
    """Phrases in the order of the dataset; each has a box."""
    splits: Mapping[str, Sequence[Picture]]
    """`train`, `val`, `test`; what is in no split stands under ``."""
    account: Account

    def pictures(self) -> Iterator[Picture]:
        """All of them."""
        for members in self.splits.values():
            yield from members


def read(root: Path, config: ReadConfig | None = None) -> Annotated:
    """What the folder holds.

    Raises FileNotFoundError or ValueError that says what was looked for, or what is wrong.
    """
    config = config or ReadConfig()
    if not root.is_dir():
        raise FileNotFoundError(refusals.not_a_folder(root))
    table = phrases.read_table(Path(config.names)) if config.names else {}
    files, said = runs.parted(sorted(walk(root)))
    folder, account = Folder(root, files), Account()
    account.notes += [said] if said else []
    found = _found(folder, config.format)
    if found.fault:
        raise ValueError(f"{root}: {found.fault}")
    account.notes += found.notes
    drafts = assemble.assemble(found, folder, config.exif, account)
    kept = Counter(b.name for draft in drafts for b in draft.boxes if not b.is_crowd)
    if not kept:
        raise ValueError(refusals.no_box(folder, found.title, account))
    account.require_share(config.max_lost, str(root), refusals.REMEDIES)
    drafts = unlooked.left_out(drafts, account)
    names = _names(found, drafts, kept, account)
    chosen = phrases.phrases(names, _only(table, found, names), str(root))
    account.notes += _renamed(chosen)
    account.notes += _without_a_box(drafts)
    account.notes += phrases.doubts(
        [box.name for box in draft.boxes if box.name in chosen and box.name not in table]
        for draft in drafts
    )
    return _annotated(folder, found, drafts, chosen, account)


def _found(folder: Folder, kind: str) -> Found:
    """What the reader of the folder's only format found.

    Raises ValueError if there are annotations in no format, or in several.
    """
    found: dict[str, Found] = {}
    problems: dict[str, ValueError] = {}
    for entry in FORMATS:
        if kind in ("", entry.name):
            try:
                result = entry.read(folder)
            except ValueError as error:
                problems[entry.name] = error
                continue
            if result is not None:
                found[entry.name] = result
    found, problems = _first(found, problems)
    if len(found) + len(problems) > 1:
        raise ValueError(
            f"{folder.root} has annotations in several formats ({', '.join([*found, *problems])}): "
            "name one with --format"
        )
    for problem in problems.values():
        named = "" if kind else refusals.not_read(folder, ".txt")
        raise ValueError(named or str(problem)) from problem
    if not found:
        raise ValueError(refusals.nothing(folder, kind))
    return next(iter(found.values()))


def _first(
    found: Mapping[str, Found], problems: Mapping[str, ValueError]
) -> tuple[dict[str, Found], dict[str, ValueError]]:
    """The formats that remain without those whose boxes have no pictures, and without those that
    another one takes precedence over.
    """
    usable = {name for name, result in found.items() if _has_pictures(result)} or set(found)
    second = {entry.name for entry in FORMATS if entry.is_second}
    left_out = second if usable - second else set()
    notes = [
        f"not read: {result.title}, of which no box has a picture"
        if name not in usable
        else f"not read: {result.title}, which --format {name} reads"
        for name, result in found.items()
        if name not in usable or name in left_out
    ]
    kept = {name: found[name] for name in found if name in usable - left_out}
    return (
        {name: replace(result, notes=[*result.notes, *notes]) for name, result in kept.items()},
        {name: problem for name, problem in problems.items() if name not in left_out},
    )


def _has_pictures(found: Found) -> bool:
    return any(sheet.picture is not None and sheet.shapes for sheet in found.sheets)


def _without_a_box(drafts: Sequence[Draft]) -> list[str]:
    """Tools list every picture of a job, those as well that nobody has come to."""
    empty = [draft for draft in drafts if not (draft.boxes or draft.doubts or draft.doubts_all)]
    if not empty:
        return []
    return [
        f"{len(empty)} of {counted(len(drafts), 'picture')} have no box (first: {empty[0].path}): "
        "they teach that none of the names is there; take them out if nobody has looked at them"
    ]


def _names(
    found: Found, drafts: Sequence[Draft], kept: Mapping[str, int], account: Account
) -> list[str]:
    """Names with a box, in the order of the dataset; of the others nothing can be learned or
    measured.
    """
    covered = {name for draft in drafts for name in draft.covered}
    drawn = {name for d in drafts for name in (*d.doubts, *(box.name for box in d.boxes))}
    without = [n for n in dict.fromkeys([*found.names, *sorted(covered | drawn)]) if n not in kept]
    if without:
        shown = ", ".join(map(repr, without[:10])) + (", ..." if len(without) > 10 else "")
        account.notes.append(f"left out of the names, without a box: {shown}")
    in_order = dict.fromkeys([*found.names, *sorted(kept)])
    return [name for name in in_order if name in kept]


def _only(table: Mapping[str, str], found: Found, names: Sequence[str]) -> dict[str, str]:
    """The table without the names that the folder knows and that have no box."""
    return {n: p for n, p in table.items() if n in names or n not in found.names}


def _renamed(chosen: Mapping[str, str]) -> list[str]:
    changed = [f"{name} -> {phrase}" for name, phrase in chosen.items() if name != phrase]
    return [f"names as phrases: {', '.join(changed)}"] if changed else []


def _annotated(
    folder: Folder,
    found: Found,
    drafts: Sequence[Draft],
    chosen: Mapping[str, str],
    account: Account,
) -> Annotated:
    splits: dict[str, list[Picture]] = {}
    for draft in drafts:
        for box in draft.boxes:
            if box.name not in chosen:
                account.take_back("boxes", ONLY_CROWDS, box.where, is_loss=False)
        boxes = tuple(
            Box(chosen[b.name], _xywh(b.corners), b.is_crowd)
            for b in draft.boxes
            if b.name in chosen
        )
        unknown = frozenset(chosen[name] for name in draft.unknown(chosen))
        if not boxes and unknown >= set(chosen.values()):
            account.take_back("pictures", assemble.NOTHING_KNOWN, str(draft.path), is_loss=False)
            continue
        picture = Picture(folder.root / draft.path, draft.opened, boxes, unknown)
        splits.setdefault(draft.split, []).append(picture)
    names = tuple(dict.fromkeys(chosen.values()))
    return Annotated(folder.root, found.title, names, splits, account)


def _xywh(corners: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = corners
    return x0, y0, x1 - x0, y1 - y0
