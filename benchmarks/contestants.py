"""What is measured: this detector, its bare backbone, and two detectors from `transformers`.

All have random weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    OwlViTConfig,
    OwlViTForObjectDetection,
    SwinConfig,
)

from omnidet.losses.boxes_giou import boxes_giou
from omnidet.losses.boxes_l1 import boxes_l1
from omnidet.losses.names import names
from omnidet.matching.config import CostConfig
from omnidet.matching.cost import match
from omnidet.matching.hungarian import hungarian
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import BackboneConfig, ModelConfig
from omnidet.model.detector import Detector
from omnidet.recipes.recipe import LOSSES
from omnidet.schema import Batch, PhraseTable, Predictions
from omnidet.training import optimizer
from omnidet.training.average import Average
from omnidet.training.config import OptimizerConfig
from omnidet.training.loop import autocast
from omnidet.training.objective import Loss, objective, resolve

STREAMS = ("det", "grd", "img")
MAX_GRADIENT_NORM = 1.0
DOT, SEPARATOR, CLASSIFIER = 1012, 102, 101
"""Ids of ".", "[SEP]" and "[CLS]" in BERT's vocabulary; they divide Grounding DINO's prompt."""


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    image_size: int = 640
    images: tuple[int, int, int] = (1, 1, 1)
    """Number of images of each stream."""
    names: int = 300
    """Label space of an image."""
    boxes: int = 20
    words: int = 30_000
    """Tokens of the tokenizer; the vocabulary holds each twice (with its context twin)."""
    window: int = 0
    """Side of the backbone's windows in patches; 0 for attention over the whole image in every
    block."""
    tiny: bool = False

    @property
    def backbone(self) -> BackboneConfig:
        """ViT-B/16 with random weights; a small transformer if the size is tiny."""
        if self.tiny:
            return ConvStemVit(32, 2, 2)
        return TimmVit(weights="random", window=self.window)


TINY = Size(image_size=64, names=12, boxes=3, words=300, tiny=True)


def batch(size: Size) -> Batch:
    """Noise in the shape of a batch of three streams; a name has two or three tokens."""
    draw = torch.Generator().manual_seed(0)
    det, grd, img = size.images
    num_images, named_images = det + grd + img, det + grd
    captions = 12  # tokens in each
    lengths = torch.cat(
        [torch.randint(2, 4, (size.names,), generator=draw), torch.full((img,), captions)]
    )
    ids = torch.randint(1, size.words, (int(lengths.sum()),), generator=draw)
    phrases = PhraseTable(
        ids, torch.repeat_interleave(1 / lengths, lengths), lengths.cumsum(0) - lengths
    )
    name_BL = torch.arange(size.names).expand(num_images, -1).clone()
    name_BL[named_images:] = -1
    corners = torch.rand((num_images, size.boxes, 4), generator=draw)
    valid_BN = torch.zeros(num_images, size.boxes, dtype=torch.bool)
    valid_BN[:named_images] = True
    named_BNL = nn.functional.one_hot(
        torch.randint(0, size.names, (num_images, size.boxes), generator=draw), size.names
    ).bool()
    stream = torch.tensor([0] * det + [1] * grd + [2] * img)
    caption_B = torch.full((num_images,), -1)
    caption_B[named_images:] = torch.arange(img) + size.names
    return Batch(
        images_BCHW=torch.randint(
            0,
            256,
            (num_images, 3, size.image_size, size.image_size),
            dtype=torch.uint8,
            generator=draw,
        ),
        sizes_B2=torch.ones(num_images, 2),
        stream_BS=torch.eye(3)[stream],
        phrases=phrases,
        name_BL=name_BL,
        negative_BL=name_BL >= 0,
        boxes_cxcywh_BN4=torch.cat(
            [0.2 + 0.6 * corners[..., :2], 0.05 + 0.2 * corners[..., 2:]], -1
        ),
        box_valid_BN=valid_BN,
        named_BNL=named_BNL & valid_BN[..., None],
        describes_B=stream == 1,
        caption_B=caption_B,
        caption_token_BT=torch.zeros(num_images, 0, dtype=torch.int64),
        caption_weight_BT=torch.zeros(num_images, 0),
    )


def bare_backbone(size: Size, on: torch.device) -> Callable[[], None]:
    """Forward and backward of the backbone on the batch's pixels, and nothing else."""
    backbone = size.backbone.build(size.image_size).to(on).train()
    images = batch(size).images_BCHW.to(on)

    def run() -> None:
        with autocast(on, "auto"):
            tokens = backbone(images)
        tokens.float().sum().backward()
        backbone.zero_grad()

    return run


def detector(size: Size, on: torch.device) -> Detector:
    """This detector."""
    return Detector(
        ModelConfig(size.image_size, size.backbone, 32 if size.tiny else 256), 2 * size.words
    ).to(on)


def training_step(size: Size, on: torch.device, compiled: bool = False) -> Callable[[], None]:
    """A complete step: forward, matching, losses, backward, clipping, AdamW, moving average."""
    model, data = detector(size, on).train(), batch(size).to(on)
    if compiled:
        model.backbone.compile()
        model.head.compile()
    adamw = optimizer.build(model, OptimizerConfig())
    losses = resolve(LOSSES)
    average = Average(model, decay=0.9998)
    # The first step makes AdamW's state, which must exist before anything is measured.
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    adamw.step()
    adamw.zero_grad()

    def run() -> None:
        with autocast(on, "auto"):
            predictions = model(data)
        matches = match(predictions, data, CostConfig(), hungarian)
        loss, _ = objective(losses, STREAMS, 1, predictions, data, matches)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        adamw.step()
        optimizer.clear_gradients(adamw, model)
        average.update(model)

    return run


