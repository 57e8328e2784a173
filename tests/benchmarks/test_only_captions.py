"""The benchmark of names that only captions tell of: nothing else tells of them, and it runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet.data import shards
from tests import toy_runs

ROOT = Path(__file__).parents[2]
SIZE = (*(s for s in toy_runs.SMALL if "workers" not in s), "train.steps=2")
SAYS = re.compile(r"\bhearts?\b", re.IGNORECASE)


def _run(folder: Path, name: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "only_captions.py")]
    command += ["--out", str(folder), "--leave-out", name, *more]
    command += [part for setting in SIZE for part in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("only_captions")
    ran = _run(folder, "heart", "--json", str(folder / "out.json"))
    assert ran.returncode == 0, ran.stderr
    assert "| coco, only captions" in ran.stdout
    return folder


def _texts(out: Path, set_name: str) -> list[str]:
    index = shards.read_index(str(out / "shards"))
    return [" ".join((*record.phrases, *record.absent)) for record in shards.texts(index, set_name)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coco", "lvis", "refcocog", "flickr30k"])
def test_no_box_has_the_name_and_no_image_is_without_it_by_name(out, name):
    found = _texts(out, f"train/{name}")
    assert len(found) >= 5
    assert not [text for text in found if SAYS.search(text)]


@pytest.mark.slow
def test_captions_and_evaluation_keep_it(out):
    index = shards.read_index(str(out / "shards"))
    captions = [
        r.caption for name in ("laion", "cc12m") for r in shards.texts(index, f"train/{name}")
    ]
    assert [text for text in captions if SAYS.search(text)]
    assert all("heart" in text for text in _texts(out, "eval/coco"))


@pytest.mark.slow
def test_both_rows_are_means_over_their_names(out):
    values = json.loads((out / "out.json").read_text())
    assert set(values) == {"caption-regions", "ours", "det+grd"}
    for name, numbers in values.items():
        evaluated = json.loads((out / name / "evaluation" / "index.json").read_text())
        by_name = evaluated["details"]["coco"]["per_category_AP"]
        others = [v for shown, v in by_name.items() if shown != "heart" and v is not None]
        assert numbers["coco, only captions"] == pytest.approx(by_name["heart"])
        assert numbers["coco, others"] == pytest.approx(sum(others) / len(others))


@pytest.mark.slow
def test_other_names_in_the_same_folder_and_unknown_names_are_refused(out, tmp_path):
    other = _run(out, "moon")
    assert other.returncode == 2
    assert str(out) in other.stderr
    unknown = _run(tmp_path / "new", "hart", "--data", str(out / "data"))
    assert unknown.returncode == 2
    assert "hart" in unknown.stderr
    assert "heart" in unknown.stderr
    assert not (tmp_path / "new").exists()
