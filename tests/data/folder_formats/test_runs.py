"""Predictions that lie beside the annotations."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, Scene, Thing, scenes


@pytest.mark.parametrize("place", ["runs/detect/predict", "exp/runs/train/exp2"])
def test_what_a_detector_found_is_no_annotation(folder: Folder, place):
    own = folder.pictures(scenes(12), "images")
    found = [Scene(s.file, [Thing(t.name, (1, 1, 9, 9)) for t in s.things]) for s in own]
    for scene, wrong in zip(own, found, strict=True):
        folder.write(f"labels/{scene.stem}.txt", drawing.yolo(scene))
        folder.write(f"{place}/labels/{scene.stem}.txt", drawing.yolo(wrong))
        drawing.put(folder.root / place / scene.file, wrong, folder.truth)
    folder.write("data.yaml", "names: [cat, dog]")
    assert folder.num_read() == 12
    assert "runs" in "".join(folder.read().account.notes)


def test_what_a_detector_found_is_read_where_nothing_else_is(folder: Folder):
    for scene in folder.pictures(scenes(12), "images"):
        folder.write(f"runs/detect/predict/labels/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("data.yaml", "names: [cat, dog]")
    assert folder.num_read() == 12
    assert not any("not read" in note for note in folder.read().account.notes)
