"""A picture with named boxes, as every format takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Labelled:
    """A picture and what is in it."""

    path: str
    """Of the picture, relative to the folder of the pictures, with `/`."""
    width: int
    height: int
    boxes: Sequence[Corners] = ()
    """Corners x0, y0, x1, y1 in pixels, as edges: x1 - x0 is the width."""
    names: Sequence[str] = ()
    """Of each box."""
    scores: Sequence[float] | None = None
    """Of each box; None where a person has decided."""
