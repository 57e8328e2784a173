"""What the adapters in `sources/` share: annotation files read with clear errors, image files found, boxes gathered.

No dataset is known here.
"""

from __future__ import annotations

import io
import json
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from omnidet.data.quarantine import Quarantine
from omnidet.schema import FloatArray

Entry = Mapping[str, Any]
"""One JSON object of an annotation file."""


@dataclass(frozen=True)
class GroundTruth:
    """What the official evaluation of a dataset reads."""

    path: str
    """The annotation file."""
    names: Mapping[int, str]
    """Category id -> the phrase that stands for it in the Records."""


class Regions:
    """The boxes of one image and the phrases that name them, in the order in which they were first met."""

    def __init__(self) -> None:
        self._boxes: list[list[float]] = []
        self._index: dict[Hashable, int] = {}
        self._named: dict[str, list[int]] = {}

    def add(self, phrase: str, key: Hashable, xyxy: list[float]) -> None:
        """Let `phrase` name the box; the same `key` is the same box, whatever names it."""
        if key not in self._index:
            self._index[key] = len(self._boxes)
            self._boxes.append(xyxy)
        named = self._named.setdefault(phrase, [])
        if self._index[key] not in named:
            named.append(self._index[key])

    @property
    def boxes_xyxy(self) -> FloatArray:
        """(N, 4) float32."""
        with np.errstate(over="ignore"):  # a huge number becomes inf here and is named by quarantine.clean
            return np.array(self._boxes, np.float64).reshape(-1, 4).astype(np.float32)

    @property
    def phrases(self) -> tuple[str, ...]:
        return tuple(self._named)

    @property
    def phrase_boxes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(indices) for indices in self._named.values())


def load_json(path: Path, remedy: str) -> Any:
    """The content of a JSON file, without segmentation masks: they are most of a file and no adapter reads them.

    Raises FileNotFoundError with the remedy, and ValueError for what is not JSON.
    """
    require_file(path, remedy)
    try:
        return json.loads(path.read_bytes(), object_hook=_without_masks)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise ValueError(f"{path} is not JSON ({error}): fetch or write it anew") from error


def _without_masks(entry: dict[str, Any]) -> dict[str, Any]:
    entry.pop("segmentation", None)
    return entry


def require_file(path: Path, remedy: str) -> None:
    """Raise FileNotFoundError with the remedy where there is no such file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: {remedy}")


def entries(data: Any, key: str, fields: Mapping[str, type | tuple[type, ...]], path: Path) -> list[Entry]:
    """`data[key]`, a list of objects that have the fields with the given types; ValueError names what is missing."""
    found = data.get(key) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{path} has no list {key!r}: it is not in the dataset's format")
    return checked(found, key, fields, path)


def checked(found: list[Any], what: str, fields: Mapping[str, type | tuple[type, ...]], path: Path) -> list[Entry]:
    """The same list, once every entry is known to be an object with the fields."""
    for i, entry in enumerate(found):
        for field, kind in fields.items():
            if not isinstance(entry, dict) or not isinstance(entry.get(field), kind):
                got = repr(entry.get(field, "nothing") if isinstance(entry, dict) else entry)[:80]
                raise ValueError(f"{path}: {what}[{i}] needs {field!r} of type {_type_names(kind)}, got {got}: mend the file")
    return found


def _type_names(kind: type | tuple[type, ...]) -> str:
    return " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))


def first_of_each(
    found: Iterable[Entry], source: str, what: str, kind: str, quarantine: Quarantine, key: str = "id"
) -> Iterator[Entry]:
    """The entries whose id has not come before; the others go to the quarantine."""
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
    """Corners of an annotated box, however odd its numbers, or None where it is not four numbers."""
    numbers = four_numbers(xywh)
    if numbers is None:
        return None
    x, y, width, height = numbers
    return [x, y, x + width, y + height]


def four_numbers(box: Any) -> list[float] | None:
    """The box as floats, or None where it is not four numbers."""
    if not isinstance(box, Sequence) or len(box) != 4 or not all(isinstance(x, int | float) for x in box):
        return None
    try:
        return [float(x) for x in box]
    except OverflowError:  # JSON integers have no limit
        return None


def plain(text: str) -> str:
    """The text with every run of white space made one blank.

    Half a character, which JSON can hold and UTF-8 cannot, becomes "?".
    """
    return " ".join(text.encode("utf-8", "replace").decode().split())


def join_captions(captions: Iterable[str]) -> str:
    """One caption out of several: the distinct ones, set apart by ` . `, as the image loss reads a set of words."""
    return " . ".join(dict.fromkeys(captions))


def find_image(root: str, names: Iterable[str]) -> Path | None:
    """The first of the relative names that is a file below `root` or `root/images`."""
    for name in names:
        # A name comes out of an annotation file: it must not lead out of the dataset.
        if Path(name).is_absolute() or ".." in Path(name).parts:
            continue
        for path in (Path(root, name), Path(root, "images", name)):
            if path.is_file():
                return path
    return None


def image_size(content: bytes) -> tuple[int, int] | str:
    """(width, height) from the image's header, or the reason for which it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # quarantine.clean judges the size
            with Image.open(io.BytesIO(content)) as image:
                return image.size
    except Image.DecompressionBombError:
        return "image too large"
    except (OSError, SyntaxError, ValueError, EOFError, ArithmeticError):  # what Pillow's readers raise
        return "unreadable image"
