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
    score: float


FLOAT_LIMITS = Limits(box_pixels=0.05, score=0.001)
"""Largest differences: both compute in single precision, in another order."""
INT8_LIMITS = Limits(box_pixels=1.0, score=0.02)
"""Mean differences: eight bits round, here and there by much."""
