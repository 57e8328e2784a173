"""What a person may want to know of the words that were asked for: lines for standard error.

Nothing is refused for any of it. No torch here: exported detectors say the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from omnidet.counted import counted
from omnidet.data.class_names import phrase as spelt_out
from omnidet.data.relations import landmark
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.names import Name
from omnidet.inference.pieces import pieces, unheard_words, unknown_words
from omnidet.inference.question import hint, listed, shown, twice
from omnidet.inference.spelling import doubts


def of_spelling(phrases: Sequence[str]) -> list[str]:
    """Several phrases in one, and letters that are not what they look like."""
    several = hint(phrases)
    return [*([several] if several else ()), *doubts(phrases)]


def of_own_names(names: Sequence[str], most: int = 8) -> str:
    """What is looked for where no phrases are given; of more names than `most`, their number."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"no phrases are given: looking for {', '.join(names[:most])}{more}"


def of_call(vocabulary: Vocabulary | None, phrases: Sequence[str], most: int = 5) -> list[str]:
    """What a program is warned of: several phrases in one, phrases that come twice, and words that
    training never had.

    Args:
        most: lines of the last kind.
    """
    found = [line for line in (hint(phrases), twice(phrases)) if line]
    if vocabulary:
        unheard = (phrase for phrase in phrases if not vocabulary.knows(phrase))
        for phrase in itertools.islice(unheard, most):
            found += of_unheard(vocabulary, phrase)
    return found


def of_words(vocabulary: Vocabulary, wanted: Iterable[Name], most: int = 5) -> list[str]:
    """One thing under two names, and words that the detector does not know.

    Args:
        most: phrases whose words are named; of the others only the number is said.
    """
    wanted = tuple(wanted)
    found = [same] if (same := _same(vocabulary, wanted)) else []
    phrases = dict.fromkeys(phrase for name in wanted for phrase in name.phrases)
    lines = [own for phrase in phrases if (own := _of_unknown(vocabulary, phrase))]
    found += itertools.chain(*lines[:most])
    if len(lines) > most:
        more = counted(len(lines) - most, "more phrase")
        found.append(f"words that the detector does not know are in {more}")
    return found


def _of_unknown(vocabulary: Vocabulary, phrase: str) -> list[str]:
    """Words of a phrase that training never had, and those that it had in parts."""
    found = of_unheard(vocabulary, phrase)
    unheard = unheard_words(vocabulary, phrase)
    unknown = [word for word in unknown_words(vocabulary, phrase) if word not in unheard]
    if unknown:
        found.append(f"{shown(phrase)}: the detector does not know the word {listed(unknown)}")
    return found


def of_unheard(vocabulary: Vocabulary, phrase: str) -> list[str]:
    """Words that training never had: left out, or all there is."""
    unheard = [piece for piece in pieces(vocabulary, phrase) if not piece.is_heard]
    if not unheard:
        return []
    own = [piece.word for piece in unheard if not piece.is_context]
    # Behind a relation a word is a token of its own, which other texts may not have had.
    behind = [piece.word for piece in unheard if piece.is_context]
    groups = [listed(own)] * bool(own) + [f"{listed(behind)} behind a relation"] * bool(behind)
    line = f"{shown(phrase)}: no training text had the word {', '.join(groups)}: "
    whole = [n for n in vocabulary.names if set(own) & set(n.split()) and vocabulary.knows(n)]
    # A person has read the word in these names and would not believe it.
    why = f"; the detector takes {listed(whole)} for one word" if whole else ""
    if means_nothing(vocabulary, phrase):
        spelt = spelt_out(phrase)  # a class as its dataset calls it: `SodaCan`
        known = spelt != phrase and vocabulary.knows(spelt)
        remedy = f"; ask for {shown(spelt)}, which it knows" if known else ""
        return [f"{line}what is found under it means nothing{why}{remedy}"]
    return [f"{line}it is left out{why}"]


def means_nothing(vocabulary: Vocabulary, phrase: str) -> bool:
    """Whether a word that training never had is all that a phrase asks for, so that it counts."""
    return not vocabulary.is_heard(vocabulary.encode(phrase)[0].tolist())


def without_meaning(vocabulary: Vocabulary, wanted: Iterable[Name]) -> set[str]:
    """Names under which nothing that is found means anything, which `of_words` says."""
    return {
        name.name
        for name in wanted
        if all(means_nothing(vocabulary, phrase) for phrase in name.phrases)
    }


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
        line = f"no box for {shown(label)}: its best score is {least or format(best[label], '.1g')}"
        if label in own:
            line += f", and its own threshold {own[label]}"
        elif least:
            line += f", --threshold {least} shows it"
        found.append(line)
    return found


def of_landmarks(phrases: Iterable[str], best: Mapping[str, float], threshold: float) -> list[str]:
    """Landmarks that the picture hardly holds, of phrases whose thing was found.

    A phrase's score is a sum over its words, so a red star has a good one for "red star left of
    dog" in a picture without dogs.

    Args:
        best: the best score of a landmark when it is asked for itself; others are left out.
        threshold: below it nothing is found.
    """
    return [
        f"{shown(phrase)} is found, and no {shown(other)} (best score {best[other]:.2g}): the box "
        "may be of a thing that fits the other words"
        for phrase in phrases
        if (other := landmark(phrase)) in best and best[other] < threshold
    ]


def of_found_nowhere(labels: Sequence[str], most: int = 5) -> list[str]:
    """Names without a box in any of many pictures: nobody sees that in hundreds of lines.

    Args:
        most: names that are listed; of the others only the number is said.
    """
    if not labels:
        return []
    return [f"no box in any picture for {listed(labels, most)}: a lower threshold may show some"]


def _same(vocabulary: Vocabulary, wanted: Iterable[Name]) -> str | None:
    """A line for people who ask for one thing under two names, as "dog" and "dogs"."""
    seen: dict[tuple[bytes, bytes], tuple[str, str]] = {}
    doubled: dict[str, str] = {}
    for name in wanted:
        for phrase in name.phrases:
            ids, weights = vocabulary.encode(phrase)
            key = ids.tobytes(), weights.tobytes()
            first, other = seen.setdefault(key, (name.name, phrase))
            if first != name.name:
                doubled.setdefault(
                    name.name,
                    f"{shown(phrase)} asks for the same as {shown(other)}, so that everything is "
                    f"found as {shown(first)} and as {shown(name.name)}: give one of them",
                )
    if not doubled:
        return None
    line, *more = doubled.values()
    return f"{line}; so it is with {counted(len(more), 'more name')}" if more else line
