import json
import math
import tracemalloc

import numpy as np
import pytest

from omnidet.evaluation import coco, detections, official
from omnidet.evaluation.detections import DetectionColumns, rank, read_rows
from omnidet.evaluation.truth import read
from tests.evaluation.worlds import world

ROWS = [
    {
        "image_id": n,
        "category_id": 1,
        "bbox": [0, 0.5, 10, 1e1],
        "score": 0.25,
        "segmentation": [[1, 2]],
    }
    for n in range(7)
]


@pytest.mark.parametrize("at_once", [1, 3, 64, 1 << 20])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=1),
        "".join(json.dumps(row) + "\n" for row in ROWS),
        "\ufeff" + json.dumps(ROWS),
    ],
    ids=["list", "indented", "lines", "with a mark"],
)
def test_lists_and_lines_are_read_in_pieces_of_any_size(tmp_path, monkeypatch, at_once, text):
    monkeypatch.setattr(detections, "CHARACTERS_AT_ONCE", at_once)
    path = tmp_path / "found.json"
    path.write_text(text, encoding="utf-8")
    assert list(read_rows(path)) == ROWS


def test_an_empty_file_of_either_kind(tmp_path):
    for name, text in (("found.json", " [ ] \n"), ("found.jsonl", "")):
        (tmp_path / name).write_text(text)
        assert list(read_rows(tmp_path / name)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(ROWS)[:-1], "after item 7"),
        (json.dumps(ROWS)[:-30], "after item 6"),
        (json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[1])[:-4], "after item 1"),
        (json.dumps(ROWS) + "[", "after item 7"),
        ("[1, 2]", "item 0 is '1'"),
        ("image,box", "after item 0"),
        ("", "after item 0"),
    ],
)
def test_a_truncated_or_damaged_file_is_refused(tmp_path, text, message):
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_binary_file_and_a_missing_one_are_refused(tmp_path):
    (tmp_path / "found.json").write_bytes(b"\x80\x04\x95")
    with pytest.raises(ValueError, match="not text after item 0"):
        list(read_rows(tmp_path / "found.json"))
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        list(read_rows(tmp_path / "none.json"))


def truth_file(folder, images=7):
    """An annotation file of images with one box of category 1 each."""
    path = folder / "instances.json"
    boxes = [
        {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [0, 0, 50, 50], "area": 2500}
        for n in range(images)
    ]
    content = {
        "images": [{"id": n} for n in range(images)],
        "annotations": boxes,
        "categories": [{"id": 1, "name": "cat"}],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 70}, "image_id 70 is not in the ground truth"),
        ({"image_id": "1"}, "image_id is the text '1'"),
        ({"category_id": 9}, "category_id 9 is not in the ground truth"),
        ({"category_id": None}, "category_id None is not in the ground truth"),
        ({"score": math.nan}, "score is nan"),
        ({"score": math.inf}, "score is inf"),
        ({"score": "0.5"}, "score is '0.5'"),
        ({"score": [0.5]}, r"score is \[0.5\]"),
        ({"bbox": [0, 0, math.nan, 1]}, "bbox is"),
        ({"bbox": [0, 0, -1, 1]}, "bbox is"),
        ({"bbox": [0, 0, 1]}, "bbox is"),
        ({"bbox": ["0", 0, 1, 1]}, "bbox is"),
        ({"bbox": 5}, "bbox is 5"),
    ],
)
def test_the_first_detection_that_cannot_be_counted_is_named(
    tmp_path, monkeypatch, change, message
):
    monkeypatch.setattr(detections, "ROWS_AT_ONCE", 3)
    found = [*ROWS[:5], ROWS[5] | change, ROWS[6] | change]
    with pytest.raises(ValueError, match=f"detection 5: {message}") as caught:
        coco.evaluate(truth_file(tmp_path), found)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(tmp_path):
    with pytest.raises(ValueError, match="detection 0 has no 'bbox'"):
        coco.evaluate(truth_file(tmp_path), [{"image_id": 1, "category_id": 1, "score": 1}])


def test_boxes_beyond_the_image_count_as_in_the_official_code(tmp_path):
    path = truth_file(tmp_path)
    found = [
        {
            "image_id": n,
            "category_id": 1,
            "bbox": [-10.0 * n, 0.0, 50 + 10.0 * n, 50.0],
            "score": 0.5,
        }
        for n in range(7)
    ]
    found += [{"image_id": 0, "category_id": 1, "bbox": [1e6, 0.0, 50.0, 0.0], "score": 0.9}]
    ours = coco.evaluate(path, found, intervals=False).values
    assert ours["AP"] == pytest.approx(official.coco(path, found).stats[0], abs=1e-12)
    assert 0 < ours["AP"] < 1


@pytest.mark.slow
def test_memory_is_that_of_the_columns(tmp_path):
    """Rows are read one by one; as Python objects they would take 130 MB."""
    truth = read(truth_file(tmp_path))
    rows = (
        {"image_id": n % 7, "category_id": 1, "bbox": [n % 97, 1.0, 5.0, 5.0], "score": n / 1e6}
        for n in range(200_000)
    )
    tracemalloc.start()
    found, _ = detections.collect(rows, truth)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 200_000
    assert peak < 70e6
    assert found.score_D.dtype == np.float64


def test_the_best_of_each_group_stay_in_the_order_of_the_file():
    image = np.array([1, 0, 1, 1, 0], np.int32)
    found = DetectionColumns(
        image, np.arange(5, dtype=np.int32), np.zeros((5, 4)), np.array([0.1, 0.2, 0.9, 0.1, 0.3])
    )
    best = found.best(found.image_D, 2)
    assert best.category_D.tolist() == [0, 1, 2, 4]  # of equal scores the first


def test_rank_counts_within_runs():
    assert rank(np.array([4, 4, 4, 2, 4])).tolist() == [0, 1, 2, 0, 0]
    assert rank(np.zeros(0)).tolist() == []


def test_a_reader_and_a_list_give_the_same(tmp_path):
    dataset, found = world(2)
    (tmp_path / "instances.json").write_text(json.dumps(dataset))
    (tmp_path / "found.json").write_text(json.dumps(found))
    by_list = coco.evaluate(tmp_path / "instances.json", found, intervals=False)
    by_file = coco.evaluate(
        tmp_path / "instances.json", read_rows(tmp_path / "found.json"), intervals=False
    )
    assert by_list == by_file
