"""What a person may want to know of the words that were asked for: lines for standard error.

Nothing is refused for any of it. No torch here: exported detectors say the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.names import Name
from omnidet.inference.pieces import pieces, unheard_words, unknown_words
from omnidet.inference.question import hint
from omnidet.inference.spelling import doubts


def of_spelling(phrases: Sequence[str]) -> list[str]:
    """Several phrases in one, and letters that are not what they look like."""
    several = hint(phrases)
    return [*([several] if several else ()), *doubts(phrases)]


def of_call(vocabulary: Vocabulary | None, phrases: Sequence[str], most: int = 5) -> list[str]:
    """What a program is warned of: several phrases in one, and words that training never had.

    Args:
        most: lines of the second kind.
    """
    several = hint(phrases)
    found = [several] if several else []
    if vocabulary:
        unheard = (phrase for phrase in phrases if not vocabulary.knows(phrase))
        for phrase in itertools.islice(unheard, most):
            found += of_unheard(vocabulary, phrase)
    return found


def of_words(vocabulary: Vocabulary, wanted: Iterable[Name]) -> list[str]:
    """One thing under two names, and words that the detector does not know."""
    wanted = tuple(wanted)
    found = [same] if (same := _same(vocabulary, wanted)) else []
    for name in wanted:
        for phrase in name.phrases:
            found += of_unheard(vocabulary, phrase)
            unheard = unheard_words(vocabulary, phrase)
            unknown = [word for word in unknown_words(vocabulary, phrase) if word not in unheard]
            if unknown:
                words = ", ".join(map(repr, unknown))
                found.append(f"{phrase!r}: the detector does not know the word {words}")
    return found


def of_unheard(vocabulary: Vocabulary, phrase: str) -> list[str]:
    """Words that training never had: left out, or all there is."""
    read = pieces(vocabulary, phrase)
    unheard = [piece for piece in read if not piece.is_heard]
    if not unheard:
        return []
    asked = set(vocabulary.encode(phrase)[0].tolist())
    is_all = any(piece.place in asked for piece in unheard)
    # Behind a relation a word is a token of its own, which other texts may not have had.
    named = (f"{p.word!r}{' behind a relation' if p.is_context else ''}" for p in unheard)
    words = ", ".join(dict.fromkeys(named))
    if is_all:
        return [
            f"{phrase!r}: no training text had the word {words}: what is found under it means "
            "nothing"
        ]
    return [f"{phrase!r}: no training text had the word {words}: it is left out"]


def of_unfound(
    labels: Iterable[str], best: Mapping[str, float], own: Mapping[str, float]
) -> list[str]:
    """What would show names without a box: their best scores.

    Args:
        own: thresholds of names that have one of their own.
    """
    found = []
    for label in labels:
        least = math.floor(best[label] * 1000) / 1000  # rounded up it would not show the box
        line = f"no box for {label!r}: its best score is {least or format(best[label], '.1g')}"
        if label in own:
            line += f", and its own threshold {own[label]}"
        elif least:
            line += f", --threshold {least} shows it"
        found.append(line)
    return found


def of_found_nowhere(labels: Sequence[str], most: int = 5) -> list[str]:
    """Names without a box in any of many pictures: nobody sees that in hundreds of lines.

    Args:
        most: names that are listed; of the others only the number is said.
    """
    if not labels:
        return []
    named = ", ".join(map(repr, labels[:most]))
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return [f"no box in any picture for {named}{more}: a lower threshold may show some"]


def _same(vocabulary: Vocabulary, wanted: Iterable[Name]) -> str | None:
    """A line for people who ask for one thing under two names, as "dog" and "dogs"."""
    seen: dict[tuple[bytes, bytes], tuple[str, str]] = {}
    for name in wanted:
        for phrase in name.phrases:
            ids, weights = vocabulary.encode(phrase)
            key = ids.tobytes(), weights.tobytes()
            first, other = seen.setdefault(key, (name.name, phrase))
            if first != name.name:
                return (
                    f"{phrase!r} asks for the same as {other!r}, so that everything is found as "
                    f"{first!r} and as {name.name!r}: give one of them"
                )
    return None
