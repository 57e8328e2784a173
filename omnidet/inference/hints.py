"""What a person may want to know of the words that were asked for: lines for standard error.

Nothing is refused for any of it. No torch here: exported detectors say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.names import Name
from omnidet.inference.pieces import unknown_words
from omnidet.inference.question import hint
from omnidet.inference.spelling import doubts


def of_spelling(phrases: Sequence[str]) -> list[str]:
    """Several phrases in one, and letters that are not what they look like."""
    several = hint(phrases)
    return [*([several] if several else ()), *doubts(phrases)]


def of_words(vocabulary: Vocabulary, wanted: Iterable[Name]) -> list[str]:
    """One thing under two names, and words that the detector does not know."""
    wanted = tuple(wanted)
    found = [same] if (same := _same(vocabulary, wanted)) else []
    for name in wanted:
        for phrase in name.phrases:
            if unknown := unknown_words(vocabulary, phrase):
                words = ", ".join(map(repr, unknown))
                found.append(f"{phrase!r}: the detector does not know the word {words}")
    return found


def _same(vocabulary: Vocabulary, wanted: Iterable[Name]) -> str | None:
    """A line for people who ask for one thing under two names, as "dog" and "dogs"."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for name in wanted:
        for phrase in name.phrases:
            first, other = seen.setdefault(vocabulary.asked(phrase), (name.name, phrase))
            if first != name.name:
                return (
                    f"{phrase!r} asks for the same as {other!r}, so that everything is found as "
                    f"{first!r} and as {name.name!r}: give one of them"
                )
    return None
