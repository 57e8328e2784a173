"""An exported detector without torch: numpy, ONNX Runtime, tokenizers and Pillow.

    pictures ──pixels──▶ squares ──model.onnx──▶ boxes and scores ──▶ Detections
    phrases ──words──▶ rows and biases ──┘

`omnidet export` writes what `OnnxDetector` reads.
"""

from __future__ import annotations

from omnidet.onnx.detector import OnnxDetector

__all__ = ["OnnxDetector"]
