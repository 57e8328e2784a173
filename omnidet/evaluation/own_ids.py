"""Results with ids of their own -> those of a ground-truth file, by the names of files and
categories.

`omnidet predict` numbers pictures and names itself, since it knows no ground truth, and says which
is which in `dataset.json` beside the results. Another file's 3 is another picture, and counting it
as this one would give numbers that are wrong without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from omnidet import storage
from omnidet.data.class_names import phrase, words
from omnidet.data.label_files.coco import BESIDE, MADE_BY
from omnidet.data.reading.coco_json import file_of
from omnidet.evaluation.truth import read_json


def as_in_truth(
    rows: Iterable[Mapping[str, Any]], results: str | Path, truth: str | Path
) -> Iterator[Mapping[str, Any]]:
    """The rows with the ids of the truth where `dataset.json` says whose they are; else as they
    are.

    Raises ValueError for a picture or a name with a box that the truth does not have, or that fits
    several of it.
    """
    own = _beside(results)
    known = read_json(truth) if own else None
    if not own or not isinstance(known, dict):
        return iter(rows)
    images = _by_file(own["images"], known.get("images"))
    names = _by_name(own["categories"], known.get("categories"))
    return _renumbered(rows, images, names, truth)


def _renumbered(
    rows: Iterable[Mapping[str, Any]],
    images: Mapping[Any, Any],
    names: Mapping[Any, Any],
    truth: str | Path,
) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        changed = dict(row)
        for field, places, remedy in (
            ("image_id", images, "give the ground truth of the pictures that were looked at"),
            ("category_id", names, "look for the names of the ground truth (--phrases-file)"),
        ):
            place = places.get(row.get(field), row.get(field))
            if isinstance(place, _Unknown):
                raise ValueError(f"{place} {place.fault} {truth}: {remedy}")
            changed[field] = place
        yield changed


class _Unknown(str):
    """What has no place in the truth."""

    fault = "is not in"


class _Several(_Unknown):
    """What has several."""

    fault = "is not one thing alone in"


class _Unnamed(_Unknown):
    """A picture, where the truth does not say which file is which."""

    fault = "cannot be found: some images have neither file_name nor coco_url in"


def _beside(results: str | Path) -> Mapping[str, Any] | None:
    """The dataset that was written with the results, if they are of `omnidet predict`."""
    folder, slash, _ = str(results).rpartition("/")
    place = str(storage.join(folder, BESIDE)) if slash else BESIDE
    if not storage.exists(place):
        return None
    content = read_json(place)
    info = content.get("info") if isinstance(content, dict) else None
    return content if isinstance(info, dict) and info.get("description") == MADE_BY else None


def _by_file(own: Iterable[Mapping[str, Any]], truth: Any) -> dict[Any, Any]:
    """Ids by ids: the file of the truth whose path is the end of the other's."""
    places: dict[str, list[Any]] = {}
    for image in truth if isinstance(truth, list) else ():
        name = file_of(image) if isinstance(image, dict) else ""
        if not name:
            return {image["id"]: _by_number(image) for image in own}
        path = PurePosixPath(name.replace("\\", "/"))
        places.setdefault("/".join(p for p in path.parts if p not in ("/", ".")), []).append(
            image.get("id")
        )
    found = {image["id"]: (_place(image["file_name"], places), image["file_name"]) for image in own}
    times = Counter(place for place, _ in found.values())
    return {own_id: _Several(f) if times[p] > 1 else p for own_id, (p, f) in found.items()}


def _by_number(image: Mapping[str, Any]) -> Any:
    """The id where it is the number that the file is called by, as COCO's are."""
    stem = PurePosixPath(image["file_name"]).stem
    is_number = stem.isascii() and stem.isdecimal() and int(stem) == image["id"]
    return image["id"] if is_number else _Unnamed(image["file_name"])


def _place(file_name: str, places: Mapping[str, list[Any]]) -> Any:
    """Of the longest end of the path that the truth has; of a path below other folders, the file's
    own name."""
    parts = PurePosixPath(file_name).parts
    for first in range(len(parts)):
        found = places.get("/".join(parts[first:]).lstrip("/"), [])
        if found:
            return found[0] if len(found) == 1 else _Several(file_name)
    named = [ids for name, ids in places.items() if PurePosixPath(name).name == parts[-1]]
    if not named:
        return _Unknown(file_name)
    return named[0][0] if len(named) == 1 and len(named[0]) == 1 else _Several(file_name)


def _by_name(own: Iterable[Mapping[str, Any]], truth: Any) -> dict[Any, Any]:
    """Ids by ids: the category of the same name, or of the same words: `SodaCan`, soda can."""
    exact: dict[str, list[Any]] = {}
    worded: dict[str, list[Any]] = {}
    for category in truth if isinstance(truth, list) else ():
        if isinstance(category, dict):
            name = str(category.get("name"))
            exact.setdefault(name, []).append(category.get("id"))
            worded.setdefault(words(phrase(name)), []).append(category.get("id"))
    found: dict[Any, Any] = {}
    for category in own:
        name = str(category["name"])
        ids = exact.get(name) or worded.get(words(phrase(name)), [])
        unplaced = _Several(name) if ids else _Unknown(name)
        found[category["id"]] = ids[0] if len(ids) == 1 else unplaced
    return found
