"""Numbers of classes that do not go with their names.

Labels that count from another number than the names do: each box would get the name of a
neighbouring class, and all but those of one class without a word. A background that the names count
and the labels do not: the same, and of all classes. One name for two numbers: two classes would
become one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

_BACKGROUND = ("background", "bg", "unlabeled", "unlabelled")
"""Names of what no box is drawn around."""
_STAND_FOR_NONE = (*_BACKGROUND, "none", "nothing", "ignore", "ignored", "dontcare")
"""Names of a first class that has no box in any numbering. Some are also those of things: a head
with no helmet, a region to ignore.
"""
RARE = 0.01
"""Share of the boxes up to which numbers without a name are a few mistakes."""


def fault(
    used: Mapping[int, int],
    names: Mapping[int, str],
    spare: Collection[int],
    words: tuple[str, str, str],
) -> tuple[int, str] | None:
    """The number that the labels count from and a sentence on it, where it is not that of the names
    and a sign tells so; None otherwise.

    Args:
        used: how many boxes each number has.
        names: by number.
        spare: other numbers that are listed, such as those without a name: a box of theirs is no
            sign.
        words: for the sentence: what a class is called, where the names stand, what counts.
    """
    rare = RARE * sum(used.values())
    often = {number for number, count in used.items() if number in names or count > rare}
    first = _first(set(used), names, spare)
    if first is None:  # a few boxes of another fault do not hide this one
        first = _first(often, names, spare)
    if first is None:
        return None
    kind, place, labels = words
    strays = sorted(used.keys() - names.keys() - {*spare})
    idle = min(names) if first > min(names) else max(names)
    without = "" if idle in used else f", of which {idle} ({names[idle][:40]!r}) has no box"
    return first, (
        f"{sum(used[number] for number in strays)} of {sum(used.values())} boxes cannot be used: "
        f"they are of {kind} {max(strays, key=used.__getitem__)}, and the names in {place} "
        f"are {min(names)} to {max(names)}{without}: these {labels} count from {first}, and "
        "the other boxes would get names of other classes"
    )


def twice(used: Mapping[int, int], names: Mapping[int, str], words: tuple[str, str, str]) -> str:
    """A sentence with the remedy where two numbers that have boxes bear one name; "" elsewhere."""
    kind, place, _ = words
    first: dict[str, int] = {}
    for number, name in sorted(names.items()):
        if number not in used:
            continue
        other = first.setdefault(name, number)
        if other != number:
            return (
                f"{kind} {other} and {kind} {number} in {place} are both called {name[:40]!r}, "
                f"with {used[other]} and {used[number]} boxes: rename one of them, and give both "
                "the same phrase with --names if they are one"
            )
    return ""


def of_none(used: Mapping[int, int], names: Mapping[int, str], words: tuple[str, str, str]) -> str:
    """A sentence with the remedy where a class that stands for no thing has boxes; "" elsewhere.

    Of the names that may be those of things only the first class is one, and only if the last class
    has no box: that is what labels leave that do not count the first.
    """
    kind, place, labels = words
    is_last_idle = bool(names) and max(names) not in used
    for number, name in sorted(names.items()):
        is_first = number == min(names) and is_last_idle
        if number in used and (is_background(name) or (is_first and stands_for_none(name))):
            return (
                f"{kind} {number} in {place} is called {name[:40]!r} and has {used[number]} of "
                f"{sum(used.values())} boxes: if these {labels} do not count it, every box would "
                "get the name of another class; take it out there and number the others as the "
                f"{labels} do, or give it another name if it is a thing to find"
            )
    return ""


def is_background(name: str) -> bool:
    """Whether a name is that of what no box is drawn around."""
    return _plain(name) in _BACKGROUND


def stands_for_none(name: str) -> bool:
    """Whether a class is listed that nobody draws boxes of."""
    return _plain(name) in _STAND_FOR_NONE


def _plain(name: str) -> str:
    return name.strip("_ ").casefold()


def _first(used: set[int], names: Mapping[int, str], spare: Collection[int]) -> int | None:
    if used <= {*names, *spare} or not names:
        return None
    drawn = {number for number, name in names.items() if not stands_for_none(name)}
    for step in (1, -1):
        # -1 stands for no class, and nobody counts from it.
        if {number - step for number in used} <= drawn and min(names) + step >= 0:
            return min(names) + step
    # Places in a list whose ids have gaps, as the 80 names of COCO with ids up to 90 do.
    if 0 in used - {*names, *spare} and max(used) < len(names):
        return 0
    return None
