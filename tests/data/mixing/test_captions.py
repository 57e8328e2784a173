"""Captions in a batch: which tokens are looked for, and what is asked beside them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from omnidet.data.mixing.config import Stream
from omnidet.data.mixing.mixture import HALF_AT
from tests.data.mixing.mixes import (
    COCO,
    WORDS,
    coco,
    grounding,
    make,
    mixture,
    single,
    space,
    web,
    write,
)


def test_captions_have_no_roles(tmp_path):
    stream = Stream("grd", (), 0, captions=True)
    batch = single(tmp_path, grounding(1), stream=stream)
    ends = [*batch.phrases.offsets_P.tolist()[1:], len(batch.phrases.token_ids_K)]

    def ids(phrase):
        return batch.phrases.token_ids_K[batch.phrases.offsets_P[phrase] : ends[phrase]].tolist()

    words = "star left of circle"
    assert ids(batch.name_BL[0, 0]) == WORDS.encode(words)[0].tolist()
    assert ids(batch.caption_B[0]) == WORDS.encode(words, False)[0].tolist()
    assert ids(batch.caption_B[0]) != ids(batch.name_BL[0, 0])


def test_same_caption_is_one_phrase(tmp_path):
    records = [make(i, (), caption="A red thing.") for i in range(3)]
    batch = single(tmp_path, *records, stream=Stream("img", (), 0, boxes=False, captions=True))
    assert batch.caption_B.tolist() == [0, 0, 0]
    assert len(batch.phrases) == 1


def test_the_tokens_of_a_caption_come_heaviest_first_and_only_so_many(tmp_path):
    stream = Stream("img", (), 0, boxes=False, captions=True, asked_names=1)
    records = [make(1, (), caption="a red star"), make(2, ()), make(3, (), caption="star")]
    batch = single(tmp_path, *records, stream=stream)
    ids, weights = WORDS.encode("a red star", False, True)
    expected = dict(zip(ids.tolist(), weights.tolist(), strict=True))
    assert batch.caption_token_BT.shape == (3, len(expected))
    row = batch.caption_weight_BT[0].tolist()
    assert dict(zip(batch.caption_token_BT[0].tolist(), row, strict=True)) == expected
    assert row == sorted(row, reverse=True)
    assert batch.caption_weight_BT[1].sum() == 0
    assert batch.caption_weight_BT[2].tolist()[1:] == [0] * (len(expected) - 1)
    fewer = single(tmp_path / "fewer", *records, stream=stream, max_caption_tokens=1)
    assert torch.equal(fewer.caption_token_BT, batch.caption_token_BT[:, :1])
    assert torch.equal(fewer.caption_weight_BT, batch.caption_weight_BT[:, :1])


def test_names_of_the_boxes_are_asked_where_there_are_only_captions_and_teach_nothing(tmp_path):
    index = write(tmp_path, {"train/coco": [coco(i) for i in range(4)], "train/laion": [web(1)]})
    img = Stream("img", ("train/laion",), 2, boxes=False, captions=True, asked_names=2)
    streams = (Stream("det", ("train/coco",), 2), img)
    seen = set()
    for step in range(12):
        batch = mixture(index, streams)[step]
        is_img = batch.stream_BS[:, 1] > 0
        asked = batch.name_BL[is_img]
        assert ((asked >= 0).sum(1) == 2).all()
        assert not batch.negative_BL[is_img].any()
        assert not batch.named_BNL[is_img].any()
        assert not batch.box_valid_BN[is_img].any()
        records = [coco(i) for i in range(4)]
        for b in is_img.nonzero()[:, 0].tolist():
            seen.update(space(batch, records, b))
    assert seen == set(COCO[:4]), "all names that some box has, two at a time"
    everything = (streams[0], dataclasses.replace(img, asked_names=40))
    batch = mixture(index, everything)[0]
    assert (batch.name_BL[batch.stream_BS[:, 1] > 0] >= 0).sum(1).tolist() == [4, 4]
    unasked = (streams[0], dataclasses.replace(img, asked_names=0))
    plain = mixture(index, unasked)[0]
    assert (plain.name_BL[plain.stream_BS[:, 1] > 0] < 0).all()
    assert (plain.caption_B >= 0).any()
    assert plain.caption_token_BT.shape == plain.caption_weight_BT.shape == (4, 0)


def test_what_boxes_teach_weighs_less_in_captions(tmp_path):
    boxed = [coco(i) for i in range(24)]  # six images of each name
    web_text = make(1, (), caption="star and banana")
    index = write(tmp_path, {"train/coco": boxed, "train/laion": [web_text]})
    img = Stream("img", ("train/laion",), 1, boxes=False, captions=True, asked_names=2)
    streams = (Stream("det", ("train/coco",), 1), img)
    batch = mixture(index, streams)[0]
    b = int((batch.stream_BS[:, 1] > 0).nonzero()[0])
    ids, weights = WORDS.encode("star and banana", False, True)
    star = set(WORDS.encode("star", False, True)[0].tolist())
    names = [name for name in COCO[:4] if star & set(WORDS.encode(name)[0].tolist())]
    share = HALF_AT / (HALF_AT + 6 * len(names))
    expected = {i: w * (share if i in star else 1) for i, w in zip(ids, weights, strict=True)}
    found = dict(
        zip(batch.caption_token_BT[b].tolist(), batch.caption_weight_BT[b].tolist(), strict=True)
    )
    assert found == pytest.approx(expected)
