"""The step that measures: its artifacts, and where it says that the metrics are."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from components.evaluate import evaluate
from components.run import train_detector
from omnidet import storage
from tests.components.steps import Artifact

VALUES = {"coco/AP": 0.25, "lvis/AP": 0.125}


def _report(model: str, shards: str, evaluation: str, out: str, recipe: object) -> None:
    storage.write_text(out, "<html>page</html>")


def test_the_ui_gets_metrics_table_and_report(tmp_path, monkeypatch):
    steps = train_detector.train_detector
    monkeypatch.setattr(steps, "evaluate", lambda *_: SimpleNamespace(values=VALUES))
    monkeypatch.setattr(steps, "write_report", _report)
    metrics, table, report = (Artifact(tmp_path / name) for name in ("metrics", "table", "report"))
    run = str(tmp_path / "run")
    written = evaluate.python_func("m", "s", run, "tiny_world", [], metrics, table, report)
    assert written == f"{run}/metrics.json"
    assert metrics.metadata == json.loads(Path(metrics.path).read_text()) == VALUES
    assert "| coco/AP | 0.250 |" in Path(table.path).read_text()
    assert Path(report.path).read_text() == "<html>page</html>"
    assert storage.read_text(f"{run}/report.html") == "<html>page</html>"
