"""RefCOCOg in files: expressions of either kind of file, and the best box of each."""

import json
import pickle

import pytest

from omnidet.evaluation import refcocog_files
from tests.data.sources.handmade import box, ref

ROWS = [
    {"id": 7, "image_id": 1, "sentence": "red ball", "bbox": [0, 0, 10, 20]},
    {"id": "b", "image_id": 2, "sentence": "ball left of the dog", "bbox": [5, 5, 5, 5]},
]


def json_file(folder, rows):
    (folder / "refs.json").write_text(json.dumps(rows))
    return str(folder / "refs.json")


def pickle_file(folder, by="umd"):
    refs = [ref(1, 11, 8, ["red ball", "ball"]), ref(2, 12, 8, ["dog"], "train")]
    (folder / f"refs({by}).p").write_bytes(pickle.dumps(refs, 2))
    content = {"annotations": [box(11, 8, 1, (1, 2, 3, 4)), box(12, 8, 1)]}
    (folder / "instances.json").write_text(json.dumps(content))
    return str(folder / f"refs({by}).p")


def test_expressions_of_a_json_file(tmp_path):
    found = refcocog_files.read_expressions(json_file(tmp_path, ROWS), "umd/val")
    assert list(found) == [7, "b"]
    assert (found[7].image_id, found[7].text, found[7].relational) == ("coco:1", "red ball", False)
    assert found[7].boxes_xyxy.tolist() == [[0, 0, 10, 20]]
    assert found["b"].relational


def test_expressions_of_the_official_pickle_are_those_of_the_split(tmp_path):
    found = refcocog_files.read_expressions(pickle_file(tmp_path), "umd/val")
    assert {key: e.text for key, e in found.items()} == {10: "red ball", 11: "ball"}
    assert found[10].boxes_xyxy.tolist() == [[1, 2, 4, 6]]
    with pytest.raises(ValueError, match="no split 'test'"):
        refcocog_files.read_expressions(pickle_file(tmp_path), "umd/test")
    with pytest.raises(ValueError, match=r"is not refs\(google\)\.p"):
        refcocog_files.read_expressions(pickle_file(tmp_path), "google/val")


def test_google_s_partition_is_read_only_by_name(tmp_path):
    google = pickle_file(tmp_path, "google")
    assert len(refcocog_files.read_expressions(google, "google/val")) == 2
    with pytest.raises(ValueError, match=r"refs\(google\)\.p .*--split google/val"):
        refcocog_files.read_expressions(google, "umd/val")
    marked = json_file(tmp_path, [{**ROWS[0], "split_by": "google"}])
    assert len(refcocog_files.read_expressions(marked, "google/val")) == 1
    with pytest.raises(ValueError, match=r"refs\.json .*--split google/val"):
        refcocog_files.read_expressions(marked, "umd/val")


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="two expressions have the id 7"):
        refcocog_files.read_expressions(json_file(tmp_path, [ROWS[0], ROWS[0]]), "umd/val")
    with pytest.raises(ValueError, match=r"no split 'val'.*umd/val"):
        refcocog_files.read_expressions(json_file(tmp_path, ROWS), "val")
    path = pickle_file(tmp_path)
    (tmp_path / "instances.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"instances\.json"):
        refcocog_files.read_expressions(path, "umd/val")


def test_the_best_box_of_each_expression(tmp_path):
    expressions = refcocog_files.read_expressions(json_file(tmp_path, ROWS), "umd/val")
    rows = [
        {"id": 7, "bbox": [0, 0, 1, 1], "score": 0.2},
        {"id": 7, "bbox": [2, 2, 1, 1], "score": 0.9},
        {"id": 7, "bbox": [4, 4, 1, 1], "score": 0.5},
    ]
    boxes, missing = refcocog_files.best_boxes(expressions, rows)
    assert boxes[0].tolist() == [2, 2, 3, 3]
    assert missing == 1
    assert (boxes[1] < -1e8).all()  # overlaps nothing: a miss
    for row, problem in (
        ({"id": 9, "bbox": [0, 0, 1, 1]}, "result 0: id 9 is not in the ground truth"),
        ({"id": 7, "bbox": [0, 0, 1]}, "result 0: bbox is"),
        ({"id": 7, "bbox": [0, 0, 1, 1], "score": float("nan")}, "result 0: score is nan"),
    ):
        with pytest.raises(ValueError, match=problem):
            refcocog_files.best_boxes(expressions, [row])
    with pytest.raises(ValueError, match=r"id 7 .*score"):
        refcocog_files.best_boxes(expressions, [rows[0], {"id": 7, "bbox": [0, 0, 1, 1]}])
