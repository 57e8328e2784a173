"""Small real parts for tests: vocabulary, detector, batch, predictions, shards, recipe."""

from __future__ import annotations

import dataclasses
import functools
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from omnidet.data import shard_writer, shards, vocabulary
from omnidet.data.vocabulary import Vocabulary, VocabularyConfig
from omnidet.model import bundle
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.confidence import Confidence, Line
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.schema import Batch, Matches, PhraseTable, Predictions, Record
from omnidet.training.config import WeightedLoss
from omnidet.training.objective import resolve

IMAGE_SIZE = 64
STREAMS = ("det", "grd", "img")
COLOURS = ("red", "blue", "green", "yellow")
SHAPES = ("star", "circle", "square", "ring")
NAMES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
PHRASES: tuple[tuple[str, bool], ...] = (
    ("red star", True),
    ("blue circle", True),
    ("green square", True),
    ("star left of circle", True),
    ("yellow ring", True),
    ("a red star and a blue circle", False),
    ("a green ring", False),
)
"""The phrases of `batch`; the last two are captions."""
LOSSES = resolve(
    (
        WeightedLoss("names", 2.0),
        WeightedLoss("boxes_l1", 5.0),
        WeightedLoss("boxes_giou", 2.0),
        WeightedLoss("token_alignment", 0.2),
        WeightedLoss("caption", 0.2),
    )
)


def png(
    width: int, height: int, boxes: list[tuple[int, int, int, int]], colour: str = "red"
) -> bytes:
    """A grey picture with filled boxes."""
    picture = Image.new("RGB", (width, height), "grey")
    for box in boxes:
        ImageDraw.Draw(picture).rectangle(box, fill=colour)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def records(count: int = 8) -> list[Record]:
    """Drawn records with captions: even ones have a verified label space, odd ones a relation."""
    made = []
    for i in range(count):
        first, second = (4 + i, 6, 24 + i, 26), (30, 30 + i, 50, 50 + i)
        colour = COLOURS[i % 4]
        common = {
            "image": png(64, 64, [first, second], colour),
            "width": 64,
            "height": 64,
            "source": "toy",
            "image_id": f"toy:{i}",
            "boxes_xyxy": np.array([first, second], np.float32),
            "caption": f"a {colour} star and a {colour} circle",
        }
        if i % 2 == 0:
            named = {
                "phrases": (f"{colour} star", f"{colour} circle"),
                "phrase_boxes": ((0,), (1,)),
            }
            made.append(
                Record(
                    **common,
                    **named,
                    absent=tuple(n for n in NAMES if not n.startswith(colour))[:6],
                )
            )
        else:
            made.append(Record(**common, phrases=("star left of circle",), phrase_boxes=((0,),)))
    return made


@functools.cache
def toy_vocabulary() -> Vocabulary:
    """A vocabulary in which every word of NAMES is one token."""
    texts = [
        Record(b"", 1, 1, "toy", "toy:0", phrases=NAMES, caption="a red star and a blue circle")
    ]
    texts += [
        Record(
            b"",
            1,
            1,
            "toy",
            "toy:0",
            phrases=("star left of circle", "the big thing", "a small ring"),
        )
    ]
    return vocabulary.build(texts, VocabularyConfig(size=400, min_frequency=1))


MODEL = ModelConfig(
    image_size=IMAGE_SIZE,
    backbone=ConvStemVit(width=32, depth=2, num_heads=2, drop_path=0.2),
    embedding_width=16,
)


def toy_detector(seed: int = 0, model: ModelConfig = MODEL) -> Detector:
    """Random weights of a seed; the box head is random too, where a new detector has its prior."""
    torch.manual_seed(seed)
    detector = Detector(model, toy_vocabulary().num_tokens)
    torch.nn.init.normal_(detector.head.box[-1].weight, std=0.1)
    torch.nn.init.normal_(detector.tokens.biases, mean=-1.0)
    return detector.eval()


