"""What tests of the components share: artifacts, a toy run, and the numbers that keep it small."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.registry import versions
from omnidet.steps.retrain import Attempt
from tests import toy_runs, toys

SETTINGS = [s for s in toy_runs.SMALL if s.startswith(("world.", "shards.", "vocabulary."))]
"""Settings with which the demo's data is drawn in seconds."""


class Artifact:
    """What KFP hands a component for an output artifact."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.metadata: dict[str, Any] = {}

    def log_metric(self, name: str, value: float) -> None:
        """As dsl.Metrics."""
        self.metadata[name] = value


def run_folder(parent: Path, seed: int = 0) -> str:
    """The folder of a run that has trained and measured a detector."""
    folder = parent / "runs" / f"run-{seed}"
    folder.mkdir(parents=True)
    measured(str(folder), {"coco/AP": 0.5})
    toys.write_bundle(folder / "model", seed)
    return str(folder)


def measured(folder: str, values: dict[str, float]) -> None:
    """What the evaluation leaves in the folder of a run."""
    storage.write_text(f"{folder}/metrics.json", json.dumps(values))
    index = {"values": values, "protocols": {}, "details": {}}
    storage.write_text(f"{folder}/evaluation/{storage.INDEX_NAME}", json.dumps(index))


@dataclass(frozen=True)
class Retraining:
    """A run of the retraining pipeline in mid-course.

    Attributes:
        folder: of the run.
        data: annotated pictures; toys that only their hash is taken of.
        registry: holds `toy@1`, the champion.
    """

    folder: str
    data: str
    registry: str


def retraining(parent: Path, after: float = 0.5) -> Retraining:
    """A run that retrained `toy@1`: `coco/AP` stayed, `cells/AP` went from 0.1 to `after`."""
    run = Retraining(run_folder(parent, seed=1), str(parent / "cells"), str(parent / "registry"))
    champion = parent / "champion"
    toys.write_bundle(champion)
    versions.register(run.registry, "toy", champion, {"coco/AP": 0.5}, {})
    versions.promote(run.registry, "toy", 1)
    storage.write_text(f"{run.data}/1.xml", "<annotation/>")
    attempt = Attempt("toy@1", "cells", "abc", "tiny_world", ())
    notice = {**attempt.describe(), "data": run.data}
    storage.write_text(f"{run.folder}/notice.json", json.dumps(notice))
    storage.write_text(f"{run.folder}/zero_shot/metrics.json", json.dumps({"cells/AP": 0.1}))
    reached = json.dumps({"coco/AP": 0.5, "cells/AP": after, "cells/AP50": 0.8})
    storage.write_text(f"{run.folder}/metrics.json", reached)
    storage.write_text(f"{run.folder}/measured.json", json.dumps({"boxes": 40}))
    return run
