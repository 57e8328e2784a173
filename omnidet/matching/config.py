"""What a recipe says about matching. No torch here: recipes are read without it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from omnidet.config import require

MATCHERS = "omnidet.matching"
"""The package of the matchers that a recipe names."""
MAX_EARLY_REGIONS = 100


@dataclass(frozen=True)
class CostConfig:
    """Weights of the parts of the cost; the values of Deformable DETR (arXiv 2010.04159)."""

    names: float = 2.0
    l1: float = 5.0
    giou: float = 2.0
    place: float = 0.0
    """Weight of the distance from a region's patch to the middle of the box, in patches.

    Which of two neighbours has a box then does not change from step to step, and the other one
    learns that it has none (a spatial prior, as in Wang et al., arXiv 2012.03544)."""
    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        for name in ("names", "l1", "giou", "place", "gamma"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"matching.cost.{name}={value}: give 0 or more")
        require(0 <= self.alpha <= 1, f"matching.cost.alpha={self.alpha}: give a share from 0 to 1")


@dataclass(frozen=True)
class MatchingConfig:
    """How true boxes are assigned to regions."""

    matcher: str = field(default="hungarian", metadata={"plugins": MATCHERS})
    """The name of a file in this folder."""
    cost: CostConfig = field(default_factory=CostConfig)
    early_regions: int = 0
    """Regions that each box is also assigned to in predictions made before the backbone's last
    blocks; 0 for no such predictions. More of the network's output learns from each box, and the
    last blocks still learn to give one region a box (H-DETR, arXiv 2207.13080)."""
    early_losses: tuple[str, ...] = ("names", "boxes_l1", "boxes_giou")
    """Those of the recipe's losses that the early predictions are trained with."""

    def __post_init__(self) -> None:
        require(
            0 <= self.early_regions <= MAX_EARLY_REGIONS,
            f"matching.early_regions={self.early_regions}: give 0 to {MAX_EARLY_REGIONS}",
        )
