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


@dataclass(frozen=True)
class Difference:
    """Between the exported model and the detector."""

    box_pixels: float
    score: float
    of: str
    """`largest` or `mean`."""

    def line(self, limits: Limits) -> str:
        """For people."""
        return (
            f"{self.of} difference from the detector: boxes {self.box_pixels:.2g} px "
            f"(limit {limits.box_pixels:g}), scores {self.score:.2g} (limit {limits.score:g})"
        )

    def check(self, limits: Limits) -> None:
        """Raise ValueError if it is too large, or no number."""
        within = self.box_pixels <= limits.box_pixels and self.score <= limits.score
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
        mean: whether the mean difference counts, or the largest.
    """
    apart: list[list[FloatArray]] = [[], []]
    for count, height, width in sizes:
        images = torch.from_numpy(_scenes(count, height, width))
        inputs = (images, *words) if len(graph.inputs) > 1 else (images,)
        wanted = [output.numpy() for output in graph(*inputs)[:2]]
        found = run(inputs)
        scale = np.array([width, height] * 2, np.float32)
        apart[0].append((np.abs(wanted[0] - found[0]) * scale).ravel())
        apart[1].append(np.abs(wanted[1] - found[1]).ravel())
    boxes, scores = (np.concatenate(parts) for parts in apart)
    if mean:
        return Difference(float(boxes.mean()), float(scores.mean()), "mean")
    return Difference(float(boxes.max()), float(scores.max()), "largest")


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
