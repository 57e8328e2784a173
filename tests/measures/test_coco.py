import pytest

from tests.measures.truth_teller import measured


def test_the_truth_gets_full_marks(index, tmp_path):
    values = measured(index, tmp_path, "coco", "eval/coco").values
    for metric in ("AP", "AP50", "AP75"):
        assert values[f"coco/{metric}"] == pytest.approx(1.0)


def test_boxes_next_to_the_objects_are_wrong(index, tmp_path):
    values = measured(index, tmp_path, "coco", "eval/coco", moved=0.6).values
    assert values["coco/AP50"] < 0.35  # some of them meet a neighbour


def test_inaccurate_boxes_count_at_low_thresholds_only(index, tmp_path):
    values = measured(index, tmp_path, "coco", "eval/coco", moved=0.2).values
    assert values["coco/AP50"] == pytest.approx(1.0)  # IoU .8 / 1.2
    assert values["coco/AP75"] < 0.1


def test_the_right_boxes_under_other_names_are_wrong(index, tmp_path):
    assert measured(index, tmp_path, "coco", "eval/coco", shift=1).values["coco/AP"] < 0.1
