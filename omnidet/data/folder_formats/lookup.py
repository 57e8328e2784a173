"""Find the picture of an annotation by the path in it, without ever guessing between two different
pictures.
"""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from omnidet.data.folder_formats.folder import (
    PICTURES,
    Folder,
    ending_of,
    key,
    parts_of,
    split_of_folders,
    telling,
)

NOT_THERE = "picture that is not there"
AMBIGUOUS = "picture that two different files may be"
CONTRADICTION = "annotation that names one picture and is called like another"
_HASHED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the names of uploaded pictures."""


@dataclass(frozen=True)
class Hit:
    """A picture, or why there is none."""

    picture: Path | None
    problem: str = ""
    detail: str = ""
    """For people: the files between which nothing decides, or what the folder has instead."""
    origin: str = ""
    """See `Sheet.origin`."""


class _Relation(IntEnum):
    """How well the folders of two files agree, the best first."""

    SAME = 0
    PART = 1
    """One says less than the other."""
    RENAMED = 2
    """One folder of each has another name, and neither name says what kind of files it holds."""
    OTHER = 3


def find(
    folder: Folder, declared: str, near: Path, split: str = "", is_sole_folder: bool = False
) -> Hit:
    """The picture whose path an annotation spells.

    Args:
        declared: the path or name as written, from any operating system.
        near: the annotation file; of several pictures of the name, the one whose folders agree with
            it is meant.
        split: of the annotation: a picture of another split is another picture where names are used
            twice.
        is_sole_folder: all annotations of the file spell the same folder, which then parts nothing
            from nothing.
    """
    parts = parts_of(declared)
    if not parts:
        return Hit(None, NOT_THERE, "the annotation names no picture")
    folders, name = parts[:-1], parts[-1]
    if len(folders) > 1 and folders[-2] == "upload" and folders[-1].isdigit():
        folders = []  # a project of Label Studio, whose uploads have names of their own
    for spelled, candidates in _spellings(folder, name):
        hit = _choose(folder, candidates, [*folders, spelled], near, split)
        if hit is None and folders and is_sole_folder:
            hit = _choose(folder, candidates, [spelled], near, split)
        if hit is not None:
            return hit
    return Hit(None, NOT_THERE, _instead(folder, name, declared))


def find_by_stem(folder: Folder, stem: str, near: Path, split: str = "") -> Hit:
    """The picture named like an annotation file that has no path, whatever its ending."""
    hit = _choose(folder, folder.with_stem(stem), [stem], near, split)
    return hit or Hit(None, NOT_THERE, _instead(folder, stem, stem))


def find_by_either(folder: Folder, declared: str, near: Path, split: str = "") -> Hit:
    """The picture whose path is in an annotation file, otherwise the one with the name of the file.

    Where both are there and differ, one of the two was renamed or copied, and nothing says which.
    """
    called = find_by_stem(folder, near.stem, near, split)
    if not parts_of(declared):
        return called
    spelled = find(folder, declared, near, split)
    if spelled.problem == NOT_THERE and called.picture is not None:
        # Only if nothing in the whole folder has the spelled name was the picture renamed.
        stems = {key(Path(name).stem) for name in _decoded(parts_of(declared)[-1])}
        others = [folder.by_folded_stem[stem] for stem in stems if stem in folder.by_folded_stem]
        if not others:
            return called
        if called.picture not in others:
            return Hit(None, CONTRADICTION, f"{others[0]} or {called.picture}")
    if spelled.picture is None or called.picture in (None, spelled.picture):
        return spelled
    both = [path for path in (spelled.picture, called.picture) if path is not None]
    return spelled if folder.same(both) else Hit(None, CONTRADICTION, f"{both[0]} or {both[1]}")


def _spellings(folder: Folder, name: str) -> Iterable[tuple[str, Sequence[Path]]]:
    """Candidates by name, closest first: as spelled, in another Unicode form or case, with percent
    signs decoded, with another ending.
    """
    same_key = folder.by_name.get(folder.key(name), [])
    for is_spelled in (lambda p: p.name == name, lambda p: _form(p.name) == _form(name)):
        yield name, list(filter(is_spelled, same_key))
    yield name, same_key
    _, decoded, plain = _decoded(name)
    for other in dict.fromkeys((decoded, plain)):
        yield other, folder.by_name.get(folder.key(other), [])
    path = Path(decoded)
    others = folder.with_stem(path.stem)
    if re.fullmatch(r"\.[A-Za-z]{2,4}[0-9]?", path.suffix):
        synonyms = [p for p in others if ending_of(p) == ending_of(path)]
        yield path.stem, synonyms
        # All pictures were converted after they were annotated.
        if ending_of(path) not in folder.endings:
            yield path.stem, others
    for stem in dict.fromkeys((decoded, plain)):
        yield stem, folder.with_stem(stem)


def _decoded(name: str) -> tuple[str, str, str]:
    """A name as spelled, without percent signs, and without the tool's prefix."""
    decoded = urllib.parse.unquote(name.partition("?")[0])
    return name, decoded, _HASHED.sub("", decoded)


