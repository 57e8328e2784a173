"""What is looked for: names, each with the phrases that stand for it and a threshold of its own.

Imports nothing heavy: commands check with it what they were given before they load a detector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from omnidet.config import read_yaml
from omnidet.inference.question import checked_phrases, checked_threshold, shown

_FIELDS = ("phrases", "threshold")
_YAML = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Name:
    """A name, and what is searched for in its place."""

    name: str
    phrases: tuple[str, ...]
    """At least one; the best of their scores is the score of the name."""
    threshold: float | None = None
    """Least score of this name; None for the threshold of the call."""


Wanted = str | Iterable["str | Name"] | Mapping[str, "str | Iterable[str]"]
"""A phrase, a list of phrases or names, or phrases by name."""


def wanted(given: Wanted) -> tuple[Name, ...]:
    """The names; a phrase is its own name.

    Raises ValueError for what is neither, and for a name that comes twice with other phrases.
    """
    if isinstance(given, Mapping):
        return tuple(_of_entry(name, given[name]) for name in given)
    if isinstance(given, str):
        given = (given,)
    elif isinstance(given, Iterable) and not isinstance(given, bytes | bytearray):
        given = tuple(given)
        if any(isinstance(one, Name) for one in given):
            return _told_apart(given)
    return tuple(Name(phrase, (phrase,)) for phrase in checked_phrases(given))  # type: ignore[arg-type]  # it looks


def _of_entry(name: Any, phrases: str | Iterable[str]) -> Name:
    found = checked_phrases(phrases)
    if not found:
        raise ValueError(f"{_text(name)!r} has no phrase: give it one, or leave it out")
    return Name(_text(name), found)


def _told_apart(given: Iterable[object]) -> tuple[Name, ...]:
    """Names among phrases. Raises ValueError for one that comes twice with other phrases."""
    found: dict[str, Name] = {}
    for one in given:
        name = one if isinstance(one, Name) else wanted([one])[0]  # type: ignore[list-item]
        if found.setdefault(name.name, name) != name:
            raise ValueError(f"{shown(name.name)} comes twice, with other phrases: take one out")
    return tuple(found.values())


def read(path: str | Path) -> tuple[Name, ...]:
    """The names of a file: text with a phrase a line, or YAML or JSON.

    YAML holds a list of phrases, or lines `name: phrase`, `name: [phrase, phrase]` or
    `name: {phrases: [...], threshold: 0.4}`.

    Raises FileNotFoundError or ValueError that names the file, what is wrong and the remedy.
    """
    from omnidet import storage

    try:
        text = storage.read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"--phrases-file {path} is not UTF-8: save it as UTF-8") from error
    except IsADirectoryError:
        raise IsADirectoryError(f"--phrases-file {path} is a folder: name a file in it") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"--phrases-file {path} does not exist: name a file") from None
    if Path(path).suffix.lower() in _YAML:
        found = _of_yaml(text, str(path))
    else:
        lines = [line.strip() for line in text.splitlines()]
        found = [Name(line, (line,)) for line in lines if line and not line.startswith("#")]
    if not found:
        raise ValueError(f"--phrases-file {path} holds no phrase: give one a line, or YAML")
    seen: dict[str, Name] = {}
    for name in found:
        if seen.setdefault(name.name, name) is not name:
            raise ValueError(f"--phrases-file {path}: {shown(name.name)} comes twice: take one out")
    return tuple(found)


def _of_yaml(text: str, path: str) -> list[Name]:
    try:
        content = read_yaml(text, as_texts=True)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:300]
        raise ValueError(f"--phrases-file {path} cannot be read: {problem}") from error
    try:
        if isinstance(content, list):
            return [Name(phrase, (phrase,)) for phrase in checked_phrases(content)]
        if isinstance(content, dict):
            return [_name(name, value) for name, value in content.items()]
    except ValueError as error:
        raise ValueError(f"--phrases-file {path}: {error}") from error
    raise ValueError(
        f"--phrases-file {path} is neither a list of phrases nor lines `name: phrase`: "
        "give one of them"
    )


def _name(name: Any, value: Any) -> Name:
    """One line of YAML. Raises ValueError that names it."""
    _text(name)
    threshold = None
    if isinstance(value, dict):
        unknown = [key for key in value if key not in _FIELDS]
        if unknown:
            raise ValueError(f"{name!r} has a field {unknown[0]!r}: give {' and '.join(_FIELDS)}")
        if "threshold" in value:
            threshold = _threshold(name, value["threshold"])
        value = value.get("phrases", "")
    if value in ("", "~", "null"):
        value = name  # `dog:` is looked for as it is called
    try:
        phrases = checked_phrases(value)
    except ValueError as error:
        raise ValueError(f"{name!r}: {error}") from error
    if not phrases:
        raise ValueError(f"{name!r} has no phrase: give it one, or take the line out")
    return Name(name, phrases, threshold)


def _threshold(name: str, given: Any) -> float:
    try:
        return checked_threshold(float(given))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name!r}: threshold {shown(given)}: give a score from 0 to 1") from None


def _text(name: Any) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"the name {name!r} is empty or no text: give it a letter or a digit")
    return name
