"""The mix: the same batches whoever makes them, and each stream its share."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import pytest
import torch

from omnidet.data.mixing.config import Stream
from omnidet.data.mixing.mixture import Loader
from omnidet.data.transforms.colour_jitter import ColourJitter
from omnidet.data.transforms.flip import flip
from omnidet.data.transforms.large_scale_jitter import LargeScaleJitter
from omnidet.data.transforms.mosaic import Mosaic
from omnidet.data.transforms.phrase_crop import PhraseCrop
from omnidet.schema import Batch
from tests.data.mixing.mixes import (
    SIDE,
    STREAMS,
    assert_same,
    batches,
    coco,
    differs,
    lvis,
    make,
    mixture,
    shades,
    single,
    space,
    write,
)

pytestmark = [
    # Neither is about this package: forking a process with threads (Python 3.12), and too few
    # cores.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]


def test_same_batches_for_any_number_of_workers(index):
    alone = batches(index)
    assert len(alone) == 5
    for workers in (1, 2):
        for one, other in zip(alone, batches(index, workers), strict=True):
            assert_same(one, other)


def test_a_resumed_run_gets_the_next_batch(index):
    whole = batches(index, steps=6)
    loader = Loader(mixture(index), 6)
    assert loader.state_dict() == {"step": 0}
    for batch, expected in zip(itertools.islice(loader, 2), whole[:2], strict=True):
        assert_same(batch, expected)
    state = loader.state_dict()
    assert state == {"step": 2}
    resumed = Loader(mixture(index), 6)
    resumed.load_state_dict(state)
    for batch, expected in zip(resumed, whole[2:], strict=True):
        assert_same(batch, expected)
    assert resumed.state_dict() == {"step": 6}
    assert list(resumed) == []


def test_resumed_workers_count_what_was_handed_out_not_what_was_prefetched(index):
    whole = batches(index, steps=4)
    loader = Loader(mixture(index, workers=1), 8)
    running = iter(loader)
    assert_same(next(running), whole[0])
    assert_same(next(running), whole[1])
    assert loader.state_dict() == {"step": 2}
    running.close()


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_together_hold_the_images_of_one(index, world_size):
    alone = mixture(index)
    ranks = [mixture(index, rank=rank, world_size=world_size) for rank in range(world_size)]
    for step in range(4):
        whole, parts = alone[step], [rank[step] for rank in ranks]
        images = Counter(
            (i.numpy().tobytes(), *s.tolist())
            for i, s in zip(whole.images_BCHW, whole.stream_BS, strict=True)
        )
        split = Counter(
            (i.numpy().tobytes(), *s.tolist())
            for p in parts
            for i, s in zip(p.images_BCHW, p.stream_BS, strict=True)
        )
        assert split == images
        boxes = Counter(tuple(b.tolist()) for b in whole.boxes_cxcywh_BN4[whole.box_valid_BN])
        assert boxes == Counter(
            tuple(b.tolist()) for p in parts for b in p.boxes_cxcywh_BN4[p.box_valid_BN]
        )
        assert max(len(p.images_BCHW) for p in parts) - min(
            len(p.images_BCHW) for p in parts
        ) <= len(STREAMS)


def spaces(batch: Batch) -> Counter:
    """Each image with its label space, whose names are given by their tokens."""
    ends = [*batch.phrases.offsets_P.tolist()[1:], len(batch.phrases.token_ids_K)]
    words = [
        tuple(batch.phrases.token_ids_K[a:b].tolist())
        for a, b in zip(batch.phrases.offsets_P.tolist(), ends, strict=True)
    ]
    pairs = zip(batch.images_BCHW, batch.name_BL, strict=True)
    return Counter(
        (image.numpy().tobytes(), *sorted(words[n] for n in names.tolist() if n >= 0))
        for image, names in pairs
    )


def test_names_that_are_left_out_are_the_same_on_any_number_of_ranks(index):
    # With three ranks, images with more than three names go to different ranks.
    alone = mixture(index, max_names=3)
    ranks = [mixture(index, rank=rank, world_size=3, max_names=3) for rank in range(3)]
    for step in range(6):
        assert spaces(alone[step]) == sum((spaces(rank[step]) for rank in ranks), Counter())
    more = mixture(index, max_names=4)
    assert any(spaces(alone[step]) != spaces(more[step]) for step in range(6)), "some are left out"


def test_the_order_depends_only_on_seed_and_step(index):
    first = mixture(index)
    expected = [first[step] for step in range(3)]
    again = mixture(index)
    for step in (2, 0, 1):
        assert_same(again[step], expected[step])
    assert differs(expected[0], expected[1])
    assert differs(mixture(index, seed=1)[0], expected[0])


def test_each_stream_has_its_share_and_each_epoch_every_image(index):
    streams = (
        Stream("det", ("train/coco", "train/lvis"), 4),
        Stream("img", ("train/web",), 5, boxes=False, captions=True),
    )
    made = batches(index, steps=12, streams=streams)
    seen = Counter()
    for batch in made:
        assert batch.stream_BS.sum(0).tolist() == [4, 5]
        assert batch.stream_BS.sum(1).tolist() == [1] * 9
        here = shades(batch)
        assert all(shade < 100 for shade in here[:4])
        assert sum(shade < 50 for shade in here[:4]) == 2, "the sets of a stream in equal parts"
        assert all(shade >= 150 for shade in here[4:])
        seen.update(here)
    assert [seen[i] for i in range(12)] == [2] * 12, "24 draws are two epochs of coco"
    assert sum(seen[50 + i] for i in range(7)) == 24
    assert {seen[50 + i] for i in range(7)} == {3, 4}
    assert [seen[150 + i] for i in range(10)] == [6] * 10
    webs = [shade for batch in made for shade in shades(batch)[4:]]
    assert webs[:10] != webs[10:20], "another order in each epoch"


def test_a_set_named_twice_is_seen_twice_as_often(index):
    streams = (Stream("det", ("train/coco", "train/coco", "train/lvis"), 6),)
    seen = Counter(
        shade < 50 for batch in batches(index, steps=4, streams=streams) for shade in shades(batch)
    )
    assert seen == {True: 16, False: 8}


def test_streams_and_sets_are_shuffled_independently(index):
    streams = (Stream("one", ("train/coco",), 12), Stream("two", ("train/coco",), 12))
    here = shades(batches(index, steps=1, streams=streams)[0])
    assert sorted(here[:12]) == sorted(here[12:]) == list(range(12))
    assert here[:12] != here[12:]


def test_transforms_differ_from_draw_to_draw_and_not_from_run_to_run(tmp_path):
    index = write(tmp_path, {"train/coco": [coco(3)]})
    stream = Stream("det", ("train/coco",), 8, transforms=(flip,))
    boxes = batches(index, steps=1, streams=(stream,))[0].boxes_cxcywh_BN4[:, 0, 0]
    assert len(set(boxes.tolist())) == 2
    assert torch.equal(
        boxes, batches(index, steps=1, streams=(stream,))[0].boxes_cxcywh_BN4[:, 0, 0]
    )


def test_batch_without_a_box_or_word(tmp_path):
    batch = single(tmp_path, make(1, ()), make(2, (), absent=("dog",)))
    assert batch.boxes_cxcywh_BN4.shape == (2, 0, 4)
    assert batch.box_valid_BN.shape == (2, 0)
    assert batch.name_BL.tolist() == [[-1], [0]]
    assert batch.negative_BL.tolist() == [[False], [True]]
    batch = single(tmp_path / "none", make(1, ()))
    assert batch.name_BL.shape == (1, 0)
    assert len(batch.phrases) == 0
    assert batch.phrases.entropy().shape == (0,)


def test_every_batch_has_the_types_of_the_schema(index, tmp_path):
    kinds = {
        "images_BCHW": torch.uint8,
        "sizes_B2": torch.float32,
        "stream_BS": torch.float32,
        "name_BL": torch.int64,
        "negative_BL": torch.bool,
        "boxes_cxcywh_BN4": torch.float32,
        "box_valid_BN": torch.bool,
        "named_BNL": torch.bool,
        "describes_B": torch.bool,
        "caption_B": torch.int64,
        "caption_token_BT": torch.int64,
        "caption_weight_BT": torch.float32,
    }
    for batch in (mixture(index)[0], single(tmp_path, make(1, ()))):
        assert {name: getattr(batch, name).dtype for name in kinds} == kinds
        assert {f.name for f in dataclasses.fields(batch)} == {*kinds, "phrases", "more"}


def test_an_empty_or_missing_set_is_refused(tmp_path):
    index = write(tmp_path, {"train/coco": []})
    with pytest.raises(ValueError, match="'train/coco' of stream 'det' is empty"):
        mixture(index, (Stream("det", ("train/coco",), 1),))
    with pytest.raises(ValueError, match="'train/other'"):
        mixture(index, (Stream("det", ("train/other",), 1),))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_corrupt_shard_is_named_in_one_line(tmp_path, workers):
    index = write(tmp_path, {"train/coco": [coco(i) for i in range(3)]})
    path = tmp_path / "train/coco/000000.tar"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"^\S+train/coco/000000\.tar is corrupt .*$"):
        batches(index, workers, steps=1, streams=(Stream("det", ("train/coco",), 1),))


SIZED = (
    Stream(
        "det",
        ("train/coco", "train/lvis"),
        4,
        transforms=(flip, LargeScaleJitter()),
        combine=Mosaic((0.5, 0.5)),
    ),
    Stream(
        "grd", ("train/grounding",), 3, describes=True, transforms=(PhraseCrop(), ColourJitter())
    ),
    Stream("img", ("train/web",), 2, boxes=False, captions=True, image_size=16),
)


def test_each_size_is_a_batch_of_its_own(index):
    plain = mixture(index, tuple(dataclasses.replace(s, image_size=None) for s in STREAMS))[1]
    batch = mixture(index, (*STREAMS[:2], dataclasses.replace(STREAMS[2], image_size=16)))[1]
    large, small = batch.groups()
    assert large.images_BCHW.shape == (7, 3, SIDE, SIDE)
    assert small.images_BCHW.shape == (2, 3, 16, 16)
    assert large.more == small.more == ()
    assert large.stream_BS.sum(0).tolist() == [4, 3, 0]
    assert small.stream_BS.sum(0).tolist() == [0, 0, 2]
    assert torch.equal(
        large.boxes_cxcywh_BN4[large.box_valid_BN],
        plain.boxes_cxcywh_BN4[:7][plain.box_valid_BN[:7]],
    )
    assert shades(small) == shades(plain)[7:]
    assert plain.more == ()
    assert len(plain.groups()) == 1


def test_a_size_without_an_image_for_each_rank_is_refused(index):
    streams = (*STREAMS[:2], dataclasses.replace(STREAMS[2], image_size=16))
    with pytest.raises(ValueError, match=r"16 px.*give 3"):
        mixture(index, streams, rank=2, world_size=3)


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_at_once_is_the_same_for_any_number_of_workers_and_after_a_resume(
    index, workers
):
    streams = (dataclasses.replace(SIZED[0], sampled_negatives=4), *SIZED[1:])
    alone = mixture(index, streams)
    made = batches(index, workers, steps=11, start=3, streams=streams)
    assert len(made) == 8
    for step, batch in enumerate(made, 3):
        assert_same(batch, alone[step])


def test_each_draw_combines_different_images(tmp_path):
    index = write(tmp_path, {"train/coco": [coco(i) for i in range(30)]})
    stream = Stream("det", ("train/coco",), 1, combine=Mosaic((0.0, 1.0)))
    seen = set()
    for step in range(30):
        batch = mixture(index, (stream,))[step]
        tiles = [int(batch.images_BCHW[0, 0, y, x]) for y in (0, 16) for x in (0, 16)]
        assert len(set(tiles)) >= 2, "in a small set an image may come twice"
        seen.update(tiles[1:])
    assert len(seen) > 20


def test_sampled_names_come_after_the_verified_ones(tmp_path):
    records = [
        lvis(1),
        make(2, phrases=("circle",), phrase_boxes=((0,),)),
        make(3, phrases=("hot dog",), phrase_boxes=((0,),)),
    ]
    index = write(tmp_path, {"train/lvis": records})
    stream = Stream("det", ("train/lvis",), 3, sampled_negatives=5)
    batch = mixture(index, (stream,))[0]
    b = shades(batch).index(1)
    assert space(batch, records, b) == {
        "star": (True, [0]),
        "dog": (False, [0]),
        "moon": (True, []),
        "circle": (True, []),
    }, "not the hot dog, which the dog may be"
    fewer = mixture(index, (dataclasses.replace(stream, sampled_negatives=3),))[0]
    assert len(space(fewer, records, b)) == 3
    plain = mixture(index, (dataclasses.replace(stream, sampled_negatives=0),))[0]
    assert set(space(plain, records, b)) == {"star", "dog", "moon"}
