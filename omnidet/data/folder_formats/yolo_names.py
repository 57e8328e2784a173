"""The names behind the numbers of YOLO labels: `data.yaml`, or a text file with a name a line."""

from __future__ import annotations

import re
import reprlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from omnidet.data.folder_formats.folder import POINTER, Folder, parts_of
from omnidet.data.folder_formats.lists import text_of
from omnidet.data.reading import annotations as files

_MAX_YAML_BYTES = 1_000_000
_MAX_CLASSES = 100_000
_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
"""What tools call the file; one of another name that is not YAML belongs to something else."""
_NAME_FILES = (
    "classes.txt",
    "class.txt",
    "names.txt",
    "labels.txt",
    "predefined_classes.txt",
    "_darknet.labels",
)
_COMMENT = re.compile(r"#(\s|$)")
_HEADING = re.compile(r"(class|label|name)e?s|(class|label)[ _]?names?|\S.*:", re.IGNORECASE)
_CONFLICT = re.compile(r"<{7}( .*)?|={7}|>{7}( .*)?")
"""What git puts between two versions of a text that it could not merge."""
_COUNTED = re.compile(r"([0-9]+)(?:\s*[:,.)=]\s*|\s+)(?=\S)")
_NOTHING = ("", "~", "null", "Null", "NULL")
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Names:
    """Names by number, and what else their file says of the labels."""

    file: Path
    by_number: Mapping[int, str]
    num_classes: int | None = None
    """`nc`."""
    keypoints: int | None = None
    """Numbers behind the box in each row, by `kpt_shape`."""
    folders: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """Folders and lists of each split that are there."""
    absent: Sequence[str] = ()
    """What it names for a split and the folder has not."""
    strange: Sequence[str] = ()
    """What it names under a word that is not a split."""
    nameless: frozenset[int] = frozenset()
    """Numbers that it lists without a name."""

    def __str__(self) -> str:
        """For people."""
        said = f"{len(self.by_number)} names in {self.file}"
        if self.num_classes is not None and self.num_classes != len(self.by_number):
            said += f", which says nc: {self.num_classes}"
        return said

    def numbered_from(self, first: int) -> str:
        """How the file would say that the first name has that number."""
        name = self.by_number[min(self.by_number)][:40]
        if self.file.suffix.lower() in (".yaml", ".yml"):
            return f"`names: {{{first}: {name}, ...}}`"
        return f"a line each, `{first} {name}`"


class NamesOf:
    """Which names a label file means."""

    def __init__(self, folder: Folder) -> None:
        """Read the names. Raises ValueError if files cannot be read or contradict one another."""
        self._folder = folder
        self.description = _description(folder)
        self._texts: dict[Path, Names] = {}
        for path in name_files(folder):
            found = _text(folder, path)
            other = self._texts.setdefault(path.parent, found)
            _require_same(folder, other, found)

    @property
    def is_empty(self) -> bool:
        """Whether no file names a class."""
        return self.description is None and not self._texts

    def of(self, label: Path) -> Names:
        """The names in the nearest folder above the label file; all files that apply must agree."""
        above = [self._texts[p] for p in label.parents if p in self._texts]
        for other in above[1:]:
            _require_same(self._folder, above[0], other)
        near = above[0] if above else None
        if self.description is not None:
            if near is not None:
                _require_same(self._folder, self.description, near)
            return self.description
        if near is not None:
            return near
        if not self._texts:
            raise ValueError(
                f"{self._folder.root} has YOLO labels and no names: put `names: [first, second]` "
                "into "
                f"{self._folder.root / 'data.yaml'}"
            )
        first, *others = self._texts.values()
        for other in others:
            _require_same(self._folder, first, other)
        return first


def name_files(folder: Folder) -> list[Path]:
    """Text files with a name a line."""
    return [p for p in folder.files if p.name.lower() in _NAME_FILES or p.suffix == ".names"]


def _require_same(folder: Folder, one: Names, other: Names) -> None:
    """Raise ValueError where two files give a number different names."""
    for number in sorted(one.by_number.keys() & other.by_number.keys()):
        if _plain(one.by_number[number]) != _plain(other.by_number[number]):
            raise ValueError(
                f"{folder.root}: class {number} is {one.by_number[number]!r} in {one.file} and "
                f"{other.by_number[number]!r} in {other.file}: take out the one that does not "
                "belong to the labels"
            )


