import pytest

from omnidet.measures import refcocog
from tests.measures.truth_teller import measured


def test_the_truth_gets_full_marks_and_scrambled_words_do_not(index, tmp_path):
    values = measured(index, tmp_path, "refcocog", "eval/refcocog").values
    for metric in ("AIGT", "AIGT_plain", "AIGT_relational"):
        assert values[f"refcocog/{metric}"] == 1
    # Asked in another order of words, the truth teller answers with a corner of the picture.
    assert values["refcocog/AIGT_scrambled"] < 0.1
    assert values["refcocog/AIGT_relational_scrambled"] == 0


def test_boxes_next_to_the_objects_are_wrong(index, tmp_path):
    values = measured(index, tmp_path, "refcocog", "eval/refcocog", moved=0.6).values
    assert values["refcocog/AIGT"] < 0.35


def test_rows_of_another_set_are_refused(index):
    with pytest.raises(ValueError, match=r"eval/refcocog: no prediction for"):
        refcocog.refcocog.evaluate(index, "eval/refcocog", [{"image_id": "x:1", "phrase": "y"}])
