"""Pictures of two folders that show the same and differ as files."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, Scene, Thing, scenes


def _twice(own: list[Scene]) -> list[Scene]:
    """The same pictures, twice as large."""
    return [
        Scene(
            scene.file,
            [Thing(t.name, tuple(2 * v for v in t.xywh)) for t in scene.things],
            (2 * scene.size[0], 2 * scene.size[1]),
        )
        for scene in own
    ]


@pytest.mark.parametrize("is_same", [True, False])
def test_two_sizes_of_one_dataset_are_said(folder: Folder, is_same):
    own = scenes(8)
    other = _twice(own if is_same else scenes(8, seed=1))
    for version, found in (("v1", own), ("v2", other)):
        folder.pictures(found, f"{version}/images")
        for scene in found:
            folder.write(f"{version}/labels/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("data.yaml", "names: [cat, dog]")
    notes = [note for note in folder.read().account.notes if "same names and boxes" in note]
    assert bool(notes) == is_same
    for part in ("8 pictures", "v1/images", "v2/images"):
        assert part in "".join(notes) or not is_same


@pytest.mark.parametrize("is_same", [True, False])
def test_two_cameras_with_one_split_teach_nothing_of_the_test(folder: Folder, is_same):
    own = scenes(8)
    for camera, found in (("colour", own), ("heat", _twice(own))):
        is_turned = camera == "heat" and not is_same
        for split, part in (("train", found[:4]), ("test", found[4:])):
            named = {"train": "test", "test": "train"}[split] if is_turned else split
            folder.pictures(part, f"{camera}/{named}")
            for scene in part:
                folder.write(f"{camera}/{named}/{scene.stem}.xml", drawing.voc(scene))
    notes = [note for note in folder.read().account.notes if "same names and boxes" in note]
    assert bool(notes) != is_same
