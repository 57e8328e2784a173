"""What may be asked of a detector: phrases and a threshold, checked before anything is loaded.

This file imports nothing heavy: commands and the server check with it what they were given.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

MOST_WORDS = 3
"""Parts of a text with commas that are all this short are more likely several names than one
description.
"""

_COMMA = re.compile(r"\s*[,;](?:\s+|(?=[^\W\d]))")
"""Not the one in "1,000 dollar bill"."""


def checked_phrases(given: str | Iterable[str]) -> tuple[str, ...]:
    """The phrases; a single text is one phrase.

    Raises ValueError that names what is not a phrase.
    """
    if isinstance(given, str):
        given = (given,)
    if isinstance(given, bytes | bytearray) or not isinstance(given, Iterable):
        raise ValueError(f"phrases must be text or a list of texts, not {type(given).__name__}")
    if isinstance(given, Mapping):  # its keys would be taken for the phrases
        raise ValueError(
            f"phrases are a {type(given).__name__} with {_short(list(given))}: give text or a list "
            "of texts"
        )
    phrases = tuple(given)
    for number, phrase in enumerate(phrases):
        _check_phrase(number, phrase)
    return phrases


def checked_threshold(given: Any, name: str = "threshold") -> float:
    """The threshold as a number. Raises ValueError unless it is a score: a number from 0 to 1.

    Args:
        name: for the message.
    """
    try:
        value = math.nan if isinstance(given, str | bool) else float(given)
    except (TypeError, ValueError, OverflowError):  # a whole number may be too large for a float
        value = math.nan
    if not 0 <= value <= 1:  # NaN compares false
        raise ValueError(f"{name} {shown(given)}: give a score from 0 to 1")
    return value


def checked_count(given: Any, name: str, least: int = 0) -> int:
    """The count as a number. Raises ValueError unless it is whole and `least` or more.

    Args:
        name: for the message.
    """
    try:
        value = -1 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        value = -1
    if value < least:
        raise ValueError(f"{name} {shown(given)}: give a whole number, {least} or more")
    return value


def listed(words: Iterable[str], most: int = 5) -> str:
    """`'a', 'b'`, each once: the first ones, and how many more there are."""
    found = list(dict.fromkeys(words))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(map(shown, found[:most])) + more


def shortened(text: str, most: int = 100) -> str:
    """A text for people, without its end if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown(given: object) -> str:
    """What was given, for a message: a line of 100 characters at most."""
    try:
        text = repr(given)
    except ValueError:  # Python writes out no whole number of more than 4300 digits
        text = f"with a number of thousands of digits ({type(given).__name__})"
    return text if len(text) <= 100 else f"{text[:97]}..."


def hint(phrases: Iterable[str]) -> str | None:
    """A line for people who wrote several phrases into one, such as "cat . dog ." or "cat, dog"."""
    for phrase in phrases:
        parts = _parts(phrase)
        if len(parts) > 1:
            return (
                f"{shown(phrase)} is searched for as one phrase; if you meant several, "
                f"give each on its own: {listed(parts)}"
            )
    return None


def twice(phrases: Iterable[str]) -> str | None:
    """A line for programs that ask for a phrase more than once."""
    again = _repeated(phrases)
    return f"{listed(again)}: asked for twice and found twice, give it once" if again else None


def require_distinct(phrases: Iterable[str]) -> None:
    """Raise ValueError for a phrase that `--phrases` has twice."""
    if again := _repeated(phrases):
        raise ValueError(
            f"--phrases: {shown(again[0])} comes twice: take one out, or put a phrase of several "
            "words in quotes"
        )


def _repeated(phrases: Iterable[str]) -> list[str]:
    return [phrase for phrase, count in Counter(phrases).items() if count > 1]


def _check_phrase(number: int, phrase: object) -> None:
    if not isinstance(phrase, str):
        raise ValueError(
            f"phrase {number} is {_short(phrase)} ({type(phrase).__name__}): "
            "every phrase must be text"
        )
    if not phrase.strip():
        raise ValueError(f"phrase {number} is empty: it needs a letter, a digit or a symbol")
    try:
        phrase.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"phrase {number} is not valid text: it holds half of a surrogate pair"
        ) from None


def _parts(phrase: str) -> list[str]:
    """The phrases that a text may be a list of; itself alone if it does not look like a list."""
    stops = [part for part in re.split(r"\s*\.(?:\s+|$)", phrase.strip()) if part]
    if len(stops) > 1 and (" . " in phrase or phrase.rstrip().endswith(".")):
        return stops
    commas = [part for part in re.split(_COMMA, phrase.strip(" ,;")) if part]
    if len(commas) > 1 and all(len(part.split()) <= MOST_WORDS for part in commas):
        return commas
    return [phrase]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
