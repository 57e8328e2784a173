"""Predictions and truth of a step -> the loss to minimise: matching, then the objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from omnidet import plugins
from omnidet.config import require
from omnidet.data.mixing.config import Stream
from omnidet.matching.config import MATCHERS, MatchingConfig
from omnidet.matching.cost import early, match, match_early
from omnidet.model.detector import Detector
from omnidet.schema import Batch, Predictions
from omnidet.training.objective import Loss, Parts, objective


@dataclass(frozen=True, eq=False)
class Supervision:
    """How the predictions of a step are compared with its images."""

    losses: Sequence[Loss]
    streams: Sequence[Stream]
    world_size: int
    matching: MatchingConfig

    def prepare(self, detector: Detector) -> None:
        """Make the detector give what is compared.

        Raises ValueError if its backbone cannot.
        """
        wanted = self.matching.early_regions > 0
        require(
            not wanted or detector.backbone.gives_early,
            f"matching.early_regions={self.matching.early_regions}, but the backbone has no blocks "
            "whose early tokens it gives: set it to 0, or give the backbone more blocks",
        )
        detector.predicts_early = wanted

    def __call__(self, predictions: Predictions, batch: Batch) -> tuple[Tensor, Parts]:
        """The loss, and its parts.

        Raises FloatingPointError if a prediction is not finite.
        """
        matching = self.matching
        matcher = plugins.load(MATCHERS, matching.matcher)
        names = [stream.name for stream in self.streams]
        weights = [stream.weight for stream in self.streams]
        matches = match(predictions, batch, matching.cost, matcher)
        loss, parts = objective(
            self.losses, names, self.world_size, predictions, batch, matches, weights
        )
        losses = [loss for loss in self.losses if loss.name in matching.early_losses]
        if not matching.early_regions or not losses:
            return loss, parts
        several = match_early(predictions, batch, matching.cost, matcher, matching.early_regions)
        more, early_parts = objective(
            losses, names, self.world_size, early(predictions), batch, several, weights
        )
        return loss + more, parts.with_early(early_parts)
