"""A class as its dataset spells it -> words that the vocabulary knows."""

from __future__ import annotations

import re
import unicodedata

_JOINED = re.compile(r"[\s_\-‐-―]+")


def phrase(name: str) -> str:
    """The words of a name: several in lower case, a single one as it is written."""
    found = [word for part in _JOINED.split(name) for word in _humps(part) if word]
    return " ".join(found).lower() if len(found) > 1 else "".join(found)


def _humps(text: str) -> list[str]:
    """CamelCase cut before its capitals: Bolt Washer, USB Cable, M8 Bolt; but iPhone, LEDs and RBC
    are one word.
    """
    found, begin = [], 0
    for i in range(2, len(text) - 1):
        before, here, after = text[i - 1], text[i], text[i + 1]
        is_word = here.isupper() and after.islower() and i - begin >= 2
        ends_capitals = not before.islower() and text[i + 2 : i + 3].islower()
        if is_word and (before.islower() or ends_capitals):
            found.append(text[begin:i])
            begin = i
    return [*found, text[begin:]]


def words(name: str) -> str:
    """The name as the vocabulary sees it: lower case, with a space for everything that is not a
    letter, a digit or a symbol.
    """
    text = unicodedata.normalize("NFKC", name).lower().replace("'", "").replace("’", "")
    plain = "".join(" " if unicodedata.category(c)[0] in "PZC" else c for c in text)
    return " ".join(plain.split())
