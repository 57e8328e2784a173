"""Folders as tools write them: found by looking, cut, and said back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnidet.data.annotated import find, write
from omnidet.data.annotated.pictures import Box
from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import annotated
from tests import toys

BOX = (5.0, 8.0, 20.0, 10.0)
"""xywh in a picture of 64 x 32."""


def _unique(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(toys.png(64, 32, [(number, 1, number + 9, 20)]))


def _coco(root: Path, split: str, numbers: range, names: tuple[str, ...] = ("bolt", "nut")) -> None:
    images, boxes = [], []
    for number in numbers:
        _unique(root / "images" / f"{number}.png", number)
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 32})
        boxes.append(
            {"id": number, "image_id": number, "category_id": 1 + number % 2, "bbox": list(BOX)}
        )
    categories = [{"id": i, "name": name} for i, name in enumerate(names, start=1)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def _yolo(root: Path, split: str, numbers: range) -> None:
    for number in numbers:
        _unique(root / split / "images" / f"{number}.png", number)
        labels = root / split / "labels" / f"{number}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        x, y, w, h = BOX
        labels.write_text(f"{number % 2} {(x + w / 2) / 64} {(y + h / 2) / 32} {w / 64} {h / 32}\n")
    (root / "data.yaml").write_text("names: [nut, bolt]\n")


def _voc(root: Path, numbers: range) -> None:
    x, y, w, h = BOX
    for number in numbers:
        _unique(root / "JPEGImages" / f"{number}.png", number)
        path = root / "Annotations" / f"{number}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        corners = (
            f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
        )
        name = "bolt" if number % 2 else "nut"
        path.write_text(
            f"<annotation><object><name>{name}</name><bndbox>{corners}</bndbox></object></annotation>"
        )


def test_the_three_formats_say_the_same(tmp_path):
    _coco(tmp_path / "coco", "train", range(6), ("nut", "bolt"))
    _coco(tmp_path / "coco", "val", range(6, 8), ("nut", "bolt"))
    _yolo(tmp_path / "yolo", "train", range(6))
    _yolo(tmp_path / "yolo", "valid", range(6, 8))
    _voc(tmp_path / "voc", range(8))
    lists = tmp_path / "voc" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{i}\n" for i in range(6)))
    (lists / "val.txt").write_text("6\n7\n")
    for folder in ("coco", "yolo", "voc"):
        cut = find.split(find.find(tmp_path / folder))
        assert set(cut.found.names) == {"nut", "bolt"}, folder
        assert (len(cut.train), len(cut.evaluation)) == (6, 2), folder
        assert cut.why == "trained on train, evaluated on val"
        for picture in cut.found.pictures():
            (box,) = picture.boxes
            assert box.name == ("bolt" if int(picture.path.stem) % 2 else "nut"), folder
            assert box.xywh == pytest.approx(BOX), folder
        assert "nut" in find.describe(cut)


def test_without_a_split_a_fifth_is_kept_whatever_the_order(tmp_path):
    _voc(tmp_path, range(10))
    cut, again = find.split(find.find(tmp_path)), find.split(find.find(tmp_path))
    assert [p.path for p in cut.evaluation] == [p.path for p in again.evaluation]
    assert 1 <= len(cut.evaluation) <= 4
    assert len(cut.train) + len(cut.evaluation) == 10
    assert "by a hash of their names" in cut.why
    _voc(tmp_path, range(20))  # more pictures: none changes sides
    grown = find.split(find.find(tmp_path))
    assert {p.path for p in cut.evaluation} <= {p.path for p in grown.evaluation}
    assert {p.path for p in cut.train} <= {p.path for p in grown.train}


def test_what_is_written_reads_back_and_evaluates(tmp_path):
    _coco(tmp_path / "in", "train", range(6))
    _coco(tmp_path / "in", "test", range(5, 8))  # picture 5 stands in both: it is evaluated on
    out = tmp_path / "out"
    out.mkdir()
    summary = write.write(find.split(find.find(tmp_path / "in")), out, "v1")
    assert summary["counts"] == {
        "evaluation": {"pictures": 3, "boxes": 3},
        "train": {"pictures": 5, "boxes": 5},
    }
    assert summary["problems"] == {"picture that comes twice": 1}
    train = list(annotated.read(str(out), "train", Quarantine()))
    assert {record.image_id for record in train} == annotated.image_ids(str(out), "train")
    assert not annotated.image_ids(str(out), "train") & annotated.image_ids(str(out), "evaluation")
    for record in train:
        assert set(record.phrases) | set(record.absent) == {"bolt", "nut"}
        assert record.boxes_xyxy.tolist() == [[5.0, 8.0, 25.0, 18.0]]
    truth = annotated.ground_truth(str(out), "evaluation")
    assert truth is not None
    assert set(truth.names.values()) == {"bolt", "nut"}


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "0 pictures and no annotations"),
        ({"a.xml": "<annotation></annotation>", "a.png": "picture"}, "no usable annotation"),
        ({"a.xml": "<annotation", "a.png": "picture"}, "file that is no xml"),
        ({"a.png": "picture", "a.txt": "0 .5 .5 .1 .1\n"}, "no names"),
        (
            {"a.png": "picture", "a.txt": "0 .5 .5 .1 .1\n", "data.yaml": "names: ['  ']"},
            "give it a name",
        ),
        (
            {"a.png": "picture", "a.txt": "0 .5 .5 .1 .1\n", "data.yaml": "names: [Bolt, bolt ]"},
            "rename one of them",
        ),
        (
            {
                "a.png": "picture",
                "a.txt": "0 .5 .5 .1 .1\n",
                "data.yaml": "names: [hex bolt, Hex_Bolt]",
            },
            "'hex bolt' and 'Hex_Bolt' are the same words: rename one of them",
        ),
        (
            {"a.png": "picture", "a.txt": "bolt here\n", "data.yaml": "names: [bolt]"},
            r"a\.txt holds no box of YOLO: write lines",
        ),
        (
            {"a.png": "picture", "a.txt": "0 .5 .5 0 .1\n", "data.yaml": "names: [bolt]"},
            "1 x box without an area",
        ),
        (
            {"a.png": "picture", "a.txt": "9 .5 .5 .1 .1\n", "data.yaml": "names: [bolt]"},
            "box of an unknown class",
        ),
        (
            {
                "a.json": '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}'
            },
            "id 1 of 'categories' stands for 'a' and 'b': give each its own",
        ),
        ({"a.json": '{"images": 1, "annotations": 2, "categories": []}'}, "no list"),
        ({"a.json": '{"images": [], "annotations": [], "categories"'}, "is not JSON"),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path, files, complaint):
    for name, content in files.items():
        (tmp_path / name).write_bytes(
            toys.png(64, 32, [(1, 1, 9, 9)]) if content == "picture" else content.encode()
        )
    with pytest.raises(ValueError, match=complaint) as raised:
        find.find(tmp_path)
    assert "\n" not in str(raised.value)


def test_two_formats_need_a_word(tmp_path):
    _voc(tmp_path, range(3))
    _coco(tmp_path, "train", range(3))
    with pytest.raises(ValueError, match="--format"):
        find.find(tmp_path)
    assert find.find(tmp_path, "voc").format == "Pascal VOC xml"
    with pytest.raises(
        ValueError,
        match="has no yolo annotations, but coco and voc: leave out --format, or give that",
    ):
        find.find(tmp_path, "yolo")


def test_boxes_without_an_area_and_files_without_boxes_are_not_counted_as_boxes(tmp_path):
    _yolo(tmp_path, "train", range(6))
    _yolo(tmp_path, "val", range(6, 8))
    (tmp_path / "train/labels/1.txt").write_text("0 0.5 0.5 0.1 0\n")
    (tmp_path / "train/labels/2.txt").write_text("what is this\n")
    assert "2.png" not in {picture.path.name for picture in find.find(tmp_path).splits["train"]}, (
        "not taken for background"
    )
    said = find.describe(find.split(find.find(tmp_path))).splitlines()
    assert "  nut         2           1" in said
    assert "  bolt        2           1" in said
    assert "  left out: 1 x picture whose txt does not begin with a box" in said
    assert "  not counted above: 1 x box without an area" in said


def test_what_is_measured_by_holds_only_boxes_that_are_some(tmp_path):
    _yolo(tmp_path / "in", "train", range(6))
    _yolo(tmp_path / "in", "val", range(6, 8))
    (tmp_path / "in/val/labels/6.txt").write_text("0 0.5 0.5 -0.1 0.1\n1 0.5 0.5 0.2 0.2\n")
    cut = find.split(find.find(tmp_path / "in"))
    (tmp_path / "out").mkdir()
    summary = write.write(cut, tmp_path / "out", "1")
    truth = json.loads((tmp_path / "out/annotations/evaluation.json").read_text())
    assert all(min(entry["bbox"][2:]) > 0 for entry in truth["annotations"])
    assert summary["problems"]["box without an area"] == 1
    for number in (6, 7):
        (tmp_path / f"in/val/labels/{number}.txt").write_text("0 0.5 0.5 0 0\n")
    with pytest.raises(
        ValueError,
        match=r"none of the 2 pictures of the evaluation holds a box \(trained on train, eval",
    ):
        find.split(find.find(tmp_path / "in"))


def test_entities_that_would_grow_without_bounds_are_not_read(tmp_path):
    _voc(tmp_path, range(2))
    (tmp_path / "Annotations" / "2.xml").write_text(
        '<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>'
    )
    assert find.find(tmp_path).problems == {"file that is no xml": 1}


def test_outlines_become_their_boxes(tmp_path):
    _unique(tmp_path / "a.png", 3)
    (tmp_path / "a.txt").write_text("0 0.25 0.25 0.5 0.25 0.5 0.75 0.25 0.75\n")
    (tmp_path / "classes.txt").write_text("bolt\n")
    (picture,) = find.find(tmp_path).pictures()
    assert picture.boxes == (Box("bolt", (16.0, 8.0, 16.0, 16.0)),)


@pytest.mark.slow
def test_blood_cells(samples):
    cut = find.split(find.find(samples.root / "bccd"))
    assert cut.found.format == "Pascal VOC xml"
    assert cut.found.names == ("Platelets", "RBC", "WBC")
    assert (len(cut.train), len(cut.evaluation)) == ((292, 72) if samples.is_real else (4, 2))
    boxes = [box for picture in cut.found.pictures() for box in picture.boxes]
    assert len(boxes) == (4888 if samples.is_real else 19)
    without_area = sum(box.xywh[2] <= 0 or box.xywh[3] <= 0 for box in boxes)
    assert without_area == (2 if samples.is_real else 1)


def test_coco_entries_that_are_no_ids_are_counted(tmp_path):
    _coco(tmp_path, "train", range(4))
    path = tmp_path / "annotations/instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["image_id"] = []
    content["annotations"][1]["category_id"] = {}
    path.write_text(json.dumps(content))
    assert find.find(tmp_path).problems == {
        "box of an unknown image": 1,
        "box of an unknown category": 1,
    }
    content["annotations"][0] = None
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"instances_train\.json: an entry of 'annotations' is no object"
    ):
        find.find(tmp_path)


ALIASES = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("names: {0: nut, bolt: 1}", "is no list of names"),
        ("names: [[nut]]", "is no list of names"),
        (ALIASES + "names: *y\n", "is no list of names"),
        ("x: 2001-99-99", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        (b"names: [\xff]", "is not YAML"),
        (b"#" * 2_000_000, "has more than 1000000 bytes"),
    ],
)
def test_names_of_yolo_that_are_none(tmp_path, content, problem):
    _yolo(tmp_path, "train", range(2))
    (tmp_path / "data.yaml").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    with pytest.raises(ValueError, match=rf"data\.yaml.*{problem}") as error:
        find.find(tmp_path)
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    "content",
    [
        b"<?xml version='1.0' encoding='klingon'?><annotation/>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>".encode("utf-16"),
    ],
)
def test_xml_in_odd_encodings_is_counted(tmp_path, content):
    _voc(tmp_path, range(2))
    (tmp_path / "Annotations/2.xml").write_bytes(content)
    assert find.find(tmp_path).problems == {"file that is no xml": 1}
