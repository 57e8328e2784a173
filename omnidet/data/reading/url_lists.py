"""Lists of URLs and captions -> rows in chunks. LAION publishes Parquet, CC12M TSV."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

URL_COLUMNS = ("url", "image_url")
CAPTION_COLUMNS = ("caption", "text")
KINDS = (".parquet", ".tsv", ".csv")
_TEXT_TYPES = (
    "string",
    "large_string",
    "string_view",
    "binary",
    "large_binary",
    "binary_view",
    "null",
)
"""Types of Parquet columns. Some writers do not mark their bytes as text."""
_SAMPLE_BYTES = 1 << 16
_MAX_FIELD_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class UrlRow:
    """One picture to fetch."""

    number: int
    """Position in all lists together."""
    url: str
    caption: str
    digest: str = ""
    """Hash of the picture according to the list: MD5, SHA-1 or SHA-256 in hexadecimal, or ""."""


def find(location: Path) -> list[Path]:
    """The lists of a file or folder, sorted by name. Raises FileNotFoundError or ValueError."""
    if location.is_dir():
        found = sorted(path for path in location.iterdir() if path.suffix.lower() in KINDS)
        if not found:
            raise FileNotFoundError(
                f"{location} holds no list: files that end in {', '.join(KINDS)} are read"
            )
        return found
    if not location.exists():
        raise FileNotFoundError(f"{location} does not exist")
    if location.suffix.lower() not in KINDS:
        raise ValueError(
            f"{location} cannot be read as a list: its name ends in none of {', '.join(KINDS)}"
        )
    return [location]


def fingerprint(paths: Sequence[Path]) -> str:
    """Identifies the lists by their names, sizes, beginnings and ends; whole lists are long."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode("utf-8", "surrogateescape"))
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE_BYTES))
            file.seek(max(0, size - _SAMPLE_BYTES))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def chunks(paths: Sequence[Path], size: int, digest_column: str = "") -> Iterator[list[UrlRow]]:
    """The rows of the lists, `size` at a time; the last chunk may be shorter.

    Args:
        digest_column: column with the hash of each picture's bytes, if the lists have one.
    """
    pending: list[UrlRow] = []
    number = 0
    for path in paths:
        read = _parquet if path.suffix.lower() == ".parquet" else _text
        for url, caption, digest in read(path, digest_column):
            pending.append(UrlRow(number, url, caption, digest))
            number += 1
            if len(pending) == size:
                yield pending
                pending = []
    if pending:
        yield pending


def require_rows(paths: Sequence[Path], digest_column: str = "") -> None:
    """Raise ValueError unless every list can be read and one of them has a row.

    Reads the beginning of every list, so that nobody learns of a problem hours later.
    """
    firsts = [next(chunks([path], 1, digest_column), []) for path in paths]
    if not any(firsts):
        others = " and the lists next to it have" if len(paths) > 1 else " has"
        raise ValueError(f"{paths[0]}{others} no rows: give lists of URLs")


