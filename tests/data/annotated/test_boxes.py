"""Boxes of one picture: cut at the edge, each once, none in dispute."""

from __future__ import annotations

import pytest

from omnidet.data.annotated import boxes
from omnidet.data.annotated.account import Account
from omnidet.data.annotated.boxes import Placed, clipped, overlap, settle
from omnidet.data.folder_formats.sheets import NO_AREA


@pytest.mark.parametrize(
    ("corners", "found"),
    [
        ((10, 10, 30, 40), (10, 10, 30, 40)),
        ((-2, 10, 30, 70), boxes.MOSTLY_OUTSIDE),
        ((-2, 10, 30, 52), (0, 10, 30, 50)),
        ((100, 10, 120, 40), boxes.OUTSIDE),
        ((10, 10, 10, 40), NO_AREA),
        ((30, 10, 10, 40), NO_AREA),
        ((10, 10, 10.5, 40), NO_AREA),
    ],
)
def test_a_box_is_cut_at_the_edge_or_cannot_be_used(corners, found):
    assert clipped(corners, (100, 50)) == found


def _settled(*placed: tuple[str, tuple[float, float, float, float], str]):
    account = Account()
    left = [Placed(name, corners, False, series, "here") for name, corners, series in placed]
    names = settle(left, account)
    return left, names, account.tallies["boxes"]


def test_the_same_box_in_two_files_counts_once_and_is_no_loss():
    box = (10.0, 10.0, 30.0, 40.0)
    near = (10.4, 10.0, 30.2, 40.0)
    left, names, tally = _settled(("cat", box, "a"), ("cat", near, "b"), ("dog", box, "b"))
    assert [(b.name, b.corners) for b in left] == [("cat", box), ("dog", box)]
    assert (names, tally.read, tally.kept, tally.lost) == (set(), 3, 2, 0)


def test_one_thing_that_two_files_draw_differently_is_in_dispute():
    left, names, tally = _settled(
        ("cat", (10, 10, 30, 40), "a"), ("cat", (14, 10, 34, 40), "b"), ("cat", (60, 0, 80, 9), "a")
    )
    assert [b.corners for b in left] == [(60, 0, 80, 9)]
    assert (names, tally.lost) == ({"cat"}, 2)


def test_two_things_of_one_file_may_overlap():
    left, names, _ = _settled(("cat", (10, 10, 30, 40), "a"), ("cat", (14, 10, 34, 40), "a"))
    assert (len(left), names) == (2, set())


def test_overlap():
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 2, 2), (2, 0, 3, 2)) == 0
