"""`catalogue.toml` -> Dataset: every file that `omnidet download` knows, its mirrors and hashes.

To add a dataset, add a table to `catalogue.toml`, or to a copy of it for `--catalogue`.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from omnidet import storage
from omnidet.storage import Location

OWN = Path(__file__).with_name("catalogue.toml")
SCHEMES = ("https://", "http://", "s3://", "file://")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{}]*,[^{}]*)\}")
_MAX_NAMES = 1_000_000
_TEXTS = {"about": str, "licence": str, "files": list}
_FIELDS = {
    "name": str,
    "urls": list,
    "size_bytes": int,
    "sha256": str,
    "md5": str,
    "unpack": str,
    "by_hand": str,
    "token": str,
}


@dataclass(frozen=True)
class RemoteFile:
    """One file of a dataset."""

    name: str
    """Path relative to the dataset's folder, with slashes."""
    urls: tuple[str, ...] = ()
    """The URL and its mirrors, in the order in which they are tried."""
    size_bytes: int | None = None
    sha256: str = ""
    md5: str = ""
    """Hashes are hexadecimal, or "" if unknown."""
    unpack: str = ""
    """Folder below the dataset's to unpack the archive into; "" if the file stays as it is."""
    by_hand: str = ""
    """URL where a person must accept a licence to get the file, or ""."""
    token: str = ""
    """Name of the environment variable with the access token, or "" if none is needed."""


@dataclass(frozen=True)
class Dataset:
    """One table of the catalogue."""

    name: str
    about: str
    licence: str
    files: tuple[RemoteFile, ...]


def load(path: Location | None = None) -> dict[str, Dataset]:
    """The datasets of a catalogue, by default the package's own.

    Raises ValueError that names the wrong entry.
    """
    path = path or OWN
    try:
        content = tomllib.loads(storage.read_text(path))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} does not exist: give a catalogue, or leave it out for OmniDet's own"
        ) from None
    # ValueError also for integers that are too long, RecursionError for nested lists.
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    return {name: _dataset(name, table, path) for name, table in content.items()}


def choose(names: Sequence[str], path: Location | None = None) -> list[Dataset]:
    """The named datasets of a catalogue, each once. Raises ValueError for an unknown name."""
    datasets = load(path)
    # A list, because a name from a pipeline may be an unhashable value.
    unknown = next((name for name in names if name not in list(datasets)), None)
    if unknown is not None:
        raise ValueError(
            f"there is no dataset {unknown!r} in the catalogue: use {', '.join(datasets)}"
        )
    return [datasets[name] for name in dict.fromkeys(names)]


def _dataset(name: str, table: Any, path: Location) -> Dataset:
    fields = _checked(table, _TEXTS, f"{path}: [{name}]")
    files = tuple(
        file for entry in fields.get("files", []) for file in _files(entry, f"{path}: [{name}]")
    )
    if not files:
        raise ValueError(f"{path}: [{name}] has no files: add [[{name}.files]]")
    twice = [found for found, times in Counter(file.name for file in files).items() if times > 1]
    if twice:
        raise ValueError(
            f"{path}: [{name}] has several files named {twice[0]}: give each its own name"
        )
    return Dataset(name, fields.get("about", ""), fields.get("licence", ""), files)


def _files(entry: Any, where: str) -> list[RemoteFile]:
    """The file of an entry, or all files that a range such as {0000..0009} stands for."""
    fields = _checked(entry, _FIELDS, where)
    where = f"{where} file {fields.get('name', '')!r}"
    names = _expanded(fields.get("name", ""), where)
    urls = [_expanded(url, where) for url in fields.get("urls", [])]
    if any(len(addresses) not in (1, len(names)) for addresses in urls) or (
        len(names) > 1 and any(len(u) == 1 for u in urls)
    ):
        raise ValueError(
            f"{where}: name and urls stand for different numbers of files: "
            "use the same range, such as {0000..0009}, in each"
        )
    if len(names) > 1 and (fields.keys() & {"size_bytes", "sha256", "md5"}):
        raise ValueError(
            f"{where}: one size or hash cannot hold for {len(names)} files: list them one by one"
        )
    rest = {key: value for key, value in fields.items() if key not in ("name", "urls")}
    found = []
    for i, name in enumerate(names):
        file = RemoteFile(name, tuple(addresses[i] for addresses in urls), **rest)
        _check(file, where)
        found.append(file)
    return found


def _checked(table: Any, known: Mapping[str, type], where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ValueError(f"{where} is {table!r}, expected a table")
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"{where} has the unknown field {key!r}: use {', '.join(known)}")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise ValueError(f"{where}: {key} = {value!r} is not a {known[key].__name__}")
    return table


def _check(file: RemoteFile, where: str) -> None:
    for text in (file.name, file.unpack):
        path = PurePosixPath(text)
        if path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text:
            raise ValueError(
                f"{where}: {text!r} leads out of the dataset's folder: give a relative path"
            )
    if not PurePosixPath(file.name).name or file.name.startswith("."):
        raise ValueError(f"{where}: {file.name!r} is not a valid file name")
    if bool(file.urls) == bool(file.by_hand):
        raise ValueError(
            f"{where}: give either `urls`, or `by_hand` if a person must accept a licence"
        )
    for url in file.urls:
        if not isinstance(url, str) or not url.startswith(SCHEMES):
            raise ValueError(f"{where}: {url!r} is not a URL that begins with {', '.join(SCHEMES)}")
    for kind, digits, value in (("sha256", 64, file.sha256), ("md5", 32, file.md5)):
        if value and not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
            raise ValueError(
                f"{where}: {kind} = {value!r} is not {digits} hexadecimal digits in lower case"
            )
    if file.size_bytes is not None and file.size_bytes < 0:
        raise ValueError(f"{where}: size_bytes = {file.size_bytes} is negative")
    if file.token and not all(
        url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")) for url in file.urls
    ):
        raise ValueError(f"{where}: the token would be sent in clear text: use https:// URLs")


def _expanded(text: Any, where: str) -> list[str]:
    """`a{00..02}` -> a00, a01, a02, and `{x,y}.txt` -> x.txt, y.txt. At most one range each."""
    if not isinstance(text, str):
        raise ValueError(f"{where}: {text!r} is not a string")
    found = _RANGE.findall(text)
    if not found:
        return [text]
    if len(found) > 1:
        raise ValueError(f"{where}: {text!r} has several ranges: use one")
    first, last, words = found[0]
    if words:
        parts = words.split(",")
    else:
        if int(last) - int(first) >= _MAX_NAMES:
            raise ValueError(f"{where}: {text!r} stands for more than {_MAX_NAMES} files")
        parts = [f"{i:0{len(first)}d}" for i in range(int(first), int(last) + 1)]
    before, after = itertools.islice(_RANGE.split(text), 0, None, 4)
    return [before + part + after for part in parts]
