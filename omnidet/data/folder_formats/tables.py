"""Tables of boxes, a row a box: `filename,width,height,class,xmin,ymin,xmax,ymax` as scripts for
TensorFlow and Roboflow write it, Open Images, `path,x1,y1,x2,y2,class` without a head line, and
what Make Sense exports.

Else only corners are read: of four numbers called x, y, width and height nothing says whether they
begin at a corner or at the centre.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omnidet.data.folder_formats import lookup
from omnidet.data.folder_formats.folder import (
    PICTURES,
    Folder,
    parts_of,
    split_of_file,
    split_of_folders,
)
from omnidet.data.folder_formats.lists import text_of
from omnidet.data.folder_formats.sheets import (
    NO_NAME,
    Corners,
    Found,
    Shape,
    Sheet,
    no_box,
    number,
    scored,
    size_of,
)
from omnidet.data.folder_formats.written_splits import splits_of
from omnidet.data.reading import annotations as files

_COLUMNS = {
    "picture": "filename file image imagename imagefilename imageid imageurl imagepath path "
    "filepath img imgname externalid",
    "name": "class label classname labelname category categoryname name object objectclass",
    "x0": "xmin x1 left bboxxmin xtl",
    "y0": "ymin y1 top bboxymin ytl",
    "x1": "xmax x2 right bboxxmax xbr",
    "y1": "ymax y2 bottom bboxymax ybr",
    "width": "width imagewidth imgwidth",
    "height": "height imageheight imgheight",
    "split": "split subset set dataset partition",
    "group": "isgroupof",
    "score": "score confidence conf prob probability",
}
"""Words for the columns, without case, blanks and signs; of several the first, but of those for the
name the first that holds words.
"""
_NEEDED = ("picture", "name", "x0", "y0", "x1", "y1")
_BARE = ("picture", "x0", "y0", "x1", "y1", "name")
_MAKE_SENSE = ("name", "x0", "y0", "across", "down", "picture", "width", "height")
_MAKE_SENSE_HEAD = "labelname bboxx bboxy bboxwidth bboxheight imagename imagewidth imageheight"
"""The tool's own columns, of which it is known that boxes begin at the upper left corner."""
_ENDINGS = (".csv", ".tsv")
_SIDES = ("x0", "y0", "x1", "y1")
_MAX_SHARE = 1.001
MORE_CELLS = "row with more cells than columns, as commas in names and numbers make it"
_NUMBER = re.compile(r"[-+]?[0-9]+([.,][0-9]*)?|nan", re.IGNORECASE)
_MARK_LINE = re.compile(r"\"?sep=.\"?[;,\t ]*", re.IGNORECASE)
"""By which spreadsheet programs tell one another what parts the cells."""
_MARK = re.compile(r"/[a-z]/\S+")
"""What Open Images writes for the name of a class."""
_Row = Mapping[str, str]


@dataclass(frozen=True)
class _Table:
    path: Path
    rows: Sequence[tuple[int, _Row]]
    """By the number of the line."""
    is_in_shares: bool
    is_open_images: bool
    splits: Mapping[str, str]
    """By what the column says."""
    notes: Sequence[str]


def read(folder: Folder) -> Found | None:
    """All the tables of the folder that have the columns."""
    tables = [table for path in folder.with_suffix(*_ENDINGS) if (table := _table(folder, path))]
    if not tables:
        return None
    described = _descriptions(folder) if any(table.is_open_images for table in tables) else {}
    sheets = [sheet for table in tables for sheet in _sheets(folder, table, described)]
    notes = [note for table in tables for note in table.notes]
    fault = next(filter(None, (_undescribed(table, described) for table in tables)), "")
    return Found("table of boxes", "xyxy", sheets, notes=notes, fault=fault)


