"""Metrics of a run as JSON lines: one row every few steps, the same with a resume as without."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from omnidet import storage


class MetricLog:
    """Appends rows to `metrics.jsonl`."""

    def __init__(self, path: Path, resume_step: int, saved: bytes | None = None) -> None:
        """Keep the rows up to `resume_step`: the steps after the checkpoint will come again.

        Args:
            saved: content of the log in that checkpoint. It replaces the file, since a run may go
                on from another machine.
        """
        self.path = path
        if saved is not None:
            storage.write_bytes(path, saved)
        rows = [row for row in read(path) if row["step"] <= resume_step] if path.exists() else []
        storage.write_text(path, "".join(json.dumps(row) + "\n" for row in rows))

    def write(self, row: Mapping[str, float]) -> None:
        """Append one row."""
        with storage.naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(row)) + "\n")

    def content(self) -> bytes:
        """The whole file."""
        return self.path.read_bytes()


def read(path: Path) -> list[dict[str, float]]:
    """All complete rows; a line that a killed process left half-written does not count."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
