"""What a person names -> the pictures that are meant, in a fixed order and each one once."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from omnidet import extras, storage
from omnidet.counted import counted
from omnidet.data.folder_formats.folder import OTHER_PICTURES, PICTURES, walk

if TYPE_CHECKING:
    from omnidet.data.transforms.example import Pixels

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts")
LISTS = (".txt", ".lst", ".list")
STDIN = "-"
SETTINGS = ".run.json"
"""In each folder that a run wrote."""
CAMERA = "camera:"
_WEB = ("http://", "https://")
_ODD = re.compile('[\x00-\x1f\x7f<>:"|?*\\\\\ud800-\udfff\ufffe\uffff]')
"""Not for the names of files: what Windows refuses, and bytes that are no UTF-8."""
_MAGIC = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"II*\0", b"MM\0*"),
    *(b"RIFF", b"\0\0\0"),
)
"""How picture files begin, which tells them from a list of names on standard input."""
_PLAIN_MAP = re.compile(rb"P[1-6]\s+(#|\d)")
"""How PBM, PGM and PPM begin, which may be text to the end."""
_LONGEST = 200
"""Bytes of a part of a key: with what is put behind it, 255 is the limit of file systems."""


@dataclass(eq=False)
class Item:
    """A picture to look at, or a video to look through."""

    name: str
    """As the person knows it: a path, an address."""
    key: str
    """Path without an ending, with `/`, that its output files are called by."""
    content: bytes | Pixels | None = None
    """Where it is not read from `name`."""
    is_video: bool = False
    source: dict[str, Any] | None = None
    """Where it came from and what it was, once it was read: see `predictions/sources.py`."""

    @property
    def is_web(self) -> bool:
        """Whether it is fetched from a web server."""
        return self.content is None and self.name.startswith(_WEB)


def expand(given: Sequence[str]) -> tuple[list[Item], list[str]]:
    """The pictures and videos that the arguments name, and notes about what was passed over.

    Args:
        given: each a picture, a video, a folder, a glob pattern, a text file with a name a line,
            an `http(s)://` or `s3://` address, `camera:0`, or `-` for standard input: a picture,
            or names.

    Raises ValueError or FileNotFoundError for one that names nothing, and ImportError if there is
    no package to read them with.
    """
    notes: list[str] = []
    found: dict[str, Item] = {}
    for argument in given:
        for item in _one(argument, notes):
            found.setdefault(absolute(item.name), item)
    items = list(found.values())
    if any(item.is_web for item in items):
        extras.require("data", "aiohttp", "yarl")
    if all(item.is_video for item in items):  # among pictures, each is named and passed over
        extras.require("video", "av")
    return items, notes


def is_one_picture(given: Sequence[str], items: Sequence[Item]) -> bool:
    """Whether the arguments are a single picture, not a folder or list that holds a single one: its
    result is shown at once.

    Args:
        items: what `expand` made of the arguments.
    """
    if len(given) != 1 or len(items) != 1 or items[0].is_video:
        return False
    return items[0].name == given[0] or items[0].content is not None


def outside(items: Sequence[Item], output: Path | None) -> tuple[list[Item], list[str]]:
    """The items that do not lie in the folder that is written to, and a note about the others.

    Raises ValueError if none is left.
    """
    if output is None:
        return list(items), []
    folder = os.path.realpath(output) + os.sep
    kept = [
        item
        for item in items
        if item.content is not None or not absolute(item.name).startswith(folder)
    ]
    if len(kept) == len(items):
        return kept, []
    count = counted(len(items) - len(kept), "picture")
    text = f"passed over: {count} in {output}, which results are written to"
    if not kept:
        raise ValueError(f"{text}, and no other is named: name others, or another folder")
    return kept, [text]


def _one(argument: str, notes: list[str]) -> Iterable[Item]:
    """What one argument names."""
    if not argument.strip():
        raise ValueError("an empty name: name a picture, a folder or an address")
    if argument == STDIN:
        if sys.stdin is None:
            raise ValueError("standard input is closed: give a picture, or names, to it")
        return _of_stdin(sys.stdin.buffer.read())
    if argument.startswith(_WEB):
        return [_of_address(argument)]
    if argument.startswith(CAMERA):
        return [Item(argument, argument.replace(":", ""), is_video=True)]
    if storage.is_s3(argument):
        return _of_store(argument)
    path = Path(argument)
    if path.is_dir():
        return _of_folder(path, notes)
    if _is_pattern(argument) and not path.exists():
        return _of_pattern(argument, notes)
    if not path.exists():
        raise FileNotFoundError(f"image {argument} does not exist: name a picture")
    if path.suffix.lower() in LISTS:
        return _of_list(path)
    return [_of_file(argument)]


def _of_file(name: str, base: str = "") -> Item:
    relative = name.removeprefix(base).lstrip("/") if base else Path(name).name
    parts = [part for part in PurePosixPath(relative).parts if part != ".."]
    key = PurePosixPath(*parts or ["folder"])  # "." and "/", as `find .` writes it
    is_video = key.suffix.lower() in VIDEOS
    return Item(name, _plain(key.with_suffix("").as_posix()), is_video=is_video)


def _of_address(address: str) -> Item:
    try:
        parts = urlsplit(address)
    except ValueError:  # no address: whoever fetches it says so, and goes on with the next
        return Item(address, "no-address")
    name = PurePosixPath(unquote(parts.path)).name or "index"
    return Item(address, _plain(f"{parts.hostname}/{PurePosixPath(name).stem}"))


def _of_folder(root: Path, notes: list[str]) -> list[Item]:
    """The pictures below a folder, in order."""
    items, others = [], {"videos": 0, "pictures of formats that are not read": 0}
    runs = _Runs(root)
    for path in sorted(walk(root)):
        ending = path.suffix.lower()
        if ending in (*PICTURES, *VIDEOS) and runs.has(root / path):
            continue
        if ending in PICTURES:
            key = _plain(path.with_suffix("").as_posix())
            items.append(Item(str(root / path), key))
        elif ending in VIDEOS:
            others["videos"] += 1
        elif ending in OTHER_PICTURES:
            others["pictures of formats that are not read"] += 1
    notes += [f"{root}: {count} {kind} are passed over" for kind, count in others.items() if count]
    notes += [*runs.notes(), *_dangling(root)]
    if not items:
        endings = ", ".join(sorted(PICTURES))
        raise ValueError(f"image folder {root} holds no picture: name one with {endings}")
    return items


class _Runs:
    """Folders below one that hold the results of a run: what is in them is not an input.

    Args:
        root: is looked through whatever it holds: somebody named it.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._known = root, {root: False}
        self._found: list[Path] = []

    def has(self, file: Path) -> bool:
        """Whether the file lies in such a folder."""
        return self._is_in(file.parent)

    def _is_in(self, folder: Path) -> bool:
        if folder not in self._known:
            is_run = (folder / SETTINGS).is_file()
            if is_run:
                self._found.append(folder)
            is_below = folder != folder.parent and self._is_in(folder.parent)
            self._known[folder] = is_run or is_below
        return self._known[folder]

    def notes(self) -> list[str]:
        """What was passed over."""
        return [f"{folder} holds results of OmniDet and is passed over" for folder in self._found]


