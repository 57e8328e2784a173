"""LabelMe json."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, scenes


@pytest.mark.parametrize("kind", ["rectangle", "polygon"])
@pytest.mark.parametrize("spelled", [None, "..\\images\\{}", "old.png"])
def test_labelme(folder: Folder, kind, spelled):
    for scene in folder.pictures(scenes(8), "images"):
        name = spelled.format(scene.file) if spelled else None
        folder.write(f"labels/{scene.stem}.json", drawing.labelme(scene, name, kind))
    found = folder.read()
    assert found.format == "LabelMe json"
    assert sum(len(p.boxes) for p in found.pictures()) == 8


def test_a_picture_that_is_in_its_json_alone(folder: Folder):
    for scene in scenes(4):
        content = {**drawing.labelme(scene), "imageData": "aGVsbG8="}
        folder.write(f"{scene.stem}.json", content)
    assert "only in the imageData of its json" in folder.refusal()
