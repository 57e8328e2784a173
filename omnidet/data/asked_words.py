"""The words of a phrase that a detector is asked for, in the forms that it was trained on.

    "A photo of the Red Stars!" --wording--> "red stars" --form--> "red star"

Two class names that become the same so, such as "person" and "people", are different things to a
detector: they are taken word for word wherever they stand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from omnidet.data import wording
from omnidet.data.relations import split_relation


class AskedWords:
    """Which words count, by the class names of the data and how often texts held each word."""

    def __init__(self, names: Iterable[str], weight_of: Callable[[str], float | None]) -> None:
        """Nothing is computed yet.

        Args:
            names: class names of the data.
            weight_of: inverse document frequency of a word that the data held; None for others.
        """
        self.names = tuple(sorted({wording.plain(name) for name in names} - {""}))
        self._names = frozenset(self.names)
        self._weight_of = weight_of
        self._words_of_names = frozenset(word for name in self.names for word in name.split())
        self._form = functools.lru_cache(maxsize=200_000)(self._find_form)

    def parts(self, text: str) -> tuple[str, str]:
        """The words of a phrase that count: up to its first relation, and those after it."""
        plain = wording.plain(text)
        if plain not in self._names:
            plain = wording.with_plain_colour(wording.unframed(plain))
        own, context = split_relation(plain)
        if context:
            own = wording.with_short_side(own)
        words = [*own.split(), *context.split()]
        kept = self._places_of_names(words) if self.apart else set()
        if wording.is_letter_a(text):
            kept |= {i for i, word in enumerate(words) if word == "a"}
        first = len(own.split())
        forms = {
            i: words[i] if i in kept else self._form(words[i])
            for i in wording.without_glue(words, kept)
        }
        return (
            " ".join(form for i, form in forms.items() if i < first),
            " ".join(form for i, form in forms.items() if i >= first),
        )

    @functools.cached_property
    def apart(self) -> frozenset[str]:
        """Names that would be the same as others without their glue and endings."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in self.names:
            words = name.split()
            counted = wording.without_glue(words, set())
            groups.setdefault(tuple(_shortest(words[i]) for i in counted), []).append(name)
        return frozenset(name for same in groups.values() if len(same) > 1 for name in same)

    def _places_of_names(self, words: list[str]) -> set[int]:
        """Where names stand that are taken word for word."""
        found: set[int] = set()
        for first, word in enumerate(words):
            for parts in self._apart_by_first_word.get(word, ()):
                if words[first : first + len(parts)] == parts:
                    found.update(range(first, first + len(parts)))
        return found

    @functools.cached_property
    def _apart_by_first_word(self) -> dict[str, list[list[str]]]:
        """The words of each name of `apart`, by the first of them."""
        found: dict[str, list[list[str]]] = {}
        for name in self.apart:
            parts = name.split()
            found.setdefault(parts[0], []).append(parts)
        return found

    def _find_form(self, word: str) -> str:
        """The form of a word that the data teaches most: in class names, or in most texts."""
        others = wording.variants(word)
        if not others or word in self._words_of_names:
            return word
        known = {f: weight for f in (word, *others) if (weight := self._weight_of(f)) is not None}
        named = [form for form in known if form in self._words_of_names]
        return min(named or known or [word], key=lambda form: (known.get(form, 0), len(form), form))


def _shortest(word: str) -> str:
    """The same for all forms of a word."""
    return min((word, *wording.variants(word)), key=lambda form: (len(form), form))