def _form(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _choose(
    folder: Folder, candidates: Sequence[Path], parts: Sequence[str], near: Path, split: str
) -> Hit | None:
    """The one that the folders decide for; None where none fits."""
    said, context = telling(parts[:-1]), telling(near.parent.parts)
    ranked: list[tuple[tuple[int, ...], Path]] = []
    for path in candidates:
        rank = _rank(folder, path, parts, said, context, near, split)
        if rank is not None:
            ranked.append((rank, path))
    if not ranked:
        return None
    best = min(rank for rank, _ in ranked)
    chosen = [path for rank, path in ranked if rank == best]
    if len(chosen) > 1 and not folder.same(chosen):
        return Hit(None, AMBIGUOUS, f"{chosen[0]} or {chosen[1]}")
    is_exact = best[0] == _Relation.SAME and (best[2] == _Relation.SAME or len(parts) > 1)
    origin = "" if is_exact else "/".join([*context, "", *said])
    return Hit(chosen[0], origin=origin)


def _rank(
    folder: Folder,
    path: Path,
    parts: Sequence[str],
    said: Sequence[str],
    context: Sequence[str],
    near: Path,
    split: str,
) -> tuple[int, ...] | None:
    """How well a candidate fits what is spelled and where the annotation lies; None where it does
    not.
    """
    own = telling(path.parent.parts)
    common = _num_common_end(parts[:-1], path.parent.parts)
    is_spelled = 0 < len(parts) - 1 == common
    spelled = _Relation.SAME if is_spelled or len(parts) == 1 else _relation(said, own)
    placed = _relation(context, own)
    if placed is _Relation.OTHER and _may_be_renamed(folder, near, path):
        placed = _Relation.RENAMED
    if spelled > _Relation.PART or (placed is _Relation.OTHER and not is_spelled):
        return None
    if placed is _Relation.PART and len(parts) == 1 and _is_of_others(folder, near, context, own):
        return None
    own_split = split_of_folders(path)
    other_split = bool(split and own_split and own_split != split)
    if other_split and folder.are_names_reused and not is_spelled:
        return None
    is_elsewhere = path.parent != near.parent
    return spelled, -common, placed, other_split, bool(split) and not own_split, is_elsewhere


def _is_of_others(folder: Folder, near: Path, context: Sequence[str], own: Sequence[str]) -> bool:
    """Whether a picture's folder has annotation files of its own, and pictures called like those of
    the folder that the annotation belongs to.

    Cameras count from 1 in each folder. An annotation whose picture was deleted is then about none
    of the pictures further down or up.
    """
    here, there = (folder.stems_in.get(tuple(place), {}) for place in (context, own))
    labels, pictures = there.get(near.suffix.lower(), set()), there.get("", set())
    return not labels.isdisjoint(pictures) and not pictures.isdisjoint(here.get("", set()))


def _num_common_end(spelled: Sequence[str], folders: Sequence[str]) -> int:
    """How many folders, from the last one on, are the same."""
    count = 0
    for one, other in zip(reversed(spelled), reversed(folders), strict=False):
        if key(one) != key(other):
            break
        count += 1
    return count


def _relation(one: Sequence[str], other: Sequence[str]) -> _Relation:
    if list(one) == list(other):
        return _Relation.SAME
    shorter, longer = sorted((one, other), key=len)
    rest = iter(longer)
    return _Relation.PART if all(part in rest for part in shorter) else _Relation.OTHER


def _may_be_renamed(folder: Folder, near: Path, path: Path) -> bool:
    """Whether a folder of annotations alone and a folder of pictures alone, of any names, are a
    pair.
    """
    one, other = near.parent.parts, path.parent.parts
    differing = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
    if len(one) != len(other) or len(differing) != 1:
        return False
    told = [telling([part]) for part in differing[0]]
    if any(not words or words[0] in ("train", "val", "test") for words in told):
        return False
    beside = folder.endings_in.get(near.parent, set())
    ending = near.suffix.lower()
    return not beside & PICTURES and ending not in folder.endings_in.get(path.parent, set())


def _instead(folder: Folder, name: str, declared: str) -> str:
    """What the folder has of the name, for people."""
    stem = Path(name).stem
    others = [p for p in folder.other_pictures if key(p.stem) == key(stem)]
    if others:
        return f"{others[0]}: pictures ending in {others[0].suffix} are not read, convert them"
    plain = next(
        (p for p in folder.files if not p.suffix and key(p.name) in (key(name), key(stem))), None
    )
    if plain is not None:
        return f"{plain}: a picture needs an ending, as .jpg"
    found = folder.by_name.get(folder.key(name)) or folder.by_stem.get(folder.key(stem)) or []
    return f"{declared}; the folder has {found[0]}" if found else declared
