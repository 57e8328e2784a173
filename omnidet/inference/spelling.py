"""Phrases that look right and are not: letters that cannot be seen, and letters of another alphabet
that look like Latin ones.

A detector finds nothing under such a phrase, and nobody sees why. This file imports nothing heavy.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_LOOK_ALIKE = frozenset(
    "аеорсухіјѕһԁԛԝьгпмтвнкАВЕКМНОРСТУХІЈЅԌ"  # Cyrillic
    "οανικρτυχγωεηΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"  # Greek
    "օսհոցԼՍՏ"  # Armenian
    "ɑɡıⅼ"
)
"""Letters of other alphabets that pass for Latin ones."""
_ALPHABETS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "GEORGIAN", "LISU")
_UNITS = "μΩ"
"""Micro and ohm, beside Latin letters."""
_JOINERS = "\u200c\u200d"
"""Part of the spelling in Persian, Indic languages and emoji."""

_LONGEST = 100
"""Letters of a phrase that a line shows, at most."""


def doubts(phrases: Iterable[str], most: int = 5) -> list[str]:
    """A line for each phrase that holds such letters, `most` at most."""
    found: list[str] = []
    for phrase in phrases:
        doubt = None if phrase.isascii() and phrase.isprintable() else _doubt(phrase)
        if doubt:
            found.append(doubt)
        if len(found) == most:
            break
    return found


def _doubt(phrase: str) -> str | None:
    shown = ascii(phrase)
    shown = shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."
    for place, character in enumerate(phrase):
        if _is_invisible(character) and not _belongs(phrase, place):
            return (
                f"{shown} holds the invisible {_named(character)}, "
                "which splits the word it stands in: write it without"
            )
    for word in re.findall(r"\w+", unicodedata.normalize("NFKC", phrase)):
        alphabets = {found for found in map(_alphabet, word) if found}
        if len(alphabets) > 1:
            odd = next(c for c in word if _alphabet(c) not in (None, _most_common(word)))
            return f"{shown} mixes alphabets in one word, with {_named(odd)}: is it meant?"
        if alphabets and alphabets != {"LATIN"} and all(c in _LOOK_ALIKE for c in word):
            return f"{shown} looks like Latin letters and is not: it begins with {_named(word[0])}"
    return None


def _is_invisible(character: str) -> bool:
    if character in "\t\n\r":
        return False
    category = unicodedata.category(character)
    filler = character in "\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5"
    return category in ("Cf", "Cc", "Co", "Cn") or filler or "\ufe00" <= character <= "\ufe0f"


def _belongs(phrase: str, place: int) -> bool:
    """Whether an invisible character is part of the spelling where it stands."""
    if phrase[place] in "\ufe0e\ufe0f" and place:
        return not phrase[place - 1].isalpha()  # it chooses between a symbol and its emoji
    if phrase[place] not in _JOINERS or not 0 < place < len(phrase) - 1:
        return False
    neighbours = phrase[place - 1] + phrase[place + 1]
    return not any(_alphabet(c) or c.isspace() or c.isascii() for c in neighbours)


def _alphabet(character: str) -> str | None:
    if not character.isalpha() or character in _UNITS:
        return None
    first = unicodedata.name(character, "").partition(" ")[0]
    return first if first in _ALPHABETS else None


def _most_common(word: str) -> str | None:
    alphabets = [found for found in map(_alphabet, word) if found]
    return max(sorted(set(alphabets)), key=alphabets.count)


def _named(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}{f' {name}' if name else ''}"