def parquet_rows(
    path: Path, choose: Callable[[Sequence[str]], Sequence[str]], size: int
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a Parquet file, `size` at a time.

    Raises ValueError for a damaged file, and for a column that is not text.

    Args:
        choose: picks the columns to read from the names of all.
    """
    import pyarrow.parquet as pq

    with _readable(path):
        table = pq.ParquetFile(path)
        names = table.schema_arrow.names
    with table:
        chosen = choose(names)
        for name in chosen:
            _require_text(path, name, table.schema_arrow.types[names.index(name)])
        with _readable(path):
            for batch in table.iter_batches(size, columns=list(chosen)):
                yield list(
                    zip(*(_texts(batch.column(name).to_pylist()) for name in chosen), strict=True)
                )


def _require_text(path: Path, name: str, kind: Any) -> None:
    import pyarrow as pa

    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if str(plain) not in _TEXT_TYPES:
        raise ValueError(
            f"{path}: the column {name} holds {kind}, not text: write it as text, or rename it"
        )


def _texts(values: list[Any]) -> list[Any]:
    return [
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values
    ]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    # pyarrow raises several types on damaged files. Its own OSErrors have no number.
    except (pa.ArrowException, ValueError, LookupError, TypeError, OverflowError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} is not a readable Parquet file ({reason}): fetch it again"
        ) from error


def _parquet(path: Path, digest_column: str) -> Iterator[tuple[str, str, str]]:
    def chosen(names: Sequence[str]) -> list[str]:
        return [name for name in _columns(names, digest_column, path) if name]

    for rows in parquet_rows(path, chosen, 1000):
        for url, caption, *digest in rows:
            yield _clean(url), _clean(caption), _clean(digest[0]).lower() if digest else ""


def _text(path: Path, digest_column: str) -> Iterator[tuple[str, str, str]]:
    """A TSV or CSV file. Without a header, as in Google's cc12m.tsv, a row is URL and caption.

    Excel writes a byte order mark, which `utf-8-sig` leaves out.
    """
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = _lines(file, path)
        first = next(lines, [])
        known = {name.lower() for name in first}
        if known & {*URL_COLUMNS}:
            names = _columns(first, digest_column, path)
            places = [first.index(name) if name else -1 for name in names]
        else:
            if digest_column or not first or "://" not in first[0]:
                raise ValueError(
                    f"{path} has no header with a column {' or '.join(URL_COLUMNS)}: "
                    "add one as its first line"
                )
            places = [0, 1, -1]
            yield _clean(first[0]), _clean(first[1] if len(first) > 1 else ""), ""
        for fields in lines:
            url, caption, digest = (fields[i] if 0 <= i < len(fields) else "" for i in places)
            yield _clean(url), _clean(caption), _clean(digest).lower()


def _lines(file: IO[str], path: Path) -> Iterator[list[str]]:
    if path.suffix.lower() == ".csv":
        try:
            yield from csv.reader(line.replace("\0", "") for line in file)
        except csv.Error as error:
            raise ValueError(f"{path} is not CSV ({error}): correct it") from error
    else:  # in TSV, a quotation mark is part of the caption
        for line in file:
            yield line.rstrip("\r\n").split("\t")


def columns(
    names: Sequence[str],
    path: Path,
    urls: Sequence[str] = URL_COLUMNS,
    captions: Sequence[str] = CAPTION_COLUMNS,
) -> tuple[str, str]:
    """The columns of URL and caption. Raises ValueError that lists the columns of the file."""
    by_name = {name.lower(): name for name in reversed(names)}
    found = []
    for wanted in (urls, captions):
        if not any(name in by_name for name in wanted):
            raise ValueError(
                f"{path} has no column {' or '.join(wanted)} (any case): it has {', '.join(names)}"
            )
        found.append(next(by_name[name] for name in wanted if name in by_name))
    return found[0], found[1]


def _columns(names: Sequence[str], digest_column: str, path: Path) -> tuple[str, str, str]:
    url, caption = columns(names, path)
    if digest_column and digest_column not in names:
        raise ValueError(f"{path} has no column {digest_column!r}: it has {', '.join(names)}")
    return url, caption, digest_column


def _clean(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


class SeenUrls:
    """Remembers URLs at 8 bytes each: most in a sorted array, the latest in a set."""

    def __init__(self) -> None:
        self._sorted: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        self._recent: set[int] = set()

    def add(self, url: str) -> bool:
        """Remember a URL. Returns whether it is new."""
        value = int.from_bytes(
            hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
        )
        if value in self._recent:
            return False
        if len(self._sorted):
            place = int(np.searchsorted(self._sorted, np.uint64(value)))
            if place < len(self._sorted) and int(self._sorted[place]) == value:
                return False
        self._recent.add(value)
        if len(self._recent) > max(1 << 17, len(self._sorted) // 8):
            self._sorted = np.sort(
                np.concatenate(
                    [self._sorted, np.fromiter(self._recent, np.uint64, len(self._recent))]
                )
            )
            self._recent = set()
        return True
