"""The tutorial "Label, correct, teach", with a small detector and few pictures."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docs.tutorials import dusk
from omnidet import cli
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import read
from omnidet.registry import versions
from tests import taught


def _coco(path: Path, boxes: dict[str, list[tuple[str, list[float]]]]) -> None:
    """Boxes as x, y, width, height by the file of their picture."""
    names = ["star", "ring"]
    content = {
        "images": [{"id": i, "file_name": file} for i, file in enumerate(boxes, start=10)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=5)],
        "annotations": [
            {"id": 1, "image_id": i, "category_id": names.index(name) + 5, "bbox": box}
            for i, own in enumerate(boxes.values(), start=10)
            for name, box in own
        ],
    }
    path.write_text(json.dumps(content))


def test_corrections_are_counted_and_made(tmp_path):
    true = {"a": [("star", [0, 0, 20, 20]), ("ring", [50, 0, 20, 20])], "b": [], "c": []}
    true["c"] = [("ring", [0, 0, 30, 30]), ("star", [60, 60, 20, 20])]
    draft = {
        "c": [("star", [0, 0, 30, 30]), ("star", [5, 60, 20, 20])],  # renamed, removed
        "a": [("star", [0, 0, 20, 21]), ("ring", [54, 0, 20, 20])],  # right, moved
        "b": [("ring", [0, 0, 9, 9])],  # removed
    }
    _coco(tmp_path / "draft.json", draft)
    _coco(tmp_path / "truth.json", true)
    said = dusk.correct(tmp_path / "draft.json", tmp_path / "truth.json")
    assert said == {"right": 1, "moved": 1, "renamed": 1, "removed": 2, "added": 1}
    content = json.loads((tmp_path / "draft.json").read_text())
    assert dusk._by_picture(content) == {file: boxes for file, boxes in true.items() if boxes}


@pytest.mark.slow
def test_the_tutorial(tmp_path, monkeypatch, capsys):
    place = taught.prepare(tmp_path / "place")
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    dusk.draw(Path("dusk"), num_label=8, num_fresh=3, seed=1)
    with Image.open("dusk/pictures/000001.jpg") as picture:
        red, _, blue = np.asarray(picture).reshape(-1, 3).mean(0)
        assert red < blue < 128
    asked = ["--registry", str(place / "registry"), "--phrases-file", "dusk/words.txt"]
    draft = ["--threshold", "0.005", "--format", "coco", "--out", "dusk/draft"]
    model = ["--model", f"{taught.NAME}@1"]
    assert cli.main(["label", "dusk/pictures", *asked, *model, *draft]) == 0
    drafted = json.loads(Path("dusk/draft/annotations.json").read_text())["annotations"]
    said = dusk.correct(Path("dusk/draft/annotations.json"), Path("dusk/truth.json"))
    truth = json.loads(Path("dusk/truth.json").read_text())
    kept = said["right"] + said["moved"] + said["renamed"]
    assert kept + said["removed"] == len(drafted)
    assert kept + said["added"] == len(truth["annotations"])
    names = {category["id"]: category["name"] for category in truth["categories"]}
    back = read(Path("dusk/draft"), ReadConfig(format="coco", max_lost=0.0))
    assert Counter(box.name for p in back.pictures() for box in p.boxes) == Counter(
        names[row["category_id"]] for row in truth["annotations"]
    )
    settings = [s for s in taught.SETTINGS if s.startswith(("retrain.", "mixing."))]
    call = ["finetune", "dusk/draft", "--registry", str(place / "registry"), "--out", "run"]
    call += ["--from", f"{taught.NAME}@1", "--name", "dusk", "--val-share", "0.5"]
    assert cli.main(call + [part for s in settings for part in ("--set", s)]) == 0
    taught_version = versions.find(str(place / "registry"), f"{taught.NAME}@2")
    assert {"dusk/AP", "coco/AP"} <= taught_version.metrics.keys()
    found = ["--threshold", "0", "--max-detections", "9", "--formats", "coco"]
    model = ["--model", f"{taught.NAME}@2", "--save-dir", "dusk/after"]
    assert cli.main(["predict", "dusk/fresh", *asked, *model, *found]) == 0
    score = ["score", "coco", "--ground-truth", "dusk/fresh.json", "--json", "after.json"]
    assert cli.main([*score, "--detections", "dusk/after/coco/results.json"]) == 0
    assert 0 <= json.loads(Path("after.json").read_text())["AP"] <= 1
