"""Formats that are not read."""

from __future__ import annotations

import pytest

from tests.data.annotated.drawing import Folder, scenes


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("via.json", {"_via_settings": {}, "_via_img_metadata": {}}, "VGG Image Annotator"),
        ("x.csv", "image_id,width,bbox\na,1,[1 2 3 4]\n", "csv table"),
        ("x.json", [{"image": "a.png", "annotations": [{"coordinates": {"x": 1}}]}], "CreateML"),
        ("x.jsonl", '{"data": 1}\n', "lines of json"),
        ("x.tfrecord", b"\0", "TFRecord"),
        (
            "labels/a.txt",
            "Car 0.00 0 -1.58 587.0 173.3 614.1 200.1 1.65 1.67 3.64 -0.65 1.71 46.7 -1.59\n",
            "KITTI",
        ),
    ],
)
def test_formats_that_are_not_read_are_named(folder: Folder, name, content, title):
    folder.pictures(scenes(2))
    folder.write(name, content)
    said = folder.refusal()
    assert title in said
    assert name in said


def test_a_link_that_was_copied_as_text(folder: Folder):
    folder.write("images", "../disk/images")
    assert "a link that was copied as text" in folder.refusal()
