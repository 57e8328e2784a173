"""The metric log has the same rows with a resume as without."""

from __future__ import annotations

from omnidet.training import metrics
from omnidet.training.metrics import MetricLog


def test_rows_come_back(tmp_path):
    log = MetricLog(tmp_path / "metrics.jsonl", 0)
    rows = [{"step": 2, "loss": 1.5}, {"step": 4, "loss": 1.25}]
    for row in rows:
        log.write(row)
    assert metrics.read(tmp_path / "metrics.jsonl") == rows


def test_rows_after_the_checkpoint_are_dropped_on_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricLog(path, 0)
    for step in (2, 4, 6):
        log.write({"step": step, "loss": step / 2})
    with path.open("a") as file:
        file.write('{"step": 8, "lo')  # the process was killed here
    resumed = MetricLog(path, 4)
    assert [row["step"] for row in metrics.read(path)] == [2, 4]
    resumed.write({"step": 6, "loss": 0.1})
    assert [(row["step"], row["loss"]) for row in metrics.read(path)] == [
        (2, 1.0),
        (4, 2.0),
        (6, 0.1),
    ]


def test_a_new_run_starts_an_empty_log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricLog(path, 0).write({"step": 2, "loss": 1.0})
    MetricLog(path, 0)
    assert metrics.read(path) == []


def test_a_half_written_row_does_not_count(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 2}\n{"step": 4, "l')
    assert metrics.read(path) == [{"step": 2}]
