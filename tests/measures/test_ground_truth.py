import pytest

from omnidet.measures.ground_truth import ground_truth
from tests import evaluations


def test_the_file_and_the_names_of_its_categories(tmp_path):
    path, names = ground_truth(evaluations.index(tmp_path), "eval/coco")
    assert path.read_bytes().startswith(b'{"images"')
    assert names == {"1": "star", "2": "circle"}


def test_a_changed_file_is_refused(tmp_path):
    index = evaluations.index(tmp_path)
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(ValueError, match=r"truth\.json is corrupt"):
        ground_truth(index, "eval/coco")


def test_a_set_without_an_annotation_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="'eval/refcocog'"):
        ground_truth(evaluations.index(tmp_path), "eval/refcocog")
