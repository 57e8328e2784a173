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
