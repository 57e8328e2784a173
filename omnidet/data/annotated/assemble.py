"""Sheets -> pictures with boxes: each picture once, each box in the picture as it is shown, and an
account of all the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from omnidet.data.annotated import boxes as geometry
from omnidet.data.annotated import contradictions, frames, pictures, reach, twins, units
from omnidet.data.annotated.account import Account
from omnidet.data.annotated.contradictions import Look
from omnidet.data.annotated.pictures import Opened
from omnidet.data.folder_formats import lists
from omnidet.data.folder_formats.folder import Folder
from omnidet.data.folder_formats.sheets import NO_BOX, Corners, Found, Shape, Sheet

OTHER_SIZE = "annotation of a picture of another size"
WHICH_WAY = (
    "photograph that EXIF turns, and nothing says which way its boxes were drawn "
    "(--exif upright or --exif stored says it)"
)
ORIGINS = "picture that annotations from different folders fit"
NO_ANNOTATION = "picture without an annotation"
NO_USABLE_ANNOTATION = "picture without an annotation that can be used"
SAME_PICTURE = "copy of a picture, whose boxes count for both"
COPIES_DIFFER = "picture with a copy that is annotated differently"
NOTHING_KNOWN = "picture of which nothing is known"
"""Reasons, as people read them."""


@dataclass
class Draft:
    """A picture while its boxes are gathered."""

    path: Path
    opened: Opened
    split: str = ""
    boxes: list[geometry.Placed] = field(default_factory=list)
    looks: dict[str, Look] = field(default_factory=dict)
    """What the annotations of each series looked for."""
    covered: set[str] = field(default_factory=set)
    """Names that were looked for."""
    covers_all: bool = False
    doubts: set[str] = field(default_factory=set)
    """Names that something unreadable bears."""
    doubts_all: bool = False
    """Something unreadable is there whose name is not known."""
    is_open: bool = False
    """Several files complete one another, and nothing says that all of them are there."""

    def doubt(self, shape: Shape) -> None:
        """Something is there that cannot be used: its name is neither exhaustive nor absent."""
        if shape.name is None:
            self.doubts_all = True
        else:
            self.doubts.add(shape.name)

    def unknown(self, names: Iterable[str]) -> frozenset[str]:
        """Names that may be there without a box."""
        shown = {box.name for box in self.boxes}
        return frozenset(
            name
            for name in names
            if self.doubts_all
            or name in self.doubts
            or not (self.covers_all or name in self.covered)
            or (self.is_open and name not in shown)
        )


def assemble(found: Found, folder: Folder, exif: str, account: Account) -> list[Draft]:
    """The pictures that can be used, with all their boxes.

    Raises ValueError where the boxes are in another unit.
    """
    frames.require_in_step(folder.root, found.sheets, folder.pictures)
    by_picture: dict[Path, list[Sheet]] = defaultdict(list)
    for sheet in found.sheets:
        if sheet.picture is None:
            _leave(sheet, sheet.problem, account)
        else:
            by_picture[sheet.picture].append(sheet)
    drafts, framed = [], []
    for path, sheets in sorted(by_picture.items()):
        opened = _opened(folder, path, sheets)
        if isinstance(opened, str):
            account.leave("pictures", opened, str(path))
            for sheet in sheets:
                _leave(sheet, sheet.problem or opened, account)
            continue
        draft = Draft(path, opened)
        usable = [s for s in sheets if _is_usable(s, draft, exif, account)]
        if not usable:
            account.leave("pictures", NO_USABLE_ANNOTATION, f"{path}: {sheets[0].place}")
            continue
        drafts.append(draft)
        framed += [(draft, sheet) for sheet in usable]
    for is_in_shares in (False, True):  # each table has its own unit
        own = [(d, sheet) for d, sheet in framed if (sheet.unit == "shares") == is_in_shares]
        shapes = [drawn for draft, sheet in own for drawn in _drawn(draft, sheet, exif)]
        account.notes += _checked(shapes, found, is_in_shares, folder.root)
    boxed = {s.name for sheet in found.sheets for s in sheet.shapes if s.corners is not None}
    for draft, sheet in framed:
        _place(draft, sheet, exif, account, boxed)
    if _mark_open(framed):
        account.notes.append(
            "some pictures have several annotation files that do not list their names: "
            "what is not drawn in a picture is unknown there, not absent"
        )
    _split_by_lists(folder, drafts, account)
    contradictions.settle(folder.root, drafts, account)
    merged = _merged(drafts, account)
    for draft in merged:
        doubts = geometry.settle(draft.boxes, account)
        draft.doubts |= doubts
    _count_pictures(folder, by_picture, merged, account)
    said = twins.note(merged)
    account.notes += [said] if said else []
    return merged


def _checked(
    shapes: Sequence[units.Drawn], found: Found, is_in_shares: bool, root: Path
) -> list[str]:
    """What is doubtful in the unit of the boxes; ValueError where they are in another one."""
    boxes = [shape for shape in shapes if not shape.is_outline]
    parts = {Path(): boxes, **units.parts(boxes)}
    for place, own in parts.items():
        units.check(own, found.layout, is_in_shares, found.title, str(root / place))
    said = [units.doubt(own, found.layout, is_in_shares) for own in parts.values()]
    return [*reach.doubts(shapes, is_in_shares), *list(filter(None, said))[:1]]


def _leave(sheet: Sheet, reason: str, account: Account) -> None:
    account.leave("annotations", reason, sheet.place)
    for shape in sheet.shapes:
        account.leave("boxes", reason, f"{sheet.place} {shape.where}".strip())


def _opened(folder: Folder, path: Path, sheets: Sequence[Sheet]) -> Opened | str:
    opened = pictures.open_picture(folder.root / path)
    if not isinstance(opened, str) and len({sheet.origin for sheet in sheets}) > 1:
        return ORIGINS
    return opened


def _is_usable(sheet: Sheet, draft: Draft, exif: str, account: Account) -> bool:
    """Whether the positions of the sheet's shapes are known.

    If not, the reason goes into the account, and the names on the sheet are marked as in doubt.
    """
    problem = sheet.problem or _frame_problem(sheet, draft.opened, exif)
    if not problem:
        return True
    if problem == OTHER_SIZE and sheet.size is not None:
        said, real = (f"{width} x {height}" for width, height in (sheet.size, draft.opened.size))
        sheet = replace(
            sheet, where=f"{sheet.where} (it says {said}, the picture has {real})".strip()
        )
    _leave(sheet, problem, account)
    for shape in sheet.shapes:
        draft.doubt(shape)
    return False


def _frame_problem(sheet: Sheet, opened: Opened, exif: str) -> str:
    if not sheet.shapes:
        return ""
    shown, stored = opened.size, opened.stored
    is_turned = opened.orientation != 1
    sizes = (shown, stored) if is_turned else (shown,)
    if sheet.size is not None and sheet.unit == "pixels":
        is_known = any(_is_same_size(sheet.size, size) for size in sizes)
        if not is_known:
            return OTHER_SIZE
    if sheet.size is not None and not is_turned and _lies_across(sheet.size, shown):
        return OTHER_SIZE
    if is_turned and _is_stored(sheet, opened, exif) is None:
        return WHICH_WAY
    return ""


def _lies_across(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether one is higher than wide and the other wider than high."""
    return (one[0] - one[1]) * (other[0] - other[1]) < 0


