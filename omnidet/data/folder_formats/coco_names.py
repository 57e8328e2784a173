"""The categories of COCO json, and the ids by which its lists speak of one another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnidet.data.folder_formats import numbering
from omnidet.data.reading import annotations as files

Id = int | str
_LEAST_ALONE = 10
"""Annotations of a file that are looked at without those of other files of the same categories."""


@dataclass(frozen=True)
class Names:
    """The categories of a file."""

    by_id: Mapping[Id, str]
    """Without those that have no name."""
    spare: frozenset[Id] = frozenset()
    """Those that have no name, or are only there to hold others."""

    def of(self, ids: object) -> frozenset[str]:
        """Names of a list of ids."""
        found = [id_of(i) for i in ids] if isinstance(ids, list) else []
        return frozenset(self.by_id[i] for i in found if i is not None and i in self.by_id)


class Counts:
    """How many annotations each category has, over all files that list the same categories."""

    def __init__(self) -> None:
        self._found: dict[tuple[tuple[Id, str], ...], tuple[Path, Names, Counter[int]]] = {}
        self._alone: list[tuple[Path, Names, Counter[int]]] = []
        """Those of each file."""

    def add(self, path: Path, names: Names, annotations: Sequence[Any]) -> None:
        """Count those of one file."""
        _, _, used = self._found.setdefault(tuple(names.by_id.items()), (path, names, Counter()))
        ids = [id_of(entry.get("category_id")) for entry in annotations if isinstance(entry, dict)]
        alone = Counter(own for own in ids if isinstance(own, int))
        used.update(alone)
        if sum(alone.values()) >= _LEAST_ALONE:
            self._alone.append((path, names, alone))

    def fault(self) -> str:
        """A sentence with the remedy where annotations and categories count from different numbers,
        over all files or in one of them, a background has boxes, or two categories bear one name;
        "" elsewhere.
        """
        together = list(self._found.values())
        said = [_numbering(*one) or _of_names(*one) for one in together]
        said += [_numbering(*one) for one in self._alone]
        return next(filter(None, said), "")


def _numbering(path: Path, names: Names, used: Mapping[int, int]) -> str:
    spare = frozenset(own for own in names.spare if isinstance(own, int))
    found = numbering.fault(used, _numbered(names), spare, _words(path))
    if found is None:
        return ""
    return (
        f"{found[1]}; give the categories the ids that the annotations use, or list the other "
        "category there too if it is one, or take its boxes out if they are left over"
    )


def _of_names(path: Path, names: Names, used: Mapping[int, int]) -> str:
    said = numbering.of_none(used, _numbered(names), _words(path))
    return said or numbering.twice(used, _numbered(names), _words(path))


def _numbered(names: Names) -> dict[int, str]:
    listed = names.by_id.items()
    return {own: n for own, n in listed if isinstance(own, int) and own not in names.spare}


def _words(path: Path) -> tuple[str, str, str]:
    return "category", f"`categories` of {path}", "annotations"


def fault_of_images(listed: Collection[Id], annotated: Collection[Id], path: Path) -> str:
    """A sentence with the remedy where the annotations count the pictures from another number than
    their list does, so that each box would lie in the next picture; "" elsewhere.
    """
    images = {own for own in listed if isinstance(own, int)}
    used = {own for own in annotated if isinstance(own, int)}
    for step in (1, -1):
        if used - images and {own + step for own in used} <= images:
            lost, idle = min(used - images), (min if step < 0 else max)(images)
            return (
                f"{path}: annotations are of image {lost}, which is not in `images`, and none is "
                f"of image {idle}: they count the pictures from another number, and each box would "
                "lie in another picture; give `images` the ids that the annotations use, or list "
                "the other picture there too if it is one, or take its boxes out if they are left "
                "over"
            )
    return ""


def list_of(content: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    """One of the lists of a file; empty where it is missing. Raises ValueError for others."""
    found = content.get(key, [])
    if not isinstance(found, list):
        raise ValueError(
            f"{path} has no list {key!r}: it is not COCO json; mend it, or move it away"
        )
    return found


def once_each(content: Mapping[str, Any], key: str, field: str, path: Path) -> dict[Id, Any]:
    """The entries by id. Raises ValueError where one has no id, or one id stands for two."""
    found: dict[Id, Any] = {}
    for place, entry in enumerate(list_of(content, key, path)):
        own = id_of(entry.get("id")) if isinstance(entry, dict) else None
        if own is None:
            raise ValueError(
                f"{path}: {key}[{place}] needs an id, a number or a text: give it one, or take "
                "it out"
            )
        other = found.setdefault(own, entry)
        if other.get(field) != entry.get(field):
            raise ValueError(
                f"{path}: id {own!r} of {key!r} stands for {other.get(field)!r} and "
                f"{entry.get(field)!r}: give each its own"
            )
    return found


def id_of(value: object) -> Id | None:
    """Ids are numbers; a text or 1.0 that spells one is the same id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        text = value.strip()
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text or None
    if isinstance(value, float):
        return int(value) if abs(value) < 2**53 and value == int(value) else None
    return value


def categories(content: Mapping[str, Any], path: Path) -> Names:
    """The categories of a file. Raises ValueError as `once_each` does."""
    listed = once_each(content, "categories", "name", path)
    above = [category.get("supercategory") for category in listed.values()]
    found = {}
    for own, category in listed.items():
        name = category.get("name")
        if isinstance(name, str | int | float) and not isinstance(name, bool):
            found[own] = files.plain(str(name))
    by_id = {own: name for own, name in found.items() if name}
    holders = {
        own
        for own, category in listed.items()
        if category.get("name") in above and category.get("supercategory") != category.get("name")
    }
    return Names(by_id, frozenset(holders | (listed.keys() - by_id.keys())))
