"""Words that say the split of a picture, in a column or a field beside it."""

from __future__ import annotations

from collections.abc import Iterable

from omnidet.data.folder_formats.folder import key
from omnidet.data.folder_formats.split_words import SPLITS

_NO_SPLIT = ("", "-", "unassigned", "default", "none", "null", "nan", "n/a")
"""What stands where a picture is in no split: a tool's word, or an empty cell of another program.
"""


def splits_of(
    written: Iterable[tuple[str, str]], what: str, is_split: bool
) -> tuple[dict[str, str], str]:
    """The split behind each word, and a note for people; each "" where there is nothing to say.

    Words of which not one is a split may say something else, such as where a picture comes from.

    Args:
        written: words, and where each of them stands.
        what: holds the words, for people.
        is_split: whether it can hold nothing but splits.

    Raises:
        ValueError: a word is not a split: pictures of a misspelled test would be trained on.
    """
    first: dict[str, str] = {}
    for word, where in written:
        first.setdefault(word, where)
    found = {word: _split(word) for word in first}
    strange = [word for word, split in found.items() if split is None]
    known = {word: split or "" for word, split in found.items()}
    if not strange:
        return known, ""
    word = strange[0]
    if is_split or any(known.values()):
        raise ValueError(
            f"{first[word]}: {word[:60]!r} in {what} is not a split: write one of "
            "train, val, test, or nothing"
        )
    return known, f"{what} says no split ({word[:60]!r}): it is not used for that"


def _split(word: str) -> str | None:
    plain = key(word.strip())
    if plain in _NO_SPLIT:
        return ""
    return SPLITS.get(plain) or SPLITS.get(plain.rstrip("0123456789").rstrip("_- "))
