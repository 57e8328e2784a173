"""Only what is known about an image is supervised, within the limits of names and boxes."""

from __future__ import annotations

from collections import Counter

import pytest

from omnidet.data.mixing.config import Stream
from omnidet.data.transforms.letterbox import PADDING
from tests.data.mixing.mixes import (
    COCO,
    SIDE,
    coco,
    grounding,
    lvis,
    make,
    mixture,
    single,
    space,
    write,
)


def test_coco_names_that_are_absent_are_negatives(tmp_path):
    records = [coco(0)]
    batch = single(tmp_path, *records)
    assert space(batch, records) == {
        "star": (True, [0]),
        "circle": (True, []),
        "dog": (True, []),
        "moon": (True, []),
        "hot dog": (True, []),
    }
    assert batch.caption_B.tolist() == [-1], "the stream does not supervise captions"


def test_in_lvis_unknown_names_are_left_out_and_not_exhaustive_ones_give_no_negatives(tmp_path):
    """Next to COCO in one batch: COCO's label space is COCO's alone."""
    records = [coco(0), lvis(1)]
    batch = single(tmp_path, *records)
    assert set(space(batch, records, 0)) == set(COCO)
    assert space(batch, records, 1) == {
        "star": (True, [0]),
        "dog": (False, [0]),
        "moon": (True, []),
    }
    assert batch.name_BL[1].tolist()[3:] == [-1, -1]
    assert not batch.negative_BL[1, 3:].any()
    assert not batch.named_BNL[1, :, 3:].any()
    assert len(batch.phrases) == len(COCO), "each name once in the batch"


def test_grounding_data_knows_only_its_own_phrases(tmp_path):
    records = [coco(0), grounding(1)]
    batch = single(tmp_path, *records, stream=Stream("grd", (), 0, describes=True))
    assert space(batch, records, 1) == {"star left of circle": (True, [0]), "both": (True, [0, 1])}
    assert batch.describes_B.tolist() == [True, True]


def test_a_stream_without_boxes_has_no_label_space(tmp_path):
    records = [coco(0), lvis(1)]
    batch = single(tmp_path, *records, stream=Stream("img", (), 0, boxes=False, captions=True))
    assert batch.name_BL.shape == (2, 0)
    assert batch.boxes_cxcywh_BN4.shape == (2, 0, 4)
    assert batch.named_BNL.shape == (2, 0, 0)
    assert batch.caption_B.tolist() == [0, -1], "the second has none"
    assert len(batch.phrases) == 1
    assert not batch.describes_B.any()


def test_boxes_are_shares_of_the_square(tmp_path):
    """A 40x20 image in a square of 32 is scaled by 0.8, to 32x16 at the top."""
    batch = single(
        tmp_path, coco(200), make(90, [(0, 0, 40, 20)], phrases=("dog",), phrase_boxes=((0,),))
    )
    assert batch.boxes_cxcywh_BN4[0, 0].tolist() == pytest.approx(
        [12 / 40, 10 / 40, 16 / 40, 10 / 40]
    )
    assert batch.boxes_cxcywh_BN4[1, 0].tolist() == pytest.approx([0.5, 0.25, 1, 0.5])
    assert batch.sizes_B2.tolist() == [[0.5, 1.0]] * 2
    assert batch.images_BCHW.shape == (2, 3, SIDE, SIDE)
    assert (batch.images_BCHW[0, :, :16] == 200).all()
    assert (batch.images_BCHW[0, :, 16:] == PADDING).all()


def crowd(num_boxes=30, **more):
    boxes = [(i, 0, i + 5, 10) for i in range(num_boxes)]
    named = (tuple(range(num_boxes)), (3,))
    return make(
        1,
        boxes,
        phrases=("star", "dog"),
        phrase_boxes=named,
        absent=("moon", "circle", "hot dog"),
        **more,
    )


def test_boxes_are_limited_and_names_that_lose_some_give_no_negatives(tmp_path):
    record = crowd()
    batch = single(tmp_path, record, max_boxes=10)
    assert batch.boxes_cxcywh_BN4.shape == (1, 10, 4)
    centres = (batch.boxes_cxcywh_BN4[0, :, 0] * 40 - 2.5).round().int().tolist()
    assert centres == sorted(set(centres))
    assert set(centres) <= set(range(30))
    found = space(batch, [record])
    assert found["star"] == (False, list(range(10))), "some of its boxes were left out"
    assert found["dog"] == (False, [centres.index(3)] if 3 in centres else [])
    assert found["moon"] == (True, []), "absent from a crowded image too"
    whole = space(single(tmp_path / "whole", record, max_boxes=30), [record])
    assert whole["star"] == (True, list(range(30)))
    assert whole["dog"] == (True, [3])


def test_names_are_limited_by_leaving_out_absent_ones_at_random(tmp_path):
    record = crowd(4)
    index = write(tmp_path, {"train/0": [record]})
    stream = Stream("det", ("train/0",), 1)
    kept = Counter()
    for step in range(60):
        batch = mixture(index, (stream,), max_names=3)[step]
        found = space(batch, [record])
        assert list(found)[:2] == ["star", "dog"], "what the image shows comes first"
        assert len(found) == 3
        kept.update(list(found)[2:])
    assert set(kept) == {"moon", "circle", "hot dog"}
    assert min(kept.values()) > 8


def test_a_box_whose_name_is_left_out_is_not_matched(tmp_path):
    boxes = [(0, 0, 9, 9), (10, 0, 20, 9), (20, 0, 30, 9)]
    record = make(
        1,
        boxes,
        phrases=("star", "dog", "moon"),
        phrase_boxes=((0,), (1,), (2,)),
        absent=("circle",),
    )
    batch = single(tmp_path, record, max_names=2)
    assert space(batch, [record]) == {"star": (True, [0]), "dog": (True, [1])}
    assert batch.box_valid_BN.tolist() == [[True, True, False]]


def test_a_box_without_a_name_is_not_matched(tmp_path):
    record = make(1, [(0, 0, 9, 9), (10, 0, 20, 9)], phrases=("dog",), phrase_boxes=((1,),))
    assert single(tmp_path, record).box_valid_BN.tolist() == [[False, True]]
