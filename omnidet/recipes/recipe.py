"""What a whole run is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from omnidet.data.build import ShardsConfig
from omnidet.data.mixing import MixingConfig, Stream
from omnidet.data.tiny_world import TinyWorld
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.inference.benchmarks import EvaluationConfig
from omnidet.losses.boxes_giou import boxes_giou
from omnidet.losses.boxes_l1 import boxes_l1
from omnidet.losses.caption import caption
from omnidet.losses.names import names
from omnidet.losses.token_alignment import token_alignment
from omnidet.model.detector import ModelConfig
from omnidet.registry.gate import GateConfig
from omnidet.training.loop import TrainConfig
from omnidet.training.objective import WeightedLoss

LOSSES = (
    WeightedLoss(names, 2.0),
    WeightedLoss(boxes_l1, 5.0),
    WeightedLoss(boxes_giou, 2.0),
    WeightedLoss(token_alignment, 0.2),
    WeightedLoss(caption, 0.2),
)
"""All losses with the weights that every recipe begins from."""


@dataclass(frozen=True)
class RegisterConfig:
    """Where the detector goes."""

    name: str
    """Of the registered model."""


@dataclass(frozen=True)
class Recipe:
    """Every part and every number of a run. The fields are in the order of the steps."""

    world: TinyWorld | None
    """The synthetic data to draw; None where the data is real."""
    shards: ShardsConfig
    vocabulary: VocabularyConfig
    model: ModelConfig
    streams: tuple[Stream, ...]
    mixing: MixingConfig
    losses: tuple[WeightedLoss, ...]
    train: TrainConfig
    evaluation: EvaluationConfig
    register: RegisterConfig
    gate: GateConfig = field(default_factory=GateConfig)