def batch() -> Batch:
    """Five images: two det (the second not exhaustive, as in LVIS), one grd, two img."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.zeros(5, 2, 4)
    boxes[0] = torch.tensor([[0.3, 0.3, 0.2, 0.3], [0.7, 0.6, 0.4, 0.2]])
    boxes[1, 0] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    boxes[2] = torch.tensor([[0.2, 0.6, 0.2, 0.2], [0.6, 0.6, 0.3, 0.3]])
    named = torch.zeros(5, 2, 3, dtype=torch.bool)
    named[0, 0, 0] = named[0, 1, 1] = named[1, 0, 0] = named[2, 0, 0] = named[2, 1, 0] = named[
        2, 1, 1
    ] = True
    return Batch(
        images_BCHW=torch.randint(
            0, 256, (5, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=torch.uint8, generator=generator
        ),
        sizes_B2=torch.ones(5, 2),
        stream_BS=torch.eye(3)[[0, 0, 1, 2, 2]],
        phrases=toy_vocabulary().table(PHRASES),
        name_BL=torch.tensor([[0, 1, 2], [0, 1, -1], [3, 4, -1], [0, 1, -1], [2, -1, -1]]),
        negative_BL=torch.tensor(
            [[1, 1, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.bool
        ),
        boxes_cxcywh_BN4=boxes,
        box_valid_BN=torch.tensor([[1, 1], [1, 0], [1, 1], [0, 0], [0, 0]], dtype=torch.bool),
        named_BNL=named,
        describes_B=torch.tensor([False, False, True, False, False]),
        caption_B=torch.tensor([-1, -1, -1, 5, 6]),
        **caption_tokens(),
    )


def caption_tokens() -> dict[str, Tensor]:
    """The tokens of the captions of `batch`, in the order of their ids, padded."""
    table = toy_vocabulary().table([PHRASES[5], PHRASES[6]])
    first, second = (part.tolist() for part in (table.token_ids_K, table.weights_K))
    end = int(table.offsets_P[1])
    width = max(end, len(first) - end)
    tokens, weights = torch.zeros(5, width, dtype=torch.int64), torch.zeros(5, width)
    for image, own in ((3, slice(0, end)), (4, slice(end, None))):
        tokens[image, : len(first[own])] = torch.tensor(first[own])
        weights[image, : len(first[own])] = torch.tensor(second[own])
    return {"caption_token_BT": tokens, "caption_weight_BT": weights}


MATCHES = ((0, 0, 1, 2, 2), (1, 4, 0, 3, 5), (0, 1, 0, 0, 1))
"""Image, region and box of a matching of `batch`, chosen by hand."""


def matches() -> Matches:
    """`MATCHES` as tensors."""
    return Matches(*(torch.tensor(part) for part in MATCHES))


def no_matches() -> Matches:
    """A matching of images without boxes."""
    return Matches(*(torch.zeros(0, dtype=torch.int64) for _ in range(3)))


def select(full: Batch, images: list[int]) -> Batch:
    """Some images of a batch; the phrases stay."""
    chosen = {
        f.name: getattr(full, f.name)[images]
        for f in dataclasses.fields(full)
        if f.name not in ("phrases", "more")
    }
    return dataclasses.replace(full, **chosen)


def dense(table: PhraseTable, num_tokens: int) -> Tensor:
    """The phrases' weights (P, T), written out one by one."""
    weights = torch.zeros(len(table), num_tokens)
    ends = [*table.offsets_P.tolist()[1:], len(table.weights_K)]
    for p, (start, end) in enumerate(zip(table.offsets_P.tolist(), ends, strict=True)):
        for k in range(start, end):
            weights[p, table.token_ids_K[k]] += table.weights_K[k]
    return weights


@dataclasses.dataclass(frozen=True, eq=False)
class Leaves:
    """What predictions are computed from, as leaves that receive gradients."""

    z_BQD: Tensor
    boxes_BQ4: Tensor
    image_BD: Tensor
    E_TD: Tensor
    b_T: Tensor


def leaves(num_images: int = 5, num_regions: int = 6, width: int = 8, seed: int = 0) -> Leaves:
    """Random leaves."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    num_tokens = toy_vocabulary().num_tokens
    boxes = draw(num_images, num_regions, 4).sigmoid() * 0.5 + 0.2
    parts = (
        draw(num_images, num_regions, width),
        boxes,
        draw(num_images, width),
        draw(num_tokens, width),
        draw(num_tokens),
    )
    return Leaves(*(part.requires_grad_() for part in parts))


def predictions(given: Batch, of: Leaves) -> Predictions:
    """What a model with these leaves predicts, by the definition of the score."""
    weights_PT = dense(given.phrases, len(of.b_T))
    rows_PD, biases_P = weights_PT @ of.E_TD, weights_PT @ of.b_T
    own_BL = given.name_BL.clamp(min=0)
    scores_BQL = torch.einsum("bqd,bld->bql", of.z_BQD, rows_PD[own_BL]) + biases_P[own_BL][:, None]

    def log_partition(z_MD: Tensor, temperatures_M: Tensor | None = None) -> Tensor:
        logits_MT = z_MD @ of.E_TD.T + of.b_T
        return (
            logits_MT if temperatures_M is None else logits_MT * temperatures_M[:, None]
        ).logsumexp(1)

    return Predictions(
        of.z_BQD,
        of.boxes_BQ4,
        of.image_BD,
        scores_BQL,
        rows_PD,
        biases_P,
        log_partition,
        caption_rows_BTD=of.E_TD[given.caption_token_BT],
        caption_biases_BT=of.b_T[given.caption_token_BT],
    )


def write_shards(folder: Path) -> shards.Index:
    """A shard folder with the sets `train/coco`, `train/refcocog` and `train/laion`."""
    everything = records()
    sets = {}
    for name, chosen in (
        ("train/coco", everything[::2]),
        ("train/refcocog", everything[1::2]),
        ("train/laion", everything),
    ):
        sets[name] = shard_writer.write_set(chosen, folder, name, 4)
    shards.write_index(folder, sets, {}, {"held_out": {}, "quarantined": {}})
    return shards.read_index(str(folder))


def write_vocabulary(folder: Path) -> Vocabulary:
    """The toy vocabulary as a folder."""
    folder.mkdir()
    toy_vocabulary().save(folder)
    return toy_vocabulary()


CONFIDENCE = Confidence(Line(1.5, 0.25, -0.5, 1.0), Line(1.2, 1.0), 0.1, 10, 40)
"""As if a toy had been fitted; some of its scores reach the threshold."""


def write_bundle(folder: Path, seed: int = 0, confidence: Confidence | None = None) -> Detector:
    """A trained detector as a folder, with random weights."""
    folder.mkdir()
    detector = toy_detector(seed)
    bundle.save(
        folder,
        detector,
        toy_vocabulary(),
        list(NAMES),
        {"recipe": {"toy": 1}, "run": "toy", "git_commit": "none"},
        confidence,
    )
    return detector
