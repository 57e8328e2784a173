"""The files of one picture: drawn, cut out, labelled."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from omnidet.inference.detections import Detections
from omnidet.predictions import files
from omnidet.predictions.files import PictureFiles, folder_name, free_key, labelled
from tests import full_disk, toys

PICTURE = toys.png(600, 400, [(100, 100, 200, 200)])
NAMES = ("red star", "a/b: c")


def _found():
    boxes = np.array([[100, 100, 200, 200], [0, 0, 600, 400]], np.float32)
    scores = np.array([0.9, 0.5], np.float32)
    return Detections(boxes, scores, np.array([0, 1]), 600, 400, NAMES, NAMES, image=PICTURE)


def _line():
    return {"image": "x/a.png", "file": "sub/a", **_found().to_dict()}


def test_each_format_has_its_folder(tmp_path):
    chosen = ("drawn", "crops", "yolo", "voc", "labelme", "coco")
    written = PictureFiles(tmp_path, chosen, NAMES).write(_line(), _found())
    assert written == _line()
    names = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {
        "drawn/sub/a.jpg",
        "crops/red star/sub/a-1.jpg",
        "crops/a_b_ c/sub/a-2.jpg",
        "yolo/sub/a.txt",
        "voc/sub/a.xml",
        "labelme/sub/a.json",
    }
    with Image.open(tmp_path / "crops/red star/sub/a-1.jpg") as cut:
        assert cut.size == (100, 100)
        assert np.abs(np.asarray(cut)[20:80, 20:80].mean((0, 1)) - [255, 0, 0]).max() < 8
    with Image.open(tmp_path / "drawn/sub/a.jpg") as drawn:
        assert drawn.size == (600, 400)
    rows = (tmp_path / "yolo/sub/a.txt").read_text().splitlines()
    assert [row.split()[0] for row in rows] == ["0", "1"]
    assert all(len(row.split()) == 6 for row in rows)


def test_a_key_that_is_taken_gets_a_number():
    assert free_key("a/B", set()) == "a/B"
    assert free_key("a/B", {"a/b", "a/b-2"}) == "a/B-3"
    assert free_key("a/Classes", set()) == "a/Classes-2"  # the names of YOLO labels


def test_the_numbers_of_a_key_are_not_tried_again():
    class Taken(set):
        asked = 0

        def __contains__(self, key):
            Taken.asked += 1
            return super().__contains__(key)

    taken, numbers = Taken(), {}
    for number in range(1, 500):
        key = free_key("a/B", taken, numbers)
        assert key == ("a/B" if number == 1 else f"a/B-{number}")
        taken.add(key.lower())
    assert Taken.asked < 2000


@pytest.mark.parametrize(("label", "name"), [("..", "_"), ("a/../b", "a_.._b"), ("  ", "_")])
def test_labels_name_folders_below_the_run(label, name):
    assert folder_name(label) == name
    assert len(folder_name("x" * 300)) <= 80


def test_scores_are_left_out_where_a_person_decides():
    assert labelled(_line(), "p.png", with_scores=False).scores is None
    assert labelled(_line(), "p.png", with_scores=True).scores == [0.9, 0.5]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    files.write_text(tmp_path / "a.txt", "old")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(type(tmp_path), "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    monkeypatch.undo()
    files.write_bytes(tmp_path / "b", b"x")
    assert (tmp_path / "b").read_bytes() == b"x"


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp", "gif", "bmp", "tif"])
def test_a_picture_that_does_not_fit_on_the_disk_is_not_there(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    picture = Image.fromarray(noise)
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    files.write_picture(picture, whole)
    with Image.open(whole) as opened:
        opened.load()
        assert opened.size == picture.size
    size = whole.stat().st_size
    for room in (0, 4096, size - 4096, size - 1):
        with full_disk.room_for(room), pytest.raises(OSError, match=f"{cut} cannot be written"):
            files.write_picture(picture, cut)
    with full_disk.room_for(size):
        files.write_picture(picture, cut)
    assert cut.read_bytes() == whole.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2
