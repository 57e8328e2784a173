"""Old and new benchmarks of a retrained detector, next to the champion's."""

from __future__ import annotations

import json
from pathlib import Path

from components.evaluate_retrained import evaluate_retrained
from components.run import retrain
from omnidet import storage
from tests.components.steps import Artifact, retraining


def test_the_ui_gets_numbers_before_and_after(tmp_path, monkeypatch):
    run = retraining(tmp_path)

    def measured(*given: object) -> None:
        assert given[2] == "model"
        assert asked == ["zero_shot"]
        storage.write_text(f"{run.folder}/report.html", "<html>page</html>")
        storage.write_text(
            f"{run.folder}/before/{storage.INDEX_NAME}", '{"values": {"cells/AP": 0.1}}'
        )

    asked: list[str] = []
    monkeypatch.setattr(retrain.retrain, "zero_shot", lambda *_: asked.append("zero_shot"))
    monkeypatch.setattr(retrain.retrain, "evaluate", measured)
    metrics, table, report = (Artifact(tmp_path / name) for name in ("metrics", "table", "report"))
    given = (run.folder, "model", run.registry, "tiny_world", [], 0, "2", "16Gi")
    assert evaluate_retrained.python_func(*given, metrics, table, report) == run.folder
    assert metrics.metadata == json.loads(storage.read_text(f"{run.folder}/metrics.json"))
    assert "| cells/AP | 0.100 | 0.500 |" in Path(table.path).read_text()
    assert Path(report.path).read_text() == "<html>page</html>"