def _is_same_size(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes are equal up to one pixel, because tools round."""
    return abs(one[0] - other[0]) <= 1 and abs(one[1] - other[1]) <= 1


def _is_stored(sheet: Sheet, opened: Opened, exif: str) -> bool | None:
    """Whether the shapes were drawn on the picture as it is stored, not as it is shown; None if
    that cannot be known.
    """
    if opened.orientation == 1:
        return False
    if sheet.size is not None and opened.size != opened.stored:
        if sheet.unit == "shares":  # a copy of another size was drawn on
            wide = sheet.size[0] > sheet.size[1]
            if sheet.size[0] != sheet.size[1]:
                return wide == (opened.stored[0] > opened.stored[1])
        else:
            is_shown = _is_same_size(sheet.size, opened.size)
            if is_shown != _is_same_size(sheet.size, opened.stored):
                return not is_shown
    return {"upright": False, "stored": True}.get(exif)


def _frame(draft: Draft, sheet: Sheet, exif: str) -> tuple[tuple[int, int], int]:
    """(width, height) of the picture as the annotator saw it, and the EXIF orientation still to be
    applied to show it upright.
    """
    opened = draft.opened
    if _is_stored(sheet, opened, exif):
        return opened.stored, opened.orientation
    return opened.size, 1


def _drawn(draft: Draft, sheet: Sheet, exif: str) -> Iterable[units.Drawn]:
    size, _ = _frame(draft, sheet, exif)
    for shape in sheet.shapes:
        if shape.corners is not None and not shape.problem:
            where = f"{sheet.place} {shape.where}"
            yield units.Drawn(
                shape.corners,
                size,
                shape.area,
                shape.outline,
                where,
                draft.path,
                sheet.file,
                shape.is_outline,
            )


def _place(
    draft: Draft, sheet: Sheet, exif: str, account: Account, boxed: Container[str | None]
) -> None:
    """Put the shapes of a sheet into the picture as it is shown.

    Args:
        boxed: names of which the folder has a box: the points of others, such as the corners of an
            eye, are not boxes that are lost.
    """
    account.keep("annotations")
    size, orientation = _frame(draft, sheet, exif)
    draft.split = draft.split or sheet.split
    if sheet.split and sheet.split != draft.split:
        draft.split = min(draft.split, sheet.split, key=("test", "val", "train").index)
    series = sheet.series or str(sheet.file)
    draft.looks[series] = Look(sheet.file, sheet.covers)
    draft.covers_all |= sheet.covers is None
    draft.covered |= sheet.covers or frozenset()
    for shape in sheet.shapes:
        where = f"{sheet.place} {shape.where}".strip()
        placed: Corners | str = shape.problem
        if shape.corners is not None and not shape.problem:
            corners = shape.corners
            if sheet.unit == "shares":
                x0, y0, x1, y1 = corners
                corners = x0 * size[0], y0 * size[1], x1 * size[0], y1 * size[1]
            turned = pictures.to_upright(corners, orientation, draft.opened.stored)
            placed = geometry.clipped(turned, draft.opened.size)
        if isinstance(placed, str) or shape.name is None:
            draft.doubt(shape)
            is_loss = shape.problem != NO_BOX or shape.name in boxed
            account.leave("boxes", str(placed), where, is_loss=is_loss)
        else:
            draft.boxes.append(geometry.Placed(shape.name, placed, shape.is_crowd, series, where))


def _split_by_lists(folder: Folder, drafts: Sequence[Draft], account: Account) -> None:
    """Give pictures the split of the lists that name them, where nothing else says one."""
    without = [draft for draft in drafts if not draft.split]
    if not without:
        return
    listed = lists.Lists(folder)
    for draft in without:
        draft.split = listed.of(draft.path)
    if any(draft.split for draft in without):
        account.notes += listed.notes()


def _mark_open(framed: Sequence[tuple[Draft, Sheet]]) -> bool:
    """Where some pictures have several files that do not list their names, none of the files says
    what is absent.
    """
    files: dict[int, set[Path]] = defaultdict(set)
    for draft, sheet in framed:
        if sheet.covers is None:
            files[id(draft)].add(sheet.file)
    is_open = any(len(own) > 1 for own in files.values())
    for draft, _ in framed:
        draft.is_open = is_open
    return is_open


def _merged(drafts: Sequence[Draft], account: Account) -> list[Draft]:
    """One draft for each content: copies of a picture are one picture, or none where they are
    annotated differently.
    """
    found: dict[bytes, Draft] = {}
    differing: dict[bytes, str] = {}
    for draft in drafts:
        first = found.setdefault(draft.opened.digest, draft)
        if first is draft:
            continue
        both = f"{draft.path} and {first.path}"
        account.leave("pictures", SAME_PICTURE, both, is_loss=False)
        if contradictions.differ(first, draft):
            differing.setdefault(draft.opened.digest, both)
        first.boxes += draft.boxes
        first.looks |= draft.looks
        first.covered |= draft.covered
        first.covers_all |= draft.covers_all
        first.doubts |= draft.doubts
        first.doubts_all |= draft.doubts_all
        if draft.split and draft.split != first.split:
            splits = [split for split in (first.split, draft.split) if split]
            first.split = min(splits, key=("test", "val", "train").index)
    for digest, both in differing.items():
        account.leave("pictures", COPIES_DIFFER, both)
        for box in found.pop(digest).boxes:
            account.leave("boxes", COPIES_DIFFER, f"{both}: {box.where}")
    return list(found.values())


def _count_pictures(
    folder: Folder,
    by_picture: Mapping[Path, Sequence[Sheet]],
    merged: Sequence[Draft],
    account: Account,
) -> None:
    account.keep("pictures", len(merged))
    without = [path for path in folder.pictures if path not in by_picture]
    if without:
        first = str(without[0])
        account.leave("pictures", NO_ANNOTATION, first, len(without), is_loss=False)
    for path in folder.other_pictures:
        reason = f"picture that ends in {path.suffix.lower()}, which is not read"
        account.leave("pictures", reason, str(path), is_loss=False)
