"""Read = kept + left out, whatever happens on the way."""

from __future__ import annotations

import json

import pytest

from omnidet.data.annotated.account import Account


@pytest.fixture
def account() -> Account:
    made = Account()
    made.keep("boxes", 7)
    made.leave("boxes", "box without an area", "a.xml object 1")
    made.leave("boxes", "box without an area", "b.xml object 4")
    made.leave("boxes", "box that comes twice", "c.xml object 2", is_loss=False)
    made.take_back("boxes", "box in dispute", "d.xml object 3")
    made.notes.append("labels.txt was not read")
    return made


def test_what_is_read_is_kept_or_left_out(account):
    boxes = account.tallies["boxes"]
    left = sum(out.count for out in boxes.left_out.values())
    assert (boxes.read, boxes.kept, left, boxes.lost) == (10, 6, 4, 3)
    assert boxes.left_out["box without an area"].first == "a.xml object 1"


def test_nothing_is_left_out_by_none(account):
    account.leave("pictures", "unreadable", "x.png", count=0)
    assert account.tallies["pictures"].left_out == {}


def test_people_see_each_reason_with_its_first_place(account):
    said = "\n".join(account.lines())
    for part in ("read 10 boxes: 6 kept, 4 left out", "2 x box without an area", "a.xml object 1"):
        assert part in said
    assert "b.xml" not in said
    assert "labels.txt was not read" in said


def test_a_share_of_lost_boxes_is_the_limit_and_copies_are_no_loss(account):
    account.require_share(0.3, "data")
    with pytest.raises(ValueError, match="3 of 10 boxes") as caught:
        account.require_share(0.29, "data")
    assert "retrain.reading.max_lost=0.3" in str(caught.value)
    assert "twice" not in str(caught.value)


def test_there_and_back(account):
    content = json.loads(json.dumps(account.describe()))
    assert Account.parse(content).describe() == account.describe()
