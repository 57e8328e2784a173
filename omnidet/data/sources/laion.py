"""LAION: parquet lists of URL and TEXT, whose images are fetched while reading; or tars of images.

https://laion.ai/blog/laion-400-open-dataset. A URL may be relative to its list, so that a list can
travel with its images. `omnidet fetch-images` makes tars (`tar_pairs`) from a list; use it for more
than a few thousand images.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

from omnidet import storage
from omnidet.data.reading import annotations as files
from omnidet.data.reading import tar_pairs, url_lists
from omnidet.data.reading.annotations import PIECE_UNITS, Piece
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.reading.urls import fetch_all
from omnidet.schema import Record

SOURCE = "laion"
COLLECTION = "laion"
IS_CURATED = False
LEAKING_SPLITS: dict[str, str] = {}
SPLIT = "train"
URL_COLUMNS = ("url",)
TEXT_COLUMNS = ("text", "caption")


@dataclass(frozen=True)
class UrlRow:
    """A row of a list."""

    item: str
    url: str
    location: str
    """A complete URL, or a name relative to a list on an object store."""
    is_link: bool
    caption: str


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record per URL that still answers, in the order of the sorted lists and rows."""
    return files.chained(pieces(root, split, quarantine), quarantine)


def pieces(
    root: str, split: str, quarantine: Quarantine, size: int = PIECE_UNITS
) -> Iterator[Piece]:
    """The same, `size` rows or one tar per piece."""
    tars = _tars(root, split)
    if tars:
        yield from tar_pairs.pieces(SOURCE, DataFolder(root), tars)
        return
    seen: set[bytes] = set()  # all that is kept of earlier rows: 8 bytes per URL
    for name in _lists(root, split):
        for rows in _row_groups(root, name, size):
            wanted = [(row, _problem(row, root, seen)) for row in rows]
            yield functools.partial(_read_piece, DataFolder(root), wanted)


def _read_piece(
    folder: DataFolder, rows: list[tuple[UrlRow, tuple[str, str] | None]], quarantine: Quarantine
) -> Iterator[Record]:
    for row, problem in rows:
        if problem:
            quarantine.reject(SOURCE, row.item, *problem)
    usable = [row for row, problem in rows if not problem]
    for row, content in zip(usable, _contents(folder, usable), strict=True):
        if isinstance(content, OSError):
            quarantine.reject(SOURCE, f"{row.item}: {content}", "dead link", "link")
            continue
        size = files.image_size(content)
        if isinstance(size, str):
            quarantine.reject(SOURCE, row.item, size)
        else:
            yield Record(
                content, *size, source=SOURCE, image_id=_image_id(row.url), caption=row.caption
            )


def _contents(folder: DataFolder, rows: list[UrlRow]) -> Iterator[bytes | OSError]:
    """What each row points to: a link to the web, or a file next to a list on an object store."""
    stored = folder.read_images([[row.location] for row in rows if not row.is_link])
    fetched = fetch_all(row.location for row in rows if row.is_link)
    for row in rows:
        if row.is_link:
            yield next(fetched)
        else:
            content = next(stored)
            yield (
                OSError(f"{row.location!r} is not next to the list") if content is None else content
            )


def check(root: str, split: str) -> None:
    """Raise FileNotFoundError if there is neither a list nor a tar."""
    if not _tars(root, split):
        _lists(root, split)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of all URLs in the lists, dead or alive, or of all images in the tars."""
    tars = _tars(root, split)
    if tars:
        return tar_pairs.image_ids(SOURCE, DataFolder(root), tars)
    rows = (
        row
        for name in _lists(root, split)
        for rows in _row_groups(root, name, PIECE_UNITS)
        for row in rows
    )
    return {_image_id(row.url) for row in rows if row.url}


def ground_truth(root: str, split: str) -> None:
    """None: the dataset is not evaluated on."""
    return


def _image_id(url: str) -> str:
    """The id of an image, made from its URL exactly as the list has it."""
    return f"{COLLECTION}:{hashlib.sha1(url.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _tars(root: str, split: str) -> list[str]:
    """Tars of fetched images. If there are any, lists next to them are not read."""
    return DataFolder(root).names(".tar") if split == SPLIT else []


def _lists(root: str, split: str) -> list[str]:
    if split != SPLIT:
        raise ValueError(f"laion has no split {split!r}: use {SPLIT!r}, the only one")
    found = DataFolder(root).names(".parquet")
    if not found:
        raise FileNotFoundError(
            f"{root}/*.parquet does not exist: put the parquet lists of URL and TEXT there, or "
            "tars of their images"
        )
    return found


def _row_groups(root: str, name: str, size: int) -> Iterator[list[UrlRow]]:
    """The rows of a list, `size` at a time."""
    number, path = 0, DataFolder(root).path(name)
    base = "" if storage.is_s3(root) else path.resolve().as_uri()
    for rows in url_lists.parquet_rows(path, functools.partial(_columns, path), size):
        yield [_row(f"{name} row {number + i}", base, *row) for i, row in enumerate(rows)]
        number += len(rows)


def _columns(path: Path, names: Sequence[str]) -> tuple[str, str]:
    return url_lists.columns(names, path, URL_COLUMNS, TEXT_COLUMNS)


def _row(item: str, base: str, url: object, text: object) -> UrlRow:
    written = url.strip() if isinstance(url, str) else ""
    try:
        location = urljoin(base, written)
        is_link = bool(urlsplit(location).scheme)
    except ValueError:  # a malformed host: fetching it gives the error
        location, is_link = written, True
    caption = files.plain(text) if isinstance(text, str) else ""
    return UrlRow(
        f"{item} {written}", written, location if is_link else unquote(location), is_link, caption
    )


def _problem(row: UrlRow, root: str, seen: set[bytes]) -> tuple[str, str] | None:
    """Why a row is not fetched, and the kind of thing lost; or None, and the row counts as seen."""
    digest = hashlib.sha1(row.url.encode("utf-8", "surrogatepass")).digest()[:8]
    if not row.url:
        return "empty url", "link"
    if digest in seen:
        return "duplicate url", "link"
    if not row.caption:
        return "empty caption", "caption"
    if _leads_outside(row.location, root):
        return "link to a file outside the dataset", "link"
    seen.add(digest)
    return None


def _leads_outside(location: str, root: str) -> bool:
    """Whether a list, which comes from the web, asks for a local file outside its own folder."""
    if not location.startswith("file:"):
        return False
    path = unquote(urlsplit(location).path)
    return (
        storage.is_s3(root)
        or "\0" in path
        or not Path(path).resolve().is_relative_to(Path(root).resolve())
    )
