from __future__ import annotations

from omnidet.data.label_files.labelled import Labelled


def test_a_picture_may_hold_nothing_and_a_person_gives_no_scores():
    picture = Labelled("a.png", 4, 3)
    assert (list(picture.boxes), list(picture.names), picture.scores) == ([], [], None)
