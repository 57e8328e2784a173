from __future__ import annotations

from omnidet import cli
from omnidet.commands import summary


def test_what_a_run_reached(registry, tmp_path, capsys):
    metrics, report = tmp_path / "metrics.json", tmp_path / "report.html"
    metrics.write_text('{"coco/AP": 0.2}')
    call = ["summary", "--metrics", str(metrics), "--registry", registry, "--report", str(report)]
    assert cli.main(call) == 0
    assert capsys.readouterr().out.splitlines() == [
        "coco/AP  0.200",
        f"registered  toy@2 in {registry}/toy/2",
        f"report      {report}",
    ]


def test_a_detector_that_this_registry_does_not_hold(registry, tmp_path, capsys):
    """A clone that `dvc checkout` filled has the receipt of a registration, and no registry."""
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"coco/AP": 0.987}')
    call = ["summary", "--metrics", str(metrics), "--registry", registry, "--report", "r"]
    assert cli.main(call) == 0
    (line,) = [s for s in capsys.readouterr().out.splitlines() if s.startswith("registered")]
    assert registry in line
    assert "dvc repro --single-item --force register gate`" in line


def test_metrics_that_are_missing(place, refused):
    call = ["summary", "--metrics", f"{place}/nowhere.json", "--report", "r"]
    assert f"{place}/nowhere.json" in refused(*call)


def test_a_table_is_aligned():
    assert summary.table({"a": 1.0, "long": 0.25}, "  ") == "  a     1.000\n  long  0.250"
    assert summary.table({}) == ""
