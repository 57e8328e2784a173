import pytest

from tests.measures.truth_teller import measured


def test_the_truth_gets_full_marks_and_the_protocol_says_how_it_counts(index, tmp_path):
    result = measured(index, tmp_path, "lvis_fixed", "eval/lvis")
    assert result.values["lvis_fixed/AP"] == pytest.approx(1.0)
    assert "fixed AP: the 10000 best" in result.protocols["lvis_fixed"]


def test_its_rows_do_not_replace_those_of_lvis(index, tmp_path):
    measured(index, tmp_path, "lvis_fixed", "eval/lvis")
    assert [path.name for path in tmp_path.iterdir()] == ["eval_lvis.fixed.json"]