def _dangling(root: Path) -> list[str]:
    """A note about links to nothing, which would be pictures."""
    found = [
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in sorted(names)
        if not name.startswith(".")
        and Path(name).suffix.lower() in PICTURES
        and not Path(folder, name).exists()
    ]
    if not found:
        return []
    return [f"{root}: {len(found)} links to nothing are passed over, such as {found[0]}"]


def _of_pattern(pattern: str, notes: list[str]) -> list[Item]:
    base = pattern[: re.search(r"[*?\[]", pattern).start()].rpartition("/")  # type: ignore[union-attr]  # it is a pattern
    items, passed = [], 0
    runs = _Runs(Path("".join(base[:2]) or "."))
    for name in _each_once(glob.glob(pattern, recursive=True)):  # noqa: PTH207  # absolute ones too
        if Path(name).is_file():
            if runs.has(Path(name)):
                continue
            if Path(name).suffix.lower() in (*PICTURES, *VIDEOS):
                items.append(_of_file(name, base[0] + base[1]))
            else:
                passed += 1
    notes += runs.notes()
    if not items:
        raise ValueError(f"image pattern {pattern} fits no picture: correct it, or name a folder")
    if passed:
        notes.append(f"{pattern}: passed over {counted(passed, 'file')}, neither picture nor video")
    return items


def _each_once(names: Iterable[str]) -> list[str]:
    """Each file by the shortest of its names: folders may be linked in a circle."""
    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        found.setdefault(absolute(name), name)
    return sorted(found.values())


def _of_list(path: Path) -> list[Item]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"list {path} is not UTF-8 text: give a name a line") from error
    return list(_named(text, path.parent, f"list {path}"))


def _of_stdin(content: bytes) -> list[Item]:
    is_map = _PLAIN_MAP.match(content) is not None
    is_picture = is_map or content.startswith(_MAGIC) or content[4:8] == b"ftyp"
    try:
        text = content.decode("utf-8-sig")
        if is_picture and ("\0" in text or is_map):
            return [Item("standard input", "stdin", content)]
    except UnicodeDecodeError as error:
        if is_picture:
            return [Item("standard input", "stdin", content)]
        raise ValueError(
            "standard input is neither a picture nor UTF-8 text with a name a line: give one"
        ) from error
    return list(_named(text, Path(), "standard input"))


def _named(text: str, folder: Path, source: str) -> Iterator[Item]:
    """A name or an address a line, or with a zero byte behind each, as `find -print0` writes them;
    `#` begins a comment. Files that are not there are said later, by name, as those that cannot be
    read.

    Args:
        folder: what relative names begin from.
        source: for messages.
    """
    count = 0
    for line in text.split("\0") if "\0" in text else text.splitlines():
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        count += 1
        if name.startswith(_WEB):
            yield _of_address(name)
        elif storage.is_s3(name):
            yield _of_file(name, name.rpartition("/")[0])
        else:
            is_below = folder != Path() and not Path(name).is_absolute()
            base = "" if Path(name).is_absolute() else f"{folder}/" if is_below else "./"
            yield _of_file(str(folder / name) if is_below else name, base)
    if not count:
        raise ValueError(f"{source} names no picture: give a name or an address a line")


def _of_store(location: str) -> list[Item]:
    """An object, or the pictures below a prefix."""
    if storage.exists(location):
        return [_of_file(location, location.rpartition("/")[0])]
    found = [p for p in storage.list_files(location) if Path(p).suffix.lower() in PICTURES]
    if not found:
        raise FileNotFoundError(f"image {location} does not exist: name an object or a folder")
    base = location.rstrip("/")
    return [_of_file(f"{base}/{path}", base) for path in found]


def absolute(name: str) -> str:
    """What all spellings of a file, from any working folder, have in common.

    A link stays itself: two links to one file are two pictures.
    """
    if "://" in name or name.startswith(CAMERA):
        return name
    folder, own = os.path.split(name)
    return str(Path(os.path.realpath(folder), own))


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")


def _plain(key: str) -> str:
    """A path that every file system takes, and every format of annotations spells."""
    parts = _ODD.sub("_", key).split("/")
    return "/".join(part.encode()[:_LONGEST].decode(errors="ignore") for part in parts) or "picture"
