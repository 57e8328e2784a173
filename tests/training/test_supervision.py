"""Predictions and truth -> the loss: matching and objective together, early predictions too."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from omnidet.data.mixing.config import Stream
from omnidet.matching.config import MatchingConfig
from omnidet.matching.cost import match
from omnidet.matching.hungarian import hungarian
from omnidet.model.backbones.conv_stem_vit import ConvStemVit
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.training.objective import objective
from omnidet.training.supervision import Supervision
from tests import toys

STREAMS = tuple(Stream(name, (f"train/{name}",), 1) for name in toys.STREAMS)


def _supervision(early_regions: int = 0) -> Supervision:
    return Supervision(toys.LOSSES, STREAMS, 1, MatchingConfig(early_regions=early_regions))


def _detector() -> Detector:
    backbone = TimmFeatures("resnet10t", "random", width=36, num_heads=3, depth=1)
    return toys.toy_detector(model=ModelConfig(64, backbone, embedding_width=16))


def test_without_early_regions_it_is_matching_and_objective():
    batch = toys.batch()
    predictions = toys.toy_detector()(batch)
    matches = match(predictions, batch, MatchingConfig().cost, hungarian)
    expected, parts = objective(toys.LOSSES, toys.STREAMS, 1, predictions, batch, matches)
    loss, own = _supervision()(predictions, batch)
    torch.testing.assert_close(loss, expected)
    assert own.read() == parts.read()


def test_early_predictions_add_their_losses_under_names_of_their_own():
    batch, detector, supervision = toys.batch(), _detector(), _supervision(2)
    supervision.prepare(detector)
    predictions = detector(batch)
    loss, parts = supervision(predictions, batch)
    alone, alone_parts = _supervision()(predictions, batch)
    assert loss > alone
    added = {name: value for name, value in parts.read().items() if "/early_" in name}
    assert {name.partition("/early_")[2] for name in added} == {"names", "boxes_l1", "boxes_giou"}
    assert {n: v for n, v in parts.read().items() if n not in added} == alone_parts.read()


def test_the_network_learns_from_early_predictions_and_the_blocks_do_not():
    batch, detector, supervision = toys.batch(), _detector(), _supervision(2)
    supervision.prepare(detector)
    predictions = detector(batch)
    early = supervision(predictions, batch)[0] - _supervision()(predictions, batch)[0]
    early.backward()
    largest = {
        part: max(float(p.grad.abs().max()) for p in module.parameters() if p.requires_grad)
        for part, module in detector.backbone.named_children()
        if part in ("network", "blocks")
    }
    assert largest["network"] > 1e-3
    assert largest["blocks"] < 1e-6


def test_a_backbone_without_early_tokens_is_refused():
    one_block = dataclasses.replace(toys.MODEL, backbone=ConvStemVit(32, 1, 2))
    with pytest.raises(ValueError, match=r"early_regions=2.*set it to 0"):
        _supervision(2).prepare(toys.toy_detector(model=one_block))
