"""Small shard sets of every kind, a mixture of them, and what a batch of it holds."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import torch
from PIL import Image

from omnidet.data import shard_writer, shards, vocabulary
from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.mixing.mixture import Loader, Mixture
from omnidet.data.transforms.crop import crop
from omnidet.data.transforms.flip import flip
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.schema import Batch, PhraseTable, Record

SIDE = 32
COCO = ("star", "circle", "dog", "moon", "hot dog")
COUNTS = {"train/coco": 12, "train/lvis": 7, "train/grounding": 9, "train/web": 10}
FIRST = {name: 50 * i for i, name in enumerate(COUNTS)}


def png(shade, width=40, height=20):
    """An image of one grey, by which it is recognised in a batch."""
    out = io.BytesIO()
    Image.new("L", (width, height), int(shade)).save(out, "PNG")
    return out.getvalue()


def make(shade=0, boxes=((4, 5, 20, 15),), **more):
    fields = {"width": 40, "height": 20, "source": "toy", "image_id": f"toy:{shade}", **more}
    fields["boxes_xyxy"] = np.array(boxes, np.float32).reshape(-1, 4)
    return Record(image=png(shade, fields["width"], fields["height"]), **fields)


def coco(shade):
    present = COCO[shade % 4]
    return make(
        shade,
        phrases=(present,),
        phrase_boxes=((0,),),
        absent=tuple(n for n in COCO if n != present),
        caption="A thing.",
    )


def lvis(shade):
    return make(
        shade,
        phrases=("star", "dog"),
        phrase_boxes=((0,), (0,)),
        absent=("moon",),
        not_exhaustive=("dog",),
    )


def grounding(shade):
    boxes = [(0, 0, 10, 10), (20, 5, 40, 20)]
    return make(
        shade,
        boxes,
        phrases=("star left of circle", "both"),
        phrase_boxes=((0,), (0, 1)),
        caption="star left of circle",
    )


def web(shade):
    return make(shade, (), caption=f"A red star {shade}." if shade % 3 else "")


SETS = dict(zip(COUNTS, (coco, lvis, grounding, web), strict=True))
WORDS = vocabulary.build(
    [
        make(
            phrases=(*COCO, "red", "both", "star left of circle"),
            phrase_boxes=((),) * 8,
            caption="A red thing.",
        )
    ]
    * 2,
    VocabularyConfig(size=500),
)
STREAMS = (
    Stream("det", ("train/coco", "train/lvis"), 4, transforms=(flip, crop)),
    Stream("grd", ("train/grounding",), 3, describes=True),
    Stream("img", ("train/web",), 2, boxes=False, captions=True),
)


def write(folder, sets) -> shards.Index:
    written = {
        name: shard_writer.write_set(records, folder, name, 3) for name, records in sets.items()
    }
    shards.write_index(folder, written, {}, {})
    return shards.read_index(str(folder))


def mixture(index, streams=STREAMS, rank=0, world_size=1, seed=0, words=WORDS, **config):
    return Mixture(
        index,
        words,
        streams,
        MixingConfig(**({"workers": 0, "window_shards": 2} | config)),
        image_size=SIDE,
        seed=seed,
        rank=rank,
        world_size=world_size,
    )


def batches(index, workers=0, steps=5, start=0, **more):
    loader = Loader(mixture(index, workers=workers, **more), steps)
    loader.load_state_dict({"step": start})
    return list(loader)


def assert_same(one: Batch, other: Batch):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, PhraseTable):
            assert_same(a, b)
        elif isinstance(a, tuple):
            for one_more, other_more in zip(a, b, strict=True):
                assert_same(one_more, other_more)
        else:
            assert a.dtype == b.dtype, field.name
            assert torch.equal(a, b), field.name


def differs(one: Batch, other: Batch):
    return one.images_BCHW.shape != other.images_BCHW.shape or not torch.equal(
        one.images_BCHW, other.images_BCHW
    )


def shades(batch: Batch) -> list[int]:
    """Which image each one in a batch is: the grey of its upper left pixel."""
    return batch.images_BCHW[:, 0, 0, 0].tolist()


def single(tmp_path, *records, stream=None, **config) -> Batch:
    """One batch of exactly these records, in their order."""
    index = write(tmp_path, {f"train/{i}": [record] for i, record in enumerate(records)})
    names = tuple(f"train/{i}" for i in range(len(records)))
    stream = dataclasses.replace(
        stream or Stream("det", (), 0), sets=names, images_per_step=len(records)
    )
    return mixture(index, (stream,), **config)[0]


def space(batch: Batch, records, b=0):
    """{name: (is a negative elsewhere, boxes it names)} of an image, names by their encoding."""
    known = {name for r in records for name in (*r.phrases, *r.absent)}
    rows = {tuple(WORDS.encode(name)[0].tolist()): name for name in known}
    ends = [*batch.phrases.offsets_P.tolist()[1:], len(batch.phrases.token_ids_K)]
    found = {}
    for column, phrase in enumerate(batch.name_BL[b].tolist()):
        if phrase >= 0:
            ids = batch.phrases.token_ids_K[batch.phrases.offsets_P[phrase] : ends[phrase]]
            boxes = batch.named_BNL[b, :, column].nonzero().flatten().tolist()
            found[rows[tuple(ids.tolist())]] = (bool(batch.negative_BL[b, column]), boxes)
    return found
