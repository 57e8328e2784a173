"""ONNX Runtime, which tells nobody what it is used for."""

from __future__ import annotations

import os
from typing import Any

from omnidet import extras


def load() -> Any:
    """The package `onnxruntime`.

    Since 1.29 its builds for Linux report sessions to their maker unless this variable is set
    before the package is loaded. Whoever wants that sets it to 0.

    Raises ImportError that says what to install if there is none.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    extras.require("onnx", "onnxruntime")
    import onnxruntime

    return onnxruntime