def _plain(name: str) -> str:
    """Without what nobody names two classes by: case, and what parts the words."""
    return re.sub(r"[\s_-]+", " ", name).casefold()


def _text(folder: Folder, path: Path) -> Names:
    text = text_of(folder, path)
    if text is None:
        raise ValueError(f"{folder.root / path} is not UTF-8: save it as UTF-8, with a name a line")
    if text.startswith(POINTER):
        raise ValueError(
            f"{folder.root / path} is a pointer of Git LFS, not the names: get the file with git "
            "lfs pull"
        )
    lines = [files.plain(line) for line in text.rstrip().splitlines()]
    while lines and _COMMENT.match(lines[0]):
        del lines[0]
    for line in filter(_COMMENT.match, lines):
        raise ValueError(
            f"{folder.root / path}: {line!r} among the names may be a comment or a class: take it "
            "out, or spell it without '#'"
        )
    for line in filter(_CONFLICT.fullmatch, lines):
        raise ValueError(
            f"{folder.root / path}: {line!r} stands between two versions that git could not merge: "
            "keep one of them, and take the mark out"
        )
    if len(lines) > 1 and _HEADING.fullmatch(lines[0]):
        raise ValueError(
            f"{folder.root / path}: the first line, {lines[0]!r}, may be a heading or a class, and "
            "every other class is counted from it: take it out, or spell it otherwise"
        )
    by_number, nameless = _parted(_numbered(lines))
    return Names(path, by_number, nameless=nameless)


def _parted(listed: Mapping[int, str]) -> tuple[dict[int, str], frozenset[int]]:
    """The names, and the numbers that have none."""
    named = {number: name for number, name in listed.items() if name}
    return named, frozenset(listed.keys() - named.keys())


def _numbered(lines: Sequence[str]) -> dict[int, str]:
    """Names by number: their place, or the number before each, which counts from 0 or 1."""
    counted = [_COUNTED.match(line) for line in lines]
    for first in (0, 1):
        numbers = range(first, first + len(lines))
        if [match[1] for match in counted if match] == [str(number) for number in numbers]:
            names = [line[m.end() :] for line, m in zip(lines, counted, strict=True) if m]
            if len(set(names)) == len(names):  # not `1 euro`, `2 euro`
                return dict(zip(numbers, names, strict=True))
    return dict(enumerate(lines))


def _description(folder: Folder) -> Names | None:
    """What the YAML file of the dataset says. Of several, the one whose paths are there."""
    ranked: dict[int, list[Names]] = defaultdict(list)
    for path in folder.with_suffix(".yaml", ".yml"):
        content, again = _yaml(folder, path)
        if not isinstance(content, dict) or "names" not in content:
            continue
        if again:
            raise ValueError(
                f"{folder.root / path}: {again[:60]!r} stands there twice, and only one of its "
                "lines counts: take the other out, or give it its own number or word"
            )
        found = _named(folder, path, content)
        ranked[0 if found.folders else 2 if found.absent else 1].append(found)
    if not ranked:
        return None
    best = ranked[min(ranked)]
    for other in best[1:]:
        _require_same(folder, best[0], other)
        if best[0].by_number.keys() != other.by_number.keys():
            raise ValueError(
                f"{folder.root}: {best[0].file} and {other.file} name different classes: "
                "take out the one that does not belong to the labels"
            )
    return best[0]


