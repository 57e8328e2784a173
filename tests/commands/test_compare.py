"""`omnidet compare` on folders as `omnidet evaluate --out` writes them."""

import json
from pathlib import Path

import pytest

from omnidet import cli


def folder(path, ap, version="v1", **details):
    path.mkdir()
    draws = [ap + 0.001 * (n % 5) for n in range(10)]
    own = {
        "intervals": {"AP": [ap - 0.01, ap + 0.01]},
        "resamples": {"AP": draws},
        "counts": {"images": 9},
    } | details
    content = {
        "values": {"coco/AP": ap, "coco/AP50": ap + 0.1},
        "protocols": {"coco": "COCO"},
        "details": {"coco": own},
    }
    (path / "index.json").write_text(json.dumps(content | {"dataset_version": version}))
    return str(path)


def compare(*arguments):
    return cli.main(["compare", *map(str, arguments)])


def test_side_by_side_with_intervals_and_categories(tmp_path, capsys):
    names = [f"thing {n}" for n in range(30)]
    one = folder(tmp_path / "a", 0.5, per_category_AP=dict.fromkeys(names, 0.5))
    changed = dict.fromkeys(names, 0.5) | {"thing 3": 0.1, "thing 4": 0.9}
    two = folder(tmp_path / "b", 0.45, per_category_AP=changed)
    assert compare(one, two, "--json", tmp_path / "out.json", "--categories", 2) == 0
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if line.startswith("coco/AP ")]
    assert "0.5000 (0.490 to 0.510)" in line
    assert "-0.0500 (-0.050 to -0.050)" in line
    assert line.endswith("worse")
    assert said.index("thing 3") < said.index("thing 4")
    assert "4 of 30 categories" in said
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["passed"]
    assert content["rows"][0]["difference"] == pytest.approx(-0.05)
    assert len(content["categories"]["coco"]) == 30


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ([], 0),
        (["--max-drop", "0.06"], 0),
        (["--max-drop", "0.05"], 0),
        (["--max-drop", "0.04"], 3),
        (["--min-gain", "0.01"], 3),
        (["--max-drop", "0.04", "--metric", "coco/AP50"], 3),
    ],
)
def test_limits_decide_the_exit_code(tmp_path, capsys, limits, code):
    one, two = folder(tmp_path / "a", 0.5), folder(tmp_path / "b", 0.45)
    out = tmp_path / "out.json"
    assert compare(one, two, *limits, "--json", out) == code
    assert ("not met: coco/AP" in capsys.readouterr().out) == (code == 3)
    assert json.loads(out.read_text())["passed"] == (code == 0)
    assert compare(two, one, "--min-gain", "0.04", "--max-drop", "0") == 0


def test_different_data_versions_are_noted(tmp_path, capsys):
    assert compare(folder(tmp_path / "a", 0.5), folder(tmp_path / "b", 0.5, version="v2")) == 0
    assert "coco: the evaluation sets differ" in capsys.readouterr().out


def test_a_set_that_both_measured_is_compared_whatever_else_the_data_holds(tmp_path, capsys):
    """As of a detector before and after it was taught another dataset."""
    before, after = folder(tmp_path / "a", 0.5), folder(tmp_path / "b", 0.45, version="v2")
    for place, sets in ((before, {"coco": "1"}), (after, {"coco": "1", "cells": "2"})):
        index = Path(place, "index.json")
        index.write_text(json.dumps(json.loads(index.read_text()) | {"sets": sets}))
    assert compare(before, after) == 0
    said = capsys.readouterr().out
    assert "-0.0500 (-0.050 to -0.050)" in said
    assert "evaluation sets differ" not in said


def test_a_folder_that_is_not_an_evaluation_is_refused(tmp_path, capsys):
    one = folder(tmp_path / "a", 0.5)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "index.json").write_text('{"values": {')
    for other, message in (
        (tmp_path / "none", "does not exist"),
        ("cells@1", "runs/finetune/NAME/evaluation"),
        (tmp_path / "broken", "is not JSON"),
    ):
        assert compare(one, other) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert compare(one, one, "--metric", "coco/none") == 2
    assert "neither evaluation has it" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        compare(one, one, "--max-drop", "much")
    assert stopped.value.code == 2


def test_an_evaluation_is_not_written_over(tmp_path, capsys):
    one, two = folder(tmp_path / "a", 0.5), folder(tmp_path / "b", 0.45)
    before = (tmp_path / "b" / "index.json").read_bytes()
    assert compare(one, two, "--json", tmp_path / "b" / "index.json") == 2
    assert "index.json is also" in capsys.readouterr().err
    assert (tmp_path / "b" / "index.json").read_bytes() == before
