"""The best weights of a run are kept, and only they."""

from __future__ import annotations

import pytest

from omnidet.training import scoring
from tests import toy_runs


def _scoring(folder, values: list[float]) -> scoring.Scoring:
    """Measures one value after the other; each detector is a file with its value."""
    given = iter(values)

    def save(place, detector) -> None:
        (place / "value.txt").write_text(str(detector))

    return scoring.Scoring(str(folder), 10, lambda _: {"AP": next(given)}, save)


def test_the_best_is_kept_and_of_equals_the_last(tmp_path):
    measured = _scoring(tmp_path, [0.2, 0.5, 0.3, 0.5, 0.4])
    for number in range(1, 6):
        row = measured.score(number * 10, number)
        assert row["step"] == number * 10
        assert len(list((tmp_path / "best").iterdir())) == 1
    kept = scoring.best(str(tmp_path))
    assert (kept.step, dict(kept.values)) == (40, {"AP": 0.5})
    assert (tmp_path / "best" / "00000040" / "value.txt").read_text() == "4"


def test_a_run_that_died_between_two_has_the_better_one(tmp_path):
    _scoring(tmp_path / "a", [0.2]).score(10, "old")
    _scoring(tmp_path / "b", [0.6]).score(20, "new")
    (tmp_path / "b/best/00000020").rename(tmp_path / "a/best/00000020")
    (tmp_path / "a/best/00000030").mkdir()  # one that was never finished
    assert scoring.best(str(tmp_path / "a")).step == 20
    _scoring(tmp_path / "a", [0.1]).score(30, "worse")
    assert scoring.best(str(tmp_path / "a")).step == 20


def test_nothing_is_kept_before_anything_was_measured(tmp_path):
    assert scoring.best(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("step", "is_last", "due"), [(10, False, True), (11, False, False), (11, True, True)]
)
def test_it_is_due_every_so_many_steps_and_at_the_end(tmp_path, step, is_last, due):
    assert toy_runs.toy_scoring(tmp_path, 10).is_due(step, is_last) is due
