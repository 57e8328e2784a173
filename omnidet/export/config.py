"""What is exported. The command line reads this, so nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

FORMATS = ("onnx", "torch")


@dataclass(frozen=True)
class ExportConfig:
    """How a detector is exported."""

    format: str = "onnx"
    words: tuple[str, ...] = ()
    """Words to fold in; empty for a model that takes any."""
    int8: bool = False
    """Whether the weights of matrix products are stored, and multiplied, in 8 bits."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"--format {self.format!r}: give {' or '.join(FORMATS)}")
        if self.int8 and self.format != "onnx":
            raise ValueError(f"--int8 is for --format onnx, not {self.format}: leave one of them")


@dataclass(frozen=True)
class Limits:
    """How far an exported model may be from the detector."""

    box_pixels: float
    """Of the square that the model sees."""
    score: float | None
    """Largest difference; None if the logits alone decide."""
    logits: float
    """Root of the mean square, in shares of their spread over the regions of pictures."""


FLOAT_LIMITS = Limits(box_pixels=0.05, score=0.001, logits=0.1)
"""Largest differences: both compute in single precision, in another order."""


def int8_limits(image_size: int) -> Limits:
    """Mean differences: eight bits round, here and there by much.

    Sound models have logits .01 to .05 of their spread away and boxes .0003 to .0008 of the side;
    a model that has lost its last layer, 1 and .01.

    Args:
        image_size: side in pixels of the square that the model sees.
    """
    return Limits(box_pixels=0.0025 * image_size, score=None, logits=0.15)
