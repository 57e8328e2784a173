"""Numbers of things in messages."""

from __future__ import annotations


def counted(number: int, one: str, several: str = "") -> str:
    """`1 picture`, `2 pictures`.

    Args:
        several: the plural, if it is not `one` with an s.
    """
    return f"{number} {one if number == 1 else several or one + 's'}"
