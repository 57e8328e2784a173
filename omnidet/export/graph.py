"""The detector as a module of tensors alone: what an exported file computes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from omnidet import boxes
from omnidet.export import attention
from omnidet.model.detector import Detector


class AnyWords(nn.Module):
    """Images and rows of any words in; boxes, scores and region embeddings out."""

    inputs = ("images", "rows", "biases")
    outputs = ("boxes", "scores", "embeddings")

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(
        self, images: Tensor, rows: Tensor, biases: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What one look at some images gives.

        Args:
            images: (B, 3, H, W) uint8 RGB.
            rows: (P, D), one for each phrase.
            biases: (P,).

        Returns:
            Boxes (B, Q, 4) as x0, y0, x1, y1 in shares of the width and height, scores (B, Q, P)
            and embeddings (B, Q, D).
        """
        embeddings_BQD, boxes_BQ4, _ = self.detector.regions(images)
        scores_BQP = (embeddings_BQD @ rows.T + biases).sigmoid()
        return boxes.cxcywh_to_xyxy(boxes_BQ4), scores_BQP, embeddings_BQD


class FoldedWords(nn.Module):
    """Images in; boxes and the scores of words that are fixed out."""

    inputs = ("images",)
    outputs = ("boxes", "scores")

    rows_PD: Tensor
    biases_P: Tensor

    def __init__(self, detector: Detector, rows_PD: Tensor, biases_P: Tensor) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head  # without the token table
        self.register_buffer("rows_PD", rows_PD)
        self.register_buffer("biases_P", biases_P)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (B, Q, 4) and scores (B, Q, P) of images (B, 3, H, W), as in `AnyWords`."""
        tokens_BQW = self.backbone(images)
        embeddings_BQD, boxes_BQ4, _ = self.head(tokens_BQW, self.backbone.grid(images))
        scores_BQP = (embeddings_BQD @ self.rows_PD.T + self.biases_P).sigmoid()
        return boxes.cxcywh_to_xyxy(boxes_BQ4), scores_BQP


Graph = AnyWords | FoldedWords


def program(
    graph: Graph, size: tuple[int, int], *, any_size: bool, for_onnx: bool = False
) -> torch.export.ExportedProgram:
    """The graph as torch's exported program, for any number of images and of words.

    Args:
        size: height and width in pixels of the example that it is traced with.
        any_size: whether height and width may differ from the example's.
        for_onnx: whether attention takes the form that is best in ONNX, and not in torch.

    Raises what `torch.export` raises for a graph that depends on its size otherwise.
    """
    images = torch.zeros(2, 3, *size, dtype=torch.uint8)
    arguments: tuple[Tensor, ...] = (images,)
    axes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if any_size:
        # A multiple of something, which only the graph knows: so torch finds it out.
        axes |= {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shapes: tuple[dict[int, Any], ...] = (axes,)
    if isinstance(graph, AnyWords):
        words = torch.export.Dim("words")
        width = graph.detector.config.embedding_width
        arguments = (images, torch.zeros(3, width), torch.zeros(3))
        shapes = (axes, {0: words}, {0: words})
    with torch.no_grad(), attention.in_three(graph) if for_onnx else nullcontext():
        return torch.export.export(graph, arguments, dynamic_shapes=shapes)
