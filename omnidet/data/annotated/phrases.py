"""The names of a folder's classes -> the phrases they are learned as, and doubts about them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from omnidet.config import read_yaml
from omnidet.counted import counted
from omnidet.data.class_names import phrase, words
from omnidet.data.folder_formats import numbering
from omnidet.data.reading import annotations as files

_LETTERS = re.compile(r"[^\W\d_]+")
_ALIKE = {
    "LATIN": "ABCEHIJKMNOPSTXYZaceijopsuvxy",
    "CYRILLIC": "АВСЕНІЈКМОРЅТХУаеіјорсѕху",
    "GREEK": "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧινορυ",
}
"""Letters that look like one of another alphabet."""
_NUMBERED = re.compile(r"(.*\D)[\s_\-.#]*([0-9]+)")
_RARE, _SHORT = 0.1, 3
"""Share of the boxes of another name up to which a name may be a typing error, and letters of a
name that are too few to say so."""
_LEAST_NUMBERED = 3
"""Numbered names below which things may be called so."""


def phrases(names: Iterable[str], given: Mapping[str, str], root: str) -> dict[str, str]:
    """The phrase of each name.

    Raises ValueError for one without words, and for two names of the same words.

    Args:
        given: phrases that a person chose; the same for several names makes these one.
    """
    names = list(names)
    found = {name: given.get(name) or phrase(name) for name in names}
    for name in given:
        if name not in found:
            raise ValueError(
                f"{root} has no class {name!r}, which the table of names maps: it has "
                f"{', '.join(names)[:500]}"
            )
    seen: dict[str, str] = {}
    for name, chosen in found.items():
        plain = words(chosen)
        if not any(c.isalnum() for c in plain):
            raise ValueError(
                f"{root}: a class is called {name!r}: give it a name with a letter or a digit, "
                "in the files or with --names"
            )
        other = seen.setdefault(plain, name)
        if other != name and not (name in given and other in given):
            raise ValueError(
                f"{root}: the classes {other!r} and {name!r} are the same words: rename one of "
                "them, or give both "
                "the same phrase with --names if they are one"
            )
        found[name] = found[other]
    return found


def doubts(pictures: Iterable[Iterable[str]]) -> list[str]:
    """Sentences on names that may not be those of things to find.

    Args:
        pictures: the names of the boxes of each picture.
    """
    counts: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    most: dict[str, int] = {}
    for names in pictures:
        own = Counter(names)
        counts += own
        most |= {name: max(count, most.get(name, 0)) for name, count in own.items()}
        stems = Counter(map(_stem, own))
        alone.update(name for name in own if stems[_stem(name)] == 1)
    said = [
        f"{name!r} is learned as a thing to find, from {counted(counts[name], 'box', 'boxes')}: "
        "take these out if it is not one"
        for name in counts
        if numbering.stands_for_none(name)
    ]
    said += [
        f"{name!r} mixes letters of several alphabets, which look alike: spell it in one of them"
        for name in counts
        if any(map(_is_mixed, _LETTERS.findall(name)))
    ]
    said += _typing_errors(counts)
    if counts and all(name.replace(".", "", 1).isdecimal() for name in counts):
        said.append(
            f"all names are numbers ({', '.join(sorted(counts)[:3])}): the detector will know "
            "numbers for names; give words with --names"
        )
    # A thing's number in its picture, as LabelMe wants for instances, stands there once.
    once = {name: count for name, count in counts.items() if most[name] == 1}
    return said + _numbered(once, alone)


def _numbered(counts: Mapping[str, int], alone: Mapping[str, int]) -> list[str]:
    """Names whose numbers may count the things of a picture: `cat-2` stands beside `cat-1`. The
    levels of a scale stand alone.
    """
    numbered = sorted(filter(_NUMBERED.fullmatch, counts))
    first: dict[str, str] = {}
    for name in numbered:
        other = first.setdefault(_stem(name), name)
        first[_stem(name)] = min(name, other, key=_number)
    later = [name for name in numbered if name not in first.values()]
    num_boxes = sum(counts[name] for name in later)
    is_scale = 2 * sum(alone[name] for name in later) > num_boxes > len(later)
    if is_scale or len(numbered) < max(_LEAST_NUMBERED, 2 * len(first)):
        return []
    shown = ", ".join(map(repr, numbered[:3])) + (", ..." if numbered[3:] else "")
    return [
        f"names that differ in a number alone, each once in a picture: {shown}: if the number "
        "counts the things of a picture, give them one phrase with --names, as "
        f"`{numbered[0]}: {_stem(numbered[0])}`"
    ]


def _is_mixed(word: str) -> bool:
    """Whether all that is of one alphabet in a word looks like another one. The m of a micrometre
    does not look like a Greek letter.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for letter in word:
        found[unicodedata.name(letter, "").split(" ")[0]].append(letter)
    known = [(letters, _ALIKE[a]) for a, letters in found.items() if a in _ALIKE]
    return len(known) > 1 and any({*letters} <= {*alike} for letters, alike in known)


def _typing_errors(counts: Mapping[str, int]) -> list[str]:
    """Names of a few boxes that are spelt almost like one of many."""
    said = []
    for name, count in counts.items():
        if len(name) <= _SHORT:
            continue
        near = next((o for o, n in counts.items() if count <= _RARE * n and _is_slip(name, o)), "")
        if near:
            said.append(
                f"{name!r} ({counted(count, 'box', 'boxes')}) is spelt almost like {near!r}: "
                f"if it means the same, correct it, or give both one phrase with --names, as "
                f"`{name}: {near}`"
            )
    return said


def _is_slip(one: str, other: str) -> bool:
    """Whether two words differ by a letter more or two that changed places; goat, boat: no."""
    short, long = sorted((one, other), key=len)
    if len(long) == len(short) + 1:
        place = next((i for i, letter in enumerate(short) if letter != long[i]), len(short))
        return long[:place] + long[place + 1 :] == short and not long[place].isdecimal()
    off = [i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    if len(one) != len(other) or len(off) != 2 or off[1] != off[0] + 1:
        return False
    return one[off[0]] == other[off[1]] and one[off[1]] == other[off[0]]


def _stem(name: str) -> str:
    found = _NUMBERED.fullmatch(name)
    return found[1].rstrip(" _-.#") if found else name


def _number(numbered: str) -> int:
    found = _NUMBERED.fullmatch(numbered)
    return int(found[2]) if found else 0


def read_table(path: Path) -> dict[str, str]:
    """Phrases by name, from a YAML or JSON file with lines `BoltWasher: bolt washer`.

    Raises ValueError for another.
    """
    try:
        content = read_yaml(path.read_bytes(), as_texts=True)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from error
    is_table = isinstance(content, dict) and all(isinstance(v, str) for v in content.values())
    if not is_table:
        raise ValueError(f"{path} is not a table of names: give lines `BoltWasher: bolt washer`")
    table = {files.plain(str(name)): files.plain(chosen) for name, chosen in content.items()}
    for name, chosen in table.items():
        if not words(chosen):
            raise ValueError(f"{path}: {name!r} has no phrase: give it one, or take the line out")
    return table