def matching_and_losses(size: Size, on: torch.device) -> Callable[[], None]:
    """Matching and losses, and their own backward, on given predictions."""
    model, data = detector(size, on), batch(size).to(on)
    with torch.no_grad(), autocast(on, "auto"):
        made = model(data)
    tensors = {
        f.name: getattr(made, f.name)
        for f in dataclasses.fields(made)
        if isinstance(getattr(made, f.name), Tensor)
    }
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
    table, losses = model.tokens, resolve(LOSSES)

    def run() -> None:
        predictions = dataclasses.replace(
            made, **leaves, log_partition=table.in_training(data.phrases)[2]
        )
        matches = match(predictions, data, CostConfig(), hungarian)
        loss, _ = objective(losses, STREAMS, 1, predictions, data, matches)
        loss.backward()  # type: ignore[no-untyped-call]
        for leaf in (*leaves.values(), *table.parameters()):
            leaf.grad = None

    return run


def grounding_dino(tiny: bool) -> GroundingDinoForObjectDetection:
    """The architecture of IDEA-Research/grounding-dino-tiny (Swin-T and BERT), 172 M parameters."""
    swin = SwinConfig(
        image_size=224,
        embed_dim=24 if tiny else 96,
        depths=[1, 1, 1, 1] if tiny else [2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        drop_path_rate=0.2,
        out_indices=[2, 3, 4],
    )
    small = {"encoder_layers": 1, "decoder_layers": 2, "num_queries": 20} if tiny else {}
    text = (
        BertConfig(num_hidden_layers=1, hidden_size=48, num_attention_heads=2)
        if tiny
        else BertConfig()
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=text.to_dict(),
        disable_custom_kernels=not torch.cuda.is_available(),
        **small,
    )
    return GroundingDinoForObjectDetection(config)


def prompt_ids(num_names: int, tokens_of_a_name: int, most: int = 256) -> Tensor:
    """A prompt "[CLS] name . name . [SEP]" (1, tokens) with as many names as fit."""
    fitting = min(num_names, (most - 2) // (tokens_of_a_name + 1))
    draw = torch.Generator().manual_seed(0)
    words = torch.randint(2000, 28_000, (fitting, tokens_of_a_name), generator=draw)
    inner = torch.cat([words, torch.full((fitting, 1), DOT)], 1).flatten()
    return torch.cat([torch.tensor([CLASSIFIER]), inner, torch.tensor([SEPARATOR])])[None]


def grounding_dino_step(size: Size, on: torch.device) -> Callable[[], None]:
    """Forward, its own loss (Hungarian), backward, clipping and AdamW on the batch's pixels.

    Its prompt holds at most 256 tokens, so it gets only the 127 names that fit at one token each.
    """
    model, data = grounding_dino(size.tiny).to(on).train(), batch(size).to(on)
    ids = prompt_ids(size.names, 1).to(on).expand(len(data.images_BCHW), -1)
    fitting = int((ids[0] == DOT).sum())
    pixels = (data.images_BCHW.float() / 255 - 0.45) / 0.225
    named_BN = data.named_BNL.float().argmax(2) % fitting
    labels = [
        {
            "class_labels": named_BN[b][data.box_valid_BN[b]],
            "boxes": data.boxes_cxcywh_BN4[b][data.box_valid_BN[b]],
        }
        for b in range(len(pixels))
    ]
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run() -> None:
        with autocast(on, "auto"):
            loss = model(
                pixel_values=pixels,
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                labels=labels,
            ).loss
        _update(model, adamw, loss)

    return run


def owlvit(size: Size) -> OwlViTForObjectDetection:
    """The architecture of google/owlvit-base-patch16 (ViT-B/16 and a text encoder of 12 layers)."""
    vision = {"hidden_size": 768, "image_size": size.image_size, "patch_size": 16}
    text: dict[str, int] = {}
    if size.tiny:
        small = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        }
        vision, text = {**vision, **small}, small
    return OwlViTForObjectDetection(
        OwlViTConfig(
            vision_config=vision, text_config=text, projection_dim=32 if size.tiny else 512
        )
    )


def owlvit_ids(num_names: int) -> Tensor:
    """Names (P, 16) as its tokenizer makes them: begin, one word, end, padding."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.zeros(num_names, 16, dtype=torch.int64)
    ids[:, 0], ids[:, 2] = 49406, 49407
    ids[:, 1] = torch.randint(1000, 40_000, (num_names,), generator=draw)
    return ids


def owlvit_step(size: Size, on: torch.device) -> Callable[[], None]:
    """Forward, our focal, L1 and GIoU losses after matching, backward, clipping and AdamW."""
    model, data = owlvit(size).to(on).train(), batch(size).to(on)
    num_images = len(data.images_BCHW)
    ids = owlvit_ids(size.names).to(on).repeat(num_images, 1)
    mask = (ids > 0).long()
    pixels = (data.images_BCHW.float() / 255 - 0.45) / 0.225
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-4)
    losses = [Loss(loss.__name__, loss, 1.0) for loss in (names, boxes_l1, boxes_giou)]
    empty = torch.zeros(0, device=on)

    def run() -> None:
        with autocast(on, "auto"):
            out = model(input_ids=ids, attention_mask=mask, pixel_values=pixels)
        predictions = Predictions(
            empty, out.pred_boxes.float(), empty, out.logits.float(), empty, empty, empty, empty
        )
        matches = match(predictions, data, CostConfig(), hungarian)
        _update(model, adamw, objective(losses, STREAMS, 1, predictions, data, matches)[0])

    return run


def _update(model: nn.Module, adamw: torch.optim.Optimizer, loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    adamw.step()
    adamw.zero_grad()