def _undescribed(table: _Table, described: Mapping[str, str]) -> str:
    """A sentence with the remedy where a table names a class by a mark that nothing describes."""
    marks = (row.get("name", "") for _, row in table.rows if table.is_open_images)
    unknown = next((m for m in marks if _MARK.fullmatch(m) and m not in described), "")
    if not unknown:
        return ""
    return (
        f"{table.path} names a class {unknown!r}, a mark of Open Images that nothing describes: "
        "put class-descriptions-boxable.csv, with lines such as `/m/01yrx,Cat`, into the folder"
    )


def _table(folder: Folder, path: Path) -> _Table | None:
    """A file as a table of boxes; None where it has not the columns.

    Raises ValueError for a word in the column of splits that is not one.
    """
    lines = (text_of(folder, path) or "").splitlines()
    if not lines:
        return None
    skipped = int(bool(_MARK_LINE.fullmatch(lines[0])) and len(lines) > 1)
    lines = lines[skipped:]
    mark = max(",;\t", key=lines[0].count)
    table = csv.reader(lines, delimiter=mark)
    cells = [(place, row) for place, row in enumerate(table, start=1 + skipped)]
    head = [re.sub(r"[^a-z0-9]", "", cell.casefold()) for cell in cells[0][1]]
    columns = {what: _place(head, words.split()) for what, words in _COLUMNS.items()}
    notes, width = [], len(head)
    if all(columns[what] is not None for what in _NEEDED):
        titles, cells = cells[0][1], cells[1:]
        columns["name"], note = _names_column(head, titles, cells)
        notes += [note] if note else []
    elif _is_bare(cells[0][1]):
        columns = {what: place for place, what in enumerate(_BARE)}
    elif _is_make_sense(head, cells[0][1]):
        columns = {what: place for place, what in enumerate(_MAKE_SENSE)}
        cells = cells[head == _MAKE_SENSE_HEAD.split() :]
    else:
        return None
    rows = [
        (place, _filled(row, columns, width)) for place, row in cells if any(map(str.strip, row))
    ]
    numbers = [number(row.get(side)) for _, row in rows for side in _SIDES]
    found = [value for value in numbers if value is not None]
    is_in_shares = bool(found) and max(map(abs, found)) <= _MAX_SHARE
    if is_in_shares:
        notes.append("corners as shares, all of them from 0 to 1")
    splits: dict[str, str] = {}
    if columns.get("split") is not None:
        column = head[columns["split"] or 0]
        written = [(row.get("split", ""), f"{folder.root / path}, line {n}") for n, row in rows]
        splits, note = splits_of(written, f"the column {column!r}", column == "split")
        notes += [note] if note else []
    notes += scored([number(row.get("score")) for _, row in rows], "the table")
    return _Table(
        path,
        rows,
        is_in_shares,
        "imageid" in head and "labelname" in head,
        splits,
        [f"{path}: {note}" for note in notes],
    )


def _filled(row: Sequence[str], columns: Mapping[str, int | None], width: int) -> _Row:
    found = {w: row[c].strip() for w, c in columns.items() if c is not None and c < len(row)}
    for near, far, side in (("x0", "x1", "across"), ("y0", "y1", "down")):
        begin, length = number(found.get(near)), number(found.get(side))
        if begin is not None and length is not None:
            found[far] = str(begin + length)
    return {**found, "more": "".join(row[width:]).strip()}


def _names_column(
    head: Sequence[str], titles: Sequence[str], cells: Sequence[tuple[int, Sequence[str]]]
) -> tuple[int, str]:
    """The column of the names and, where it needs one, a note: of several the first that holds
    words, because numbers stand for names that only the person who made the table knows.
    """
    places = [head.index(word) for word in _COLUMNS["name"].split() if word in head]
    worded = [place for place in places if _holds_words(place, cells)]
    chosen = (worded or places)[0]
    others = ", ".join(repr(titles[place].strip()) for place in places if place != chosen)
    said = f"names from the column {titles[chosen].strip()!r}"
    if not worded and cells:
        return chosen, f"{said}, which holds numbers"
    return chosen, f"{said}, not from {others}" if others else ""


