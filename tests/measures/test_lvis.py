import pytest

from tests.measures.truth_teller import measured


def test_the_truth_gets_full_marks(index, tmp_path):
    values = measured(index, tmp_path, "lvis", "eval/lvis").values
    assert values["lvis/AP"] == pytest.approx(1.0)
    assert values["lvis/AP50"] == pytest.approx(1.0)


def test_boxes_next_to_the_objects_are_wrong(index, tmp_path):
    assert measured(index, tmp_path, "lvis", "eval/lvis", moved=0.6).values["lvis/AP50"] < 0.35


def test_the_right_boxes_under_other_names_are_wrong(index, tmp_path):
    assert measured(index, tmp_path, "lvis", "eval/lvis", shift=1).values["lvis/AP"] < 0.1
