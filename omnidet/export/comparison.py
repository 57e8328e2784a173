"""How far an exported model is from the detector, on pictures of several numbers and sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from omnidet.export.config import Limits
from omnidet.export.graph import Graph
from omnidet.schema import FloatArray

Run = Callable[[tuple[Tensor, ...]], Sequence[FloatArray]]
"""Inputs of the graph -> boxes and scores of the exported model."""
LEAST_SCORE = 1e-5
"""Scores below count as this: the sigmoids differ by up to 1e-7, which is much of a smaller score
and nothing of its picture."""
LEAST_SPREAD = 0.1
"""Logits that spread less over the regions count as spread by this: they tell nothing apart."""


@dataclass(frozen=True)
class Difference:
    """Between the exported model and the detector."""

    box_pixels: float
    score: float
    """The largest."""
    logits: float | None
    """Root of the mean square, in shares of the logits' own over the regions: how far they lie from
    their word's mean. An answer that does not depend on the picture is 1 or more away. None if no
    score of the detector is large enough to be compared."""
    of: str
    """`largest` or `mean`, of the boxes."""

    def line(self, limits: Limits) -> str:
        """For people."""
        parts = [f"boxes {self.box_pixels:.2g} px (limit {limits.box_pixels:.2g})"]
        if limits.score is not None:
            parts.append(f"scores {self.score:.2g} (limit {limits.score:g})")
        if self.logits is None:
            parts.append(f"logits not compared: no score reaches {LEAST_SCORE:g} on drawn pictures")
        else:
            share = f"{self.logits:.2g} of their spread over regions"
            parts.append(f"logits {share} (limit {limits.logits:g})")
        return f"{self.of} difference from the detector: {', '.join(parts)}"

    def check(self, limits: Limits) -> None:
        """Raise ValueError if it is too large, or no number."""
        within = self.box_pixels <= limits.box_pixels
        within &= limits.score is None or self.score <= limits.score
        within &= self.logits is None or self.logits <= limits.logits
        if not within:  # NaN is not within
            raise ValueError(
                f"{self.line(limits)}: nothing was written; export in single precision, "
                "or tell us of this model"
            )


@torch.no_grad()
def compare(
    graph: Graph,
    run: Run,
    words: tuple[Tensor, Tensor],
    sizes: Sequence[tuple[int, int, int]],
    *,
    mean: bool,
) -> Difference:
    """Ask both the same.

    Args:
        words: rows (P, D) and biases (P,) that are asked for, if the graph takes any.
        sizes: numbers of pictures, heights and widths to try.
        mean: whether the mean difference of the boxes counts, or the largest.
    """
    pixels: list[FloatArray] = []
    asked: list[FloatArray] = []
    answered: list[FloatArray] = []
    for count, height, width in sizes:
        images = torch.from_numpy(_scenes(count, height, width))
        inputs = (images, *words) if len(graph.inputs) > 1 else (images,)
        wanted = [output.numpy() for output in graph(*inputs)[:2]]
        found = run(inputs)
        scale = np.array([width, height] * 2, np.float32)
        pixels.append((np.abs(wanted[0] - found[0]) * scale).ravel())
        asked.append(wanted[1].reshape(-1, wanted[1].shape[-1]))
        answered.append(found[1].reshape(-1, wanted[1].shape[-1]))
    boxes = np.concatenate(pixels)
    wanted_RP, found_RP = np.concatenate(asked), np.concatenate(answered)
    return Difference(
        float(boxes.mean() if mean else boxes.max()),
        float(np.abs(wanted_RP - found_RP).max()),
        _of_spread(wanted_RP, found_RP),
        "mean" if mean else "largest",
    )


def _of_spread(wanted_RP: FloatArray, found_RP: FloatArray) -> float | None:
    """`Difference.logits` of scores of regions R.

    Nothing is found in drawn pictures, and the scores of nothing are all the same, almost 0. Their
    logits still tell regions apart.
    """
    wanted, found = _logits(wanted_RP), _logits(found_RP)
    is_flat = not ((wanted_RP > LEAST_SCORE) & (wanted_RP < 1 - LEAST_SCORE)).any()
    if is_flat and np.abs(wanted - found).max() < LEAST_SPREAD:
        return None
    spread = np.square(wanted - wanted.mean(0)).mean()
    apart = np.square(wanted - found).mean()
    return float(np.sqrt(apart / max(spread, LEAST_SPREAD**2)))


def _logits(scores: FloatArray) -> FloatArray:
    clipped = np.clip(scores.astype(np.float64), LEAST_SCORE, 1 - LEAST_SCORE)
    return np.log(clipped) - np.log1p(-clipped)


def _scenes(count: int, height: int, width: int) -> np.typing.NDArray[np.uint8]:
    """Drawn pictures (B, 3, H, W): rectangles of all sizes on a shaded ground, and a little noise.

    Noise alone would look the same everywhere to a detector.
    """
    random = np.random.default_rng([count, height, width])
    slope = np.linspace(60, 200, width)[None, None, None] * np.ones((count, 3, height, 1))
    pixels = slope * random.uniform(0.5, 1, (count, 3, 1, 1))
    for picture in pixels:
        for _ in range(12):
            y0, x0 = random.integers(0, height), random.integers(0, width)
            y1, x1 = y0 + random.integers(4, height), x0 + random.integers(4, width)
            picture[:, y0:y1, x0:x1] = random.uniform(0, 255, (3, 1, 1))
    pixels += random.normal(0, 4, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)