def _holds_words(place: int, cells: Sequence[tuple[int, Sequence[str]]]) -> bool:
    filled = [row[place].strip() for _, row in cells if place < len(row) and row[place].strip()]
    words = [cell for cell in filled if not _NUMBER.fullmatch(cell)]
    return 2 * len(words) > len(filled)


def _place(head: Sequence[str], words: Iterable[str]) -> int | None:
    return next((head.index(word) for word in words if word in head), None)


def _is_bare(row: Sequence[str]) -> bool:
    """Whether the first line is not a header but already a box, or a picture without one."""
    if len(row) != len(_BARE) or Path(row[0]).suffix.lower() not in PICTURES:
        return False
    return all(number(cell) is not None for cell in row[1:5]) or not any(map(str.strip, row[1:]))


def _is_make_sense(head: Sequence[str], row: Sequence[str]) -> bool:
    """Whether the tool wrote the table, with its head line or, as its older versions, without."""
    if head == _MAKE_SENSE_HEAD.split():
        return True
    return (
        len(row) == len(_MAKE_SENSE)
        and Path(row[5]).suffix.lower() in PICTURES
        and all(number(row[place]) is not None for place in (1, 2, 3, 4, 6, 7))
    )


def _descriptions(folder: Folder) -> dict[str, str]:
    """Names behind the marks of Open Images, `/m/01yrx,Cat`."""
    found = {}
    for path in folder.with_suffix(".csv"):
        for row in csv.reader((text_of(folder, path) or "").splitlines()):
            if len(row) != 2 or not row[0].startswith("/"):
                break
            found[row[0]] = files.plain(row[1])
    return found


def _sheets(folder: Folder, table: _Table, described: Mapping[str, str]) -> Iterator[Sheet]:
    by_picture: dict[tuple[str, str], list[tuple[int, _Row]]] = {}
    for place, row in table.rows:
        spelled = row.get("picture", ""), row.get("split", "")
        by_picture.setdefault(spelled, []).append((place, row))
    is_sole = len({tuple(parts_of(name)[:-1]) for name, _ in by_picture}) == 1
    for (declared, given), rows in by_picture.items():
        split = table.splits.get(given, "") or split_of_file(table.path)
        hit = lookup.find(folder, declared, table.path, split, is_sole)
        shapes = tuple(_shape(row, place, described) for place, row in rows if not _is_empty(row))
        sizes = {size_of(row.get("width"), row.get("height")) for _, row in rows}
        where = "" if shapes else f"line {rows[0][0]}"
        shown = frozenset(shape.name for shape in shapes if shape.name is not None)
        yield Sheet(
            table.path,
            hit.picture,
            shapes,
            hit.problem,
            sizes.pop() if len(sizes) == 1 else None,
            unit="shares" if table.is_in_shares else "pixels",
            covers=shown if table.is_open_images else None,
            split=split or (split_of_folders(hit.picture) if hit.picture else ""),
            origin=hit.origin,
            where=f"{where} ({hit.detail})".strip() if hit.detail else where,
        )


def _is_empty(row: _Row) -> bool:
    """Whether a row says that its picture shows no object."""
    return not any(row.get(what) for what in ("name", *_SIDES))


def _shape(row: _Row, place: int, described: Mapping[str, str]) -> Shape:
    spelled = row.get("name", "")
    name = described.get(spelled) or files.plain(spelled) or None
    x0, y0, x1, y1 = (number(row.get(side)) for side in _SIDES)
    corners: Corners | None = None
    if x0 is not None and y0 is not None and x1 is not None and y1 is not None:
        corners = x0, y0, x1, y1
    problem = "" if corners else no_box(row.get(side) for side in _SIDES)
    if row["more"]:  # nothing says which of the cells was cut in two
        name, corners, problem = None, None, MORE_CELLS
    elif name is None:
        problem = NO_NAME
    return Shape(name, corners, problem, is_crowd=row.get("group") == "1", where=f"line {place}")
