"""What the UI shows of a run."""

from __future__ import annotations

import json

from components.run.artifacts import Shown, note_registered
from omnidet.registry.versions import Version


def _shown(folder) -> Shown:
    (folder / "report.html").write_text("<html>page</html>")
    return Shown(str(folder / "metrics"), str(folder / "table"), str(folder / "report"))


def test_metrics_table_and_report(tmp_path):
    shown = _shown(tmp_path)
    shown.write("toy", {"coco/AP": 0.25, "lvis/AP": 0.125}, str(tmp_path / "report.html"))
    assert json.loads((tmp_path / "metrics").read_text()) == {"coco/AP": 0.25, "lvis/AP": 0.125}
    assert (tmp_path / "table").read_text() == (
        "# toy\n\n| metric | value |\n| --- | --- |\n| coco/AP | 0.250 |\n| lvis/AP | 0.125 |\n"
    )
    assert (tmp_path / "report").read_text() == "<html>page</html>"


def test_the_champions_numbers_get_a_column(tmp_path):
    after, before = {"coco/AP": 0.25, "cells/AP": 0.5}, {"coco/AP": 0.26}
    _shown(tmp_path).write("toy@1", after, str(tmp_path / "report.html"), before)
    table = (tmp_path / "table").read_text()
    assert "| metric | before | after |\n| --- | --- | --- |\n" in table
    assert "| coco/AP | 0.260 | 0.250 |\n| cells/AP |  | 0.500 |\n" in table


def test_what_was_registered_is_noted_twice(tmp_path):
    version = Version("toy", 3, "s3://b/r/toy/3")
    facts = note_registered(str(tmp_path), str(tmp_path / "out"), version, "s3://b/r", "s3://b/m")
    assert facts == {"version": "toy@3", "registry": "s3://b/r", "model": "s3://b/m"}
    noted = [json.loads((tmp_path / name).read_text()) for name in ("registered.json", "out")]
    assert noted == [facts, facts]