class _Loader(yaml.BaseLoader):
    """Every scalar as it is written: `no`, `7` and `07` are names too."""

    again = ""
    """A key that a mapping has twice: YAML forbids it, and PyYAML keeps the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping, with a look at its keys."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        self.again = self.again or next((k for k, count in Counter(keys).items() if count > 1), "")
        return super().construct_mapping(node, deep)


def _yaml(folder: Folder, path: Path) -> tuple[Any, str]:
    """The content, and a key that stands in it twice."""
    where, is_ours = folder.root / path, path.name.lower() in _DESCRIPTIONS
    if where.stat().st_size > _MAX_YAML_BYTES:
        if is_ours:
            raise ValueError(
                f"{where} has more than {_MAX_YAML_BYTES} bytes: it is not a list of names; move "
                "it out of the folder"
            )
        return None, ""
    try:
        loader = _Loader(where.read_bytes())
        return loader.get_single_data(), loader.again
    except (yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError) as error:
        if is_ours:
            problem = " ".join(str(error).split())[:300]
            raise ValueError(f"{where} is not YAML: {problem}; mend it") from error
        return None, ""


def _named(folder: Folder, path: Path, content: Mapping[str, Any]) -> Names:
    shape = content.get("kpt_shape")
    counts = [_whole(value) for value in shape] if isinstance(shape, list) else []
    keypoints = None
    if len(counts) == 2 and counts[0] is not None and counts[1] is not None:
        keypoints = counts[0] * counts[1]
    folders, absent = _folders(folder, path, content)
    strange = _strange(folder, path, content)
    by_number, nameless = _parted(_by_number(folder, path, content["names"]))
    return Names(
        path, by_number, _whole(content.get("nc")), keypoints, folders, absent, strange, nameless
    )


def _by_number(folder: Folder, path: Path, names: Any) -> dict[int, str]:
    """What is listed, by number; "" where an entry says nothing."""
    if isinstance(names, str) and names not in _NOTHING:
        found = _resolved(folder, path, "", names)
        if found is not None and found in folder.files:
            listed = _text(folder, found)
            return {**listed.by_number, **dict.fromkeys(listed.nameless, "")}
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return {i: _spelled(name) for i, name in enumerate(names)}
    if isinstance(names, dict) and all(isinstance(v, str) for v in names.values()):
        pairs = [(_whole(k), _spelled(v)) for k, v in names.items()]
        pairs = [(number, name) for number, name in pairs if name or number is not None]
        if all(number is None for number, _ in pairs):  # {cat: 0, dog: 1}
            pairs = [(_whole(v), files.plain(str(k))) for k, v in names.items()]
        numbered = {number: name for number, name in pairs if number is not None}
        if len(numbered) == len(pairs):
            return numbered
    # reprlib: a few aliases write out to gigabytes
    raise ValueError(
        f"{folder.root / path}: names={reprlib.repr(names)[:200]} is not a list of names: "
        "give `names: [first, second]`"
    )


def _spelled(name: str) -> str:
    return "" if name.strip() in _NOTHING else files.plain(name)


def _whole(value: object) -> int | None:
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) and int(text) <= _MAX_CLASSES else None


def _folders(
    folder: Folder, path: Path, content: Mapping[str, Any]
) -> tuple[dict[str, list[Path]], list[str]]:
    """The folders and lists of each split that are there, and those that are not."""
    base = content.get("path") if isinstance(content.get("path"), str) else ""
    there: dict[str, list[Path]] = defaultdict(list)
    absent = []
    for word, split in _SPLITS.items():
        given = content.get(word)
        for entry in given if isinstance(given, list) else [given]:
            if not isinstance(entry, str) or entry in _NOTHING:
                continue
            found = _resolved(folder, path, str(base), entry)
            if found is None:
                absent.append(f"{word}: {entry}")
            else:
                there[split].append(found)
    return dict(there), absent


def _strange(folder: Folder, path: Path, content: Mapping[str, Any]) -> list[str]:
    """Folders and lists under a word that is not a split, such as a misspelled one."""
    base = content.get("path") if isinstance(content.get("path"), str) else ""
    return [
        f"{word}: {entry}"
        for word, entry in content.items()
        if isinstance(entry, str)
        and word not in (*_SPLITS, "path", "names")
        and entry not in _NOTHING
        and _resolved(folder, path, str(base), entry)
    ]


def _resolved(folder: Folder, near: Path, base: str, entry: str) -> Path | None:
    """The folder or file that a YAML file names, whichever folder its paths start from and
    whichever machine they were written on.
    """
    known = {*folder.files, *(parent for path in folder.files for parent in path.parents)}
    parts = [part for part in parts_of(entry) if "*" not in part]
    own = near.parent.parts
    for spelled in _beginnings(own, tuple(parts_of(base)), tuple(parts)):
        found = Path(*spelled)
        if found in known and found != Path():
            return found
    return Path() if not parts and entry.strip() in (".", "./") else None


def _beginnings(
    own: tuple[str, ...], base: tuple[str, ...], parts: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    yield (*own, *base, *parts)
    yield (*own, *parts)
    yield (*base, *parts)
    yield parts
    for start in range(1, len(parts) - 1):  # two parts at least: one is too common a name
        yield parts[start:]
