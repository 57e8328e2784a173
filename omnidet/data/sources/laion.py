"""LAION: parquet lists of URL and TEXT, whose images are fetched while reading.

https://laion.ai/blog/laion-400-open-dataset. A URL may be relative to its list, so that a list can travel with its images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from omnidet.data import annotations as files
from omnidet.data.download import fetch_all
from omnidet.data.quarantine import Quarantine
from omnidet.schema import Record

SOURCE = "laion"
SPLIT = "train"
URL_COLUMNS = ("url",)
TEXT_COLUMNS = ("text", "caption")
ROWS_AT_A_TIME = 1000


@dataclass(frozen=True)
class _Row:
    item: str
    url: str
    location: str
    caption: str


def read(root: str, split: str, quarantine: Quarantine) -> Iterator[Record]:
    """One Record a URL that still answers, in the order of the lists (sorted by name) and their rows."""
    seen: set[bytes] = set()  # 8 bytes a URL are all that is kept of the rows gone by
    for path in _lists(root, split):
        for rows in _row_groups(path):
            usable = [row for row in rows if _usable(row, path, seen, quarantine)]
            for row, content in zip(usable, fetch_all(row.location for row in usable), strict=True):
                if isinstance(content, OSError):
                    quarantine.reject(SOURCE, f"{row.item}: {content}", "dead link", "link")
                    continue
                size = files.image_size(content)
                if isinstance(size, str):
                    quarantine.reject(SOURCE, row.item, size)
                else:
                    yield Record(content, *size, source=SOURCE, image_id=_image_id(row.url), caption=row.caption)


def image_ids(root: str, split: str) -> set[str]:
    """Ids of every URL in the lists, dead or alive."""
    return {_image_id(row.url) for path in _lists(root, split) for rows in _row_groups(path) for row in rows if row.url}


def ground_truth(root: str, split: str) -> None:  # noqa: ARG001  (the protocol of a source)
    """None: there is nothing to evaluate on."""
    return


def _image_id(url: str) -> str:
    """The id that a URL gives, as it is written in the list."""
    return f"laion:{hashlib.sha1(url.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _lists(root: str, split: str) -> list[Path]:
    if split != SPLIT:
        raise ValueError(f"laion has no split {split!r}: use {SPLIT!r}, the only one")
    found = sorted(Path(root).glob("*.parquet"))
    if not found:
        raise FileNotFoundError(f"{root}/*.parquet does not exist: put the parquet lists of URL and TEXT there")
    return found


def _row_groups(path: Path) -> Iterator[list[_Row]]:
    """The rows of a list, some at a time."""
    number = 0
    try:
        with pq.ParquetFile(path) as table:
            names = {name.lower(): name for name in reversed(table.schema_arrow.names)}
            url, text = _column(names, URL_COLUMNS, path), _column(names, TEXT_COLUMNS, path)
            base = path.resolve().as_uri()
            for batch in table.iter_batches(ROWS_AT_A_TIME, columns=[url, text]):
                pairs = zip(batch.column(url).to_pylist(), batch.column(text).to_pylist(), strict=True)
                yield [_row(f"{path.name} row {number + i}", base, *pair) for i, pair in enumerate(pairs)]
                number += len(batch)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a readable parquet file ({str(error)[:200]}): fetch it anew") from error


def _column(names: dict[str, str], wanted: tuple[str, ...], path: Path) -> str:
    for name in wanted:
        if name in names:
            return names[name]
    raise ValueError(f"{path} has no column {' or '.join(wanted)} (any case): it has {', '.join(names.values())}")


def _row(item: str, base: str, url: object, text: object) -> _Row:
    written = url.strip() if isinstance(url, str) else ""
    try:
        location = urljoin(base, written)
    except ValueError:  # a malformed host, which fetch names
        location = written
    return _Row(f"{item} {written}", written, location, files.plain(text) if isinstance(text, str) else "")


def _usable(row: _Row, path: Path, seen: set[bytes], quarantine: Quarantine) -> bool:
    digest = hashlib.sha1(row.url.encode("utf-8", "surrogatepass")).digest()[:8]
    if not row.url:
        quarantine.reject(SOURCE, row.item, "empty url", "link")
    elif digest in seen:
        quarantine.reject(SOURCE, row.item, "duplicate url", "link")
    elif not row.caption:
        quarantine.reject(SOURCE, row.item, "empty caption", "caption")
    elif _leads_outside(row.location, path):
        quarantine.reject(SOURCE, row.item, "link to a file outside the dataset", "link")
    else:
        seen.add(digest)
        return True
    return False


def _leads_outside(location: str, path: Path) -> bool:
    """Whether a list, which comes from the web, asks for a local file that does not stand beside or below it."""
    if not location.startswith("file:"):
        return False
    return not Path(unquote(urlsplit(location).path)).resolve().is_relative_to(path.resolve().parent)
