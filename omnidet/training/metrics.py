"""Metrics of a run as JSON lines: one row each few steps, the same after a resume as without one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from omnidet import storage


class MetricLog:
    """Appends rows to `metrics.jsonl`."""

    def __init__(self, path: Path, resume_step: int, saved: bytes | None = None) -> None:
        """Keep the rows up to `resume_step`: what came after the checkpoint is about to come again.

        Args:
            saved: content of the log in that checkpoint; it counts, wherever the run goes on.
        """
        self.path = path
        if saved is not None:
            storage.write_bytes(path, saved)
        rows = [row for row in read(path) if row["step"] <= resume_step] if path.exists() else []
        storage.write_text(path, "".join(json.dumps(row) + "\n" for row in rows))

    def write(self, row: Mapping[str, float]) -> None:
        """Append one row."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(row)) + "\n")

    def content(self) -> bytes:
        """All of it."""
        return self.path.read_bytes()


def read(path: Path) -> list[dict[str, float]]:
    """All whole rows; a line that a killed process left half-written is not one."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
