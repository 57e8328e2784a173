"""Rows that people write: what is wrong is named with its row, its value and the remedy."""

import pytest

from omnidet.evaluation import row_checks


def test_boxes_become_corners():
    assert row_checks.corners([1, 2, 3, 4], "row 0").tolist() == [1, 2, 4, 6]
    assert row_checks.corner_boxes([[1, 2, 3, 4], [0, 0, 0, 0]], "row 0").tolist() == [
        [1, 2, 3, 4],
        [0, 0, 0, 0],
    ]
    assert row_checks.corner_boxes([], "row 0").shape == (0, 4)


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, float("nan"), 4], "box", None, [1, 2, -3, 4]])
def test_what_is_not_a_box_is_named(box):
    with pytest.raises(ValueError, match="row 7: bbox is"):
        row_checks.corners(box, "row 7")


@pytest.mark.parametrize("box", [[5, 5, 4, 6], [5, 5, 6, 4], [1, 2, 3], "box"])
def test_what_is_not_a_box_of_corners_is_named(box):
    with pytest.raises(ValueError, match=r"row 7: .* is not a box"):
        row_checks.corner_boxes([[0, 0, 1, 1], box], "row 7")


def test_fields_and_ids():
    row_checks.require_fields({"id": 1, "bbox": None}, ("id", "bbox"), "row 7")
    for row in ({"id": 1}, 3, None):
        with pytest.raises(ValueError, match=r"row 7 has no '(bbox|id)'"):
            row_checks.require_fields(row, ("id", "bbox"), "row 7")
    for good in (0, "a"):
        row_checks.require_id({"id": good}, "id", "row 7")
    with pytest.raises(ValueError, match=r"row 7 has id \[1\]"):
        row_checks.require_id({"id": [1]}, "id", "row 7")


@pytest.mark.parametrize("content", ["{}", "[1]", "[[]]", "3"])
def test_a_file_of_something_else_is_named(tmp_path, content):
    (tmp_path / "rows.json").write_text(content)
    with pytest.raises(ValueError, match=r"rows\.json .*list"):
        row_checks.read_objects(str(tmp_path / "rows.json"))


def test_objects_are_read(tmp_path):
    (tmp_path / "rows.json").write_text('[{"id": 1}]')
    assert row_checks.read_objects(str(tmp_path / "rows.json")) == [{"id": 1}]
