"""What the adapters in `sources/` share: annotation files with clear errors, boxes, captions."""

from __future__ import annotations

import functools
import itertools
import reprlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from omnidet import storage
from omnidet.data.reading import json_stream, picture_files
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from omnidet.schema import FloatArray, Record

T = TypeVar("T")
Entry = Mapping[str, Any]
"""One JSON object of an annotation file."""
Piece = functools.partial[Iterator[Record]]
"""Reads some of a split's records, given a quarantine.

It holds a function of a module and plain data, so that any process can run it.
"""
PIECE_UNITS = 1000
"""Images, rows or members in a piece, by default."""


@dataclass(frozen=True)
class GroundTruth:
    """What the official evaluation of a dataset reads."""

    path: str
    """The annotation file."""
    names: Mapping[int, str]
    """Category id -> its phrase in the Records. Empty for datasets of phrases."""
    content: bytes | None = None
    """The content of the file if the dataset has no such file as it is; `path` is then empty."""


class Regions:
    """The boxes of one image and the phrases that name them, in the order of first appearance."""

    def __init__(self) -> None:
        self._boxes: list[list[float]] = []
        self._index: dict[Hashable, int] = {}
        self._named: dict[str, list[int]] = {}

    def add(self, phrase: str, key: Hashable, xyxy: list[float]) -> None:
        """Let `phrase` name the box. The same `key` means the same box, whatever names it."""
        if key not in self._index:
            self._index[key] = len(self._boxes)
            self._boxes.append(xyxy)
        named = self._named.setdefault(phrase, [])
        if self._index[key] not in named:
            named.append(self._index[key])

    @property
    def boxes_xyxy(self) -> FloatArray:
        """(N, 4) float32."""
        with np.errstate(
            over="ignore"
        ):  # a huge number becomes inf, which quarantine.clean rejects
            return np.array(self._boxes, np.float64).reshape(-1, 4).astype(np.float32)

    @property
    def phrases(self) -> tuple[str, ...]:
        return tuple(self._named)

    @property
    def phrase_boxes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(indices) for indices in self._named.values())


def load_json(folder: DataFolder, name: str, remedy: str, keep: Mapping[str, Sequence[str]]) -> Any:
    """The lists `keep` of a JSON file, and of their elements only the named fields.

    Most of such a file is not needed: masks, areas, licences. Raises FileNotFoundError with the
    remedy, and ValueError with a one-line message if the file is not valid JSON.
    """
    require(folder, name, remedy)
    try:
        return json_stream.load(folder.path(name), keep)
    # UnicodeDecodeError and JSONDecodeError are ValueErrors.
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{storage.join(folder.location, name)} is not JSON ({error}): "
            "download or create it again"
        ) from error


def require(folder: DataFolder, name: str, remedy: str) -> None:
    """Raise FileNotFoundError with the remedy if the file does not exist."""
    if not folder.has(name):
        raise FileNotFoundError(f"{storage.join(folder.location, name)} does not exist: {remedy}")


def entries(
    data: Any, key: str, fields: Mapping[str, type | tuple[type, ...]], path: str
) -> list[Entry]:
    """`data[key]`, a list of objects that have the fields with the given types.

    Raises ValueError that names what is missing.
    """
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{path} has no list {key!r}: it is not in the dataset's format")
    return checked(found, key, fields, path)


def checked(
    found: list[Any], what: str, fields: Mapping[str, type | tuple[type, ...]], path: str
) -> list[Entry]:
    """The same list, after a check that every entry is an object with the fields."""
    for i, entry in enumerate(found):
        for field, kind in fields.items():
            if not isinstance(entry, dict) or not isinstance(entry.get(field), kind):
                value = entry.get(field, "nothing") if isinstance(entry, dict) else entry
                got = reprlib.repr(value)[:80]  # reprlib, because values may be nested deeply
                raise ValueError(
                    f"{path}: {what}[{i}] needs {field!r} of type {_type_names(kind)}, got {got}: "
                    "correct the file"
                )
    return found


def _type_names(kind: type | tuple[type, ...]) -> str:
    return " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))


def first_of_each(
    found: Iterable[Entry],
    source: str,
    what: str,
    kind: str,
    quarantine: Quarantine,
    key: str = "id",
) -> Iterator[Entry]:
    """The entries whose id is new. The others go to the quarantine."""
    seen: set[Any] = set()
    for entry in found:
        if entry[key] in seen:
            quarantine.reject(source, f"{what} {entry[key]}", f"duplicate {what} id", kind)
        else:
            seen.add(entry[key])
            yield entry


def by_image(found: Iterable[Entry]) -> dict[int, list[Entry]]:
    """Entries grouped by their `image_id`, in the order of the file."""
    groups: dict[int, list[Entry]] = defaultdict(list)
    for entry in found:
        groups[entry["image_id"]].append(entry)
    return dict(groups)


def xywh_to_xyxy(xywh: Any) -> list[float] | None:
    """Corners of an annotated box, whatever its numbers, or None if it is not four numbers."""
    numbers = four_numbers(xywh)
    if numbers is None:
        return None
    x, y, width, height = numbers
    return [x, y, x + width, y + height]


def four_numbers(box: Any) -> list[float] | None:
    """The box as floats, or None if it is not four numbers."""
    if (
        not isinstance(box, Sequence)
        or len(box) != 4
        or not all(isinstance(x, int | float) for x in box)
    ):
        return None
    try:
        return [float(x) for x in box]
    except OverflowError:  # JSON integers have no limit
        return None


def parse_xml(content: bytes) -> ElementTree.Element:
    """The root of an annotation. Raises ValueError if it is not XML or has a DOCTYPE."""
    try:
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, LookupError) as error:  # LookupError: an unknown encoding
        raise ValueError(f"not XML ({error})") from error


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a DOCTYPE, which alone can declare entities that expand to gigabytes."""

    def doctype(self, *_: str | None) -> None:
        raise ValueError("a DOCTYPE, which these files do not have")


def plain(text: str) -> str:
    """The text with each run of white space replaced by one space.

    Half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes "?".
    """
    return " ".join(text.encode("utf-8", "replace").decode().split())


def join_captions(captions: Iterable[str]) -> str:
    """One caption from several: the distinct ones, joined by ` . `.

    The image loss reads a caption as a set of words.
    """
    return " . ".join(dict.fromkeys(captions))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items; the last one may be shorter."""
    left = iter(items)
    while batch := list(itertools.islice(left, size)):
        yield batch


def chained(pieces: Iterable[Piece], quarantine: Quarantine) -> Iterator[Record]:
    """The records of all pieces in order: a whole split."""
    for piece in pieces:
        yield from piece(quarantine)


def image_size(content: bytes) -> tuple[int, int] | str:
    """(width, height) from the image's header, or the reason why it cannot be read."""
    try:
        with picture_files.opened(content) as image:
            return image.size  # quarantine.clean judges it
    except Image.DecompressionBombError:
        return "image too large"
    # What Pillow's readers raise.
    except picture_files.DAMAGED:
        return "unreadable image"
