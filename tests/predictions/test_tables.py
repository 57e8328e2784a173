from __future__ import annotations

import csv
import io
import json

import yaml

from omnidet.predictions.journal import Journal
from omnidet.predictions.tables import Pictures, dataset_tables, image_ids, rows, tables

NAMES = ("a", "b")
LINES = [
    {
        "image": "p/000000000139.jpg",
        "file": "139",
        "picture": "139.jpg",
        "below": "images/139.jpg",
        "width": 40,
        "height": 20,
        "detections": [
            {"box": [1, 2, 11, 12], "score": 0.5, "label": "b"},
            {"box": [0, 0, 5, 5], "score": 0.4, "label": "a", "phrase": 'an "a", or so'},
        ],
    },
    {
        "image": "p/7.jpg",
        "file": "7",
        "picture": "7.jpg",
        "below": "images/7.jpg",
        "width": 9,
        "height": 9,
        "detections": [],
    },
]


def _journal(folder):
    journal = Journal(folder, {}, "--save-dir")
    with journal:
        for line in LINES:
            journal.add({**line, "source": {"path": line["image"], "sha256": ""}})
    return journal


def test_pictures_can_be_gone_through_again(tmp_path):
    pictures = Pictures(_journal(tmp_path), with_scores=True)
    assert (
        [p.path for p in pictures]
        == [p.path for p in pictures]
        == ["p/000000000139.jpg", "p/7.jpg"]
    )


def test_the_tables_that_the_formats_ask_for(tmp_path):
    journal = _journal(tmp_path)
    assert tables(journal, ("drawn", "jsonl"), NAMES) == {}
    made = tables(journal, ("csv", "coco", "yolo", "cvat", "label-studio"), NAMES)
    text = {name: "".join(parts()) for name, parts in made.items()}
    results = json.loads(text["coco/results.json"])
    assert [r["image_id"] for r in results] == [139, 139]
    assert [i["id"] for i in json.loads(text["coco/dataset.json"])["images"]] == [139, 7]
    assert text["yolo/classes.txt"] == "a\nb\n"
    assert len(json.loads(text["label-studio/tasks.json"])) == 2
    assert "predictions" in json.loads(text["label-studio/tasks.json"])[0]
    assert text["cvat/annotations.xml"].count("<image ") == 2


def test_the_tables_of_a_dataset(tmp_path):
    journal = _journal(tmp_path)
    assert set(dataset_tables(journal, "voc", NAMES)) == set()
    content = yaml.safe_load("".join(dataset_tables(journal, "yolo", NAMES)["data.yaml"]()))
    assert content["names"] == {0: "a", 1: "b"}
    tasks = json.loads("".join(dataset_tables(journal, "label-studio", NAMES)["tasks.json"]()))
    assert tasks[0]["data"]["image"].endswith("?d=images/139.jpg")
    assert "annotations" in tasks[0]
    coco = json.loads("".join(dataset_tables(journal, "coco", NAMES)["annotations.json"]()))
    assert coco["images"][0]["file_name"] == "139.jpg"


def test_a_row_for_each_detection():
    found = list(csv.DictReader(io.StringIO("".join(rows(LINES)))))
    assert [row["label"] for row in found] == ["b", "a"]
    assert found[1]["phrase"] == 'an "a", or so'
    assert found[0]["x1"] == "11"


def test_ids_are_the_numbers_that_files_are_called_by():
    assert image_ids(["a/000000000139.jpg", "7.png"]) == [139, 7]
    assert image_ids(["a/7.jpg", "b/007.png"]) == [1, 2]
    assert image_ids(["a.jpg", "7.png"]) == [1, 2]
    assert image_ids(["²³.jpg"]) == [1]


def test_a_name_of_several_lines_is_one_class(tmp_path):
    made = tables(_journal(tmp_path), ("yolo",), ("red\nstar", "b"))
    assert "".join(made["yolo/classes.txt"]()) == "red star\nb\n"
