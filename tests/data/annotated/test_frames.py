"""Annotations that count the frames of a video from another number than the pictures do."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, Scene, scenes


def _frames(folder: Folder, kind: str, moved: int, count: int = 8, clip: str = "") -> None:
    """Pictures from `frame_000010` on, and annotations whose numbers differ by `moved`."""
    own = scenes(count, seed=len(clip))
    for number, scene in enumerate(own, start=10):
        scene.file = f"frame_{number:06d}.png"
    folder.pictures(own, f"images/{clip}")
    told = [
        Scene(f"frame_{number + moved:06d}.png", s.things) for number, s in enumerate(own, start=10)
    ]
    if kind == "coco":
        folder.write(f"annotations{clip}.json", drawing.coco(told))
    elif kind == "cvat":
        folder.write(f"annotations{clip}.xml", drawing.cvat(told))
    for scene in told:
        if kind == "yolo":
            folder.write(f"labels/{clip}/{scene.stem}.txt", drawing.yolo(scene))
        elif kind == "voc":
            folder.write(f"xml/{clip}/{scene.stem}.xml", drawing.voc(scene))
    folder.write("classes.txt", "cat\ndog\n")


@pytest.mark.parametrize("kind", ["yolo", "voc", "coco", "cvat"])
@pytest.mark.parametrize(("moved", "lost"), [(-1, "frame_000009"), (1, "frame_000018")])
def test_frames_moved_by_one_are_refused(folder: Folder, kind, moved, lost):
    _frames(folder, kind, moved)
    said = folder.refusal()
    for part in (lost, "frame_000017.png" if moved < 0 else "frame_000010.png", "rename"):
        assert part in said


def test_one_clip_of_several(folder: Folder):
    _frames(folder, "yolo", 0, clip="a")
    _frames(folder, "yolo", -1, clip="bb")
    assert "images/bb/frame_000017.png" in folder.refusal()


@pytest.mark.parametrize("kind", ["yolo", "coco"])
def test_a_frame_without_an_annotation_is_no_reason(folder: Folder, kind):
    _frames(folder, kind, 0)
    folder.pictures([Scene("frame_000018.png", [])], "images")
    assert folder.num_read() == 8


def test_a_picture_that_was_deleted_is_no_reason(folder: Folder):
    _frames(folder, "yolo", 0, count=12)
    (folder.root / "images/frame_000010.png").unlink()
    assert folder.num_read() == 11
