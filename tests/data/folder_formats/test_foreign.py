"""Formats that are not read."""

from __future__ import annotations

import pytest

from tests.data.annotated import drawing
from tests.data.annotated.drawing import Folder, scenes


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("x.csv", "image_id,width,bbox\na,1,[1 2 3 4]\n", "csv table"),
        ("x.csv", "TRAIN,gs://b/a.png,cat,0.1,0.1,,,0.2,0.2,,\n", "csv table"),
        ("x.jsonl", '{"data": 1}\n', "lines of json"),
        ("x.json", [{"data_row": {"id": "x"}}], "Labelbox"),
        ("x.json", [{"label_hash": "x"}], "Encord"),
        ("x.json", {"imgHeight": 64, "objects": []}, "Cityscapes"),
        ("x.json", [{"name": "a.png", "labels": [{"box2d": {"x1": 1}}]}], "BDD100K"),
        ("x.json", {"labels": {"a": [{"label": 0, "bounding_box": [0, 0, 1, 1]}]}}, "FiftyOne"),
        ("x.json", {"annotations": [{"name": "cat", "bounding_box": {"h": 1}}]}, "Darwin"),
        ("x.json", [{"task_id": "1", "type": "imageannotation"}], "Scale"),
        ("x.json", {"filename": "/a.png", "itemMetadata": {}, "annotations": []}, "Dataloop"),
        ("x.json", {"view": {"1": {"fid_list": ["1"]}}}, "Annotator 3"),
        ("x.json", {"images": [], "annotations": [{"segments_info": []}]}, "panoptic"),
        ("x.json", {"images": [], "annotations": [{"caption": "a cat"}]}, "captions"),
        ("x.json", [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "detector"),
        ("x.tfrecord", b"\0", "TFRecord"),
        ("train.record-00000-of-00010", b"\0", "TFRecord"),
        ("x.parquet", b"PAR1", "Parquet"),
        ("x.xlsx", b"PK", "spreadsheet"),
        ("x.mat", b"MATLAB", "Matlab"),
        (
            "labels/a.txt",
            "Car 0.00 0 -1.58 587.0 173.3 614.1 200.1 1.65 1.67 3.64 -0.65 1.71 46.7 -1.59\n",
            "KITTI",
        ),
        ("labels/a.txt", "imagesource:GoogleEarth\ngsd:0.1\n1 2 3 4 5 6 7 8 ship 0\n", "DOTA"),
        ("labels/img_000.txt", "684,8,273,116,0,0,0,0\n406,119,265,70,0,0,0,0\n", "VisDrone"),
        ("gt/gt.txt", "1,1,10,20,30,40,1,1,1\n2,1,10,20,30,40,1,1,1\n", "MOT"),
        ("gt_img_000.txt", "377,117,463,117,465,130,378,130,Theatre\n", "ICDAR"),
        ("boxes.txt", "images/a.jpg 1,2,30,40,0 5,6,70,80,1\n", "keras-yolo3"),
        ("wider_gt.txt", "0--Parade/a.jpg\n1\n449 330 122 149 0 0 0 0 0 0\n", "WIDER FACE"),
        ("Label/a.txt", "Cat 1.0 2.0 30.5 40.5\n", "OIDv4"),
    ],
)
def test_formats_that_are_not_read_are_named(folder: Folder, name, content, title):
    folder.pictures(scenes(2))
    folder.write(name, content)
    said = folder.refusal()
    assert title in said
    assert name in said


def test_lists_of_pictures_are_no_format(folder: Folder):
    own = folder.pictures(scenes(3), "images")
    for scene in own:
        folder.write(f"labels/{scene.stem}.txt", drawing.yolo(scene))
    folder.write("train.txt", "".join(f"images/{scene.file}\n" for scene in own))
    assert "no names" in folder.refusal()
