"""What real servers of Kubeflow Pipelines 2.17 and Kubeflow Trainer 2.3 answered."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "kfp_real"


def recorded(name: str) -> Any:
    """The content of a recorded JSON file."""
    return json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))


def failed_step_log() -> str:
    """The log of the step that failed in `run_failed`."""
    return (FOLDER / "failed_step_log.txt").read_text(encoding="utf-8")
