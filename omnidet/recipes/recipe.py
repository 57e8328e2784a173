"""What a whole run is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from omnidet.data.build import ShardsConfig
from omnidet.data.mixing import MixingConfig, Stream
from omnidet.data.tiny_world import TinyWorld
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.inference.benchmarks import EvaluationConfig
from omnidet.model.detector import ModelConfig
from omnidet.registry.gate import GateConfig
from omnidet.training.loop import TrainConfig
from omnidet.training.objective import WeightedLoss


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
