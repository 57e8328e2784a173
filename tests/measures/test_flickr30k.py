import pytest

from omnidet.measures import flickr30k
from tests.measures.truth_teller import measured


def test_the_truth_gets_full_marks(index, tmp_path):
    values = measured(index, tmp_path, "flickr30k", "eval/flickr30k").values
    for metric in ("R@1", "R@5", "R@10"):
        assert values[f"flickr30k/{metric}"] == 1


def test_boxes_next_to_the_objects_are_wrong(index, tmp_path):
    values = measured(index, tmp_path, "flickr30k", "eval/flickr30k", moved=0.6).values
    assert values["flickr30k/R@1"] < 0.35


def test_a_phrase_without_a_row_is_named(index):
    with pytest.raises(ValueError, match=r"eval/flickr30k: .*'.*' of image flickr"):
        flickr30k.flickr30k.evaluate(index, "eval/flickr30k", [])
