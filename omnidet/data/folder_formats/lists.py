"""Text files that list pictures: `ImageSets/Main/train.txt` of Pascal VOC, `train.txt` of darknet,
CVAT and PaddleDetection.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from omnidet.counted import counted
from omnidet.data.folder_formats import lookup
from omnidet.data.folder_formats.folder import PICTURES, Folder, key, split_of_list

_MAX_BYTES = 50_000_000
_BOX = re.compile(r"\S+(\s+[-+0-9.eE]+){4,}")
"""A row of a label: a photo of a train may be called `train`."""
_FLAG = re.compile(r"\s+-?[01]$")
"""What lists of a single class write behind each name."""


_ORDER = ("test", "val", "train")
"""A picture that several lists name is of the first of these."""
_UNION = "trainval"


def text_of(folder: Folder, path: Path) -> str | None:
    """A text file as UTF-8, or as its byte order mark says; None where it is neither."""
    content = folder.read_bytes(path)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text  # UTF-16 without a mark is UTF-8 as well


class Lists:
    """The split of each picture, as the lists of a folder say.

    A picture of several is of the test, else of val.
    """

    def __init__(self, folder: Folder, others: Iterable[Path] = ()) -> None:
        """`others`: annotation files, whose names lists may use in place of the pictures'."""
        self._folder = folder
        self._stems: dict[str, list[Path]] = defaultdict(list)
        for path in others:
            self._stems[key(path.stem)].append(path)
        self.splits: dict[Path, str] = {}
        """By picture, or by annotation file."""
        self.missing: dict[Path, int] = {}
        """Lines that name nothing in the folder, by list."""
        self._named: dict[Path, set[str]] = defaultdict(set)
        self.files: list[Path] = []
        for path in folder.with_suffix(".txt"):
            if split_of_list(path) and (folder.root / path).stat().st_size <= _MAX_BYTES:
                self.add(path, split_of_list(path))

    def add(self, path: Path, split: str) -> None:
        """Read one list."""
        lines = (text_of(self._folder, path) or "").splitlines()
        lines = list(filter(None, map(str.strip, lines)))
        if all(map(_BOX.fullmatch, lines)):
            return
        found = {line: self._meant(line, path) for line in lines}
        if not any(found.values()):
            return
        self.files.append(path)
        self.missing[path] = sum(not meant for meant in found.values())
        for meant in filter(None, found.values()):
            known = self.splits.get(meant, split)
            self.splits[meant] = min(known, split, key=_ORDER.index)
            self._named[meant].add(_UNION if _UNION in key(path.stem) else split)

    @property
    def in_several(self) -> set[Path]:
        """Pictures that lists of different splits name; `trainval` is train and val together."""
        return {
            meant
            for meant, splits in self._named.items()
            if len(splits) > 1 and ("test" in splits or len(splits - {_UNION}) > 1)
        }

    def of(self, *paths: Path | None) -> str:
        """The split of the first of these files that a list names, otherwise that of the annotation
        file with the same name as one of them.
        """
        given = [path for path in paths if path is not None]
        beside = [self._stems.get(key(path.stem), []) for path in given]
        called = [found[0] for found in beside if len(found) == 1]
        return next((self.splits[p] for p in [*given, *called] if p in self.splits), "")

    def notes(self) -> list[str]:
        """Sentences for the report: lists with missing pictures, and pictures in two splits."""
        said = [
            f"{path} lists {counted(count, 'picture')} that cannot be found"
            for path, count in self.missing.items()
            if count
        ]
        if self.in_several:
            first = min(self.in_several)
            said.append(
                f"in the lists of several splits: {len(self.in_several)} (first: {first}, taken "
                f"for {self.splits[first]})"
            )
        return said

    def _meant(self, line: str, near: Path) -> Path | None:
        """The annotation file or picture of a line: all of it is a name with blanks, or its first
        column is the name.
        """
        for spelled in _spellings(line):
            stems = self._stems.get(key(_stem(spelled)), [])
            if len(stems) == 1:
                return stems[0]
            hit = lookup.find(self._folder, spelled, near)
            if hit.picture is not None:
                return hit.picture
        return None


def _spellings(line: str) -> Iterator[str]:
    yield line
    yield _FLAG.sub("", line)
    yield line.split()[0]


def _stem(spelled: str) -> str:
    path = Path(spelled.replace("\\", "/"))
    return path.stem if path.suffix.lower() in {*PICTURES, ".xml"} else path.name
