"""What a recipe says about matching. No torch here: recipes are read without it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from omnidet.config import require

MATCHERS = "omnidet.matching"
"""The package of the matchers that a recipe names."""


@dataclass(frozen=True)
class CostConfig:
    """Weights of the parts of the cost; the values of Deformable DETR (arXiv 2010.04159)."""

    names: float = 2.0
    l1: float = 5.0
    giou: float = 2.0
    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        for name in ("names", "l1", "giou", "gamma"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"matching.cost.{name}={value}: give 0 or more")
        require(0 <= self.alpha <= 1, f"matching.cost.alpha={self.alpha}: give a share from 0 to 1")


@dataclass(frozen=True)
class MatchingConfig:
    """How true boxes are assigned to regions."""

    matcher: str = field(default="hungarian", metadata={"plugins": MATCHERS})
    """The name of a file in this folder."""
    cost: CostConfig = field(default_factory=CostConfig)
