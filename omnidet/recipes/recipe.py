"""What a whole run is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omnidet.config import require
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.mixing.config import TRANSFORMS, MixingConfig, Stream
from omnidet.data.sharding.config import ShardsConfig
from omnidet.data.tiny_world.config import TinyWorld
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.matching.config import MatchingConfig
from omnidet.measures.config import EvaluationConfig
from omnidet.model.config import LARGEST_SIDE, ModelConfig
from omnidet.registry import versions
from omnidet.registry.gate import GateConfig
from omnidet.training.config import TrainConfig, WeightedLoss

LOSSES = (
    WeightedLoss("names", 2.0),
    WeightedLoss("boxes_l1", 5.0),
    WeightedLoss("boxes_giou", 2.0),
    WeightedLoss("token_alignment", 0.2),
    WeightedLoss("caption", 0.2),
)
"""All losses, with the weights that every recipe starts from."""


@dataclass(frozen=True)
class RegisterConfig:
    """How the detector is registered."""

    name: str
    """Name of the registered model."""

    def __post_init__(self) -> None:
        versions.check_name(self.name)  # now, not after hours of training


@dataclass(frozen=True)
class RetrainConfig:
    """How a trained detector learns new categories: `retrain.py` makes the recipe of that run."""

    steps: int = 700
    replay_share: float = 0.5
    """Share of each step's images that come from the data the detector was trained on."""
    new_images: int = 0
    """New images in each step, and as many old ones as make up the replay's share. 0: a step has as
    many images as in the first training."""
    new_weight: float = 3.0
    """Weight of the losses on the new images; each old stream has weight 1."""
    balanced: bool = False
    """Whether the weight of each stream, this one included, is multiplied by the square root of its
    boxes in a step, over that of the stream with most. Without it, a stream of few boxes is mostly
    noise."""
    image_size: int = 0
    """Side in pixels that larger new images are scaled to, a multiple of the backbone's stride. Old
    images keep theirs. 0: the same as for old images."""
    transforms: tuple[Any, ...] = field(default=("flip", "crop"), metadata={"plugins": TRANSFORMS})
    """Applied to the new images in this order, as in a stream."""
    learning_rate: float = 7e-4
    new_token_rate: float = 30.0
    """Factor on the learning rate for the tokens of new words
    (`docs/decisions/0008-new-categories.md`)."""
    warmup_steps: int = 30
    frozen_layers: int = 0
    """Layers at the bottom of a network that do not learn, as `model.backbone.frozen_layers`. 0: as
    in the first training."""
    max_drop: float = 0.02
    """How far a headline number of a benchmark that is kept may fall below the champion's."""
    max_total_drop: float = 0.04
    """How far it may fall, over all retrainings together, below that of the first version in the
    champion's line that was measured on it."""
    keep: tuple[str, ...] = ()
    """Benchmarks that must not drop: `coco`, or `coco=0.05` for a drop of its own.

    Those of the data that the detector was taught are kept anyway; those of a drawn world only if
    they are named here. `all` keeps every one, `none` those alone that are named.
    """
    min_gain: float = 0.0
    """How far AP on the new data must rise above what the champion reaches there before it has seen
    any of it. 0: by anything at all; below 0: it may fall by as much."""
    min_ap50: float = 0.1
    """Lowest AP50 on the new data that may be registered: above what random boxes reach."""
    min_boxes: int = 5
    """Lowest number of boxes that the new data must be measured by."""
    reading: ReadConfig = field(default_factory=ReadConfig)
    """How the annotated folder is read."""

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"retrain.steps={self.steps}: give 1 or more")
        require(
            0 <= self.replay_share < 1,
            f"retrain.replay_share={self.replay_share}: give a share from 0 to below 1",
        )
        require(self.new_images >= 0, f"retrain.new_images={self.new_images}: give 0 or more")
        require(self.new_weight > 0, f"retrain.new_weight={self.new_weight}: give a number above 0")
        fits = 0 <= self.image_size <= LARGEST_SIDE
        require(
            fits,
            f"retrain.image_size={self.image_size}: give up to {LARGEST_SIDE}, "
            "or 0 for the detector's own",
        )
        require(
            self.learning_rate > 0,
            f"retrain.learning_rate={self.learning_rate}: give a number above 0",
        )
        require(
            self.new_token_rate > 0,
            f"retrain.new_token_rate={self.new_token_rate}: give a number above 0",
        )
        require(self.warmup_steps >= 0, f"retrain.warmup_steps={self.warmup_steps}: give 0 or more")
        require(
            self.frozen_layers >= 0, f"retrain.frozen_layers={self.frozen_layers}: give 0 or more"
        )
        require(
            self.max_total_drop >= 0,
            f"retrain.max_total_drop={self.max_total_drop}: give 0 or more, such as 0.04",
        )
        for entry in self.keep:
            name, equals, drop = entry.partition("=")
            require(
                bool(name) and (not equals or _is_share(drop)),
                f"retrain.keep={entry!r} is not of the form NAME or NAME=DROP, with a drop from 0 "
                "to 1: give one like coco=0.05",
            )
        require(
            0 <= self.min_ap50 <= 1, f"retrain.min_ap50={self.min_ap50}: give a share from 0 to 1"
        )
        require(self.min_boxes >= 1, f"retrain.min_boxes={self.min_boxes}: give 1 or more")


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


@dataclass(frozen=True)
class Recipe:
    """Every part and every number of a run, in the order of the steps."""

    world: TinyWorld | None
    """The synthetic data to draw; None if the data is real."""
    shards: ShardsConfig
    vocabulary: VocabularyConfig
    model: ModelConfig
    streams: tuple[Stream, ...]
    mixing: MixingConfig
    losses: tuple[WeightedLoss, ...]
    train: TrainConfig
    evaluation: EvaluationConfig
    register: RegisterConfig
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    retrain: RetrainConfig = field(default_factory=RetrainConfig)

    def __post_init__(self) -> None:
        multiple = self.model.backbone.size_multiple
        require(
            not self.streams or any(stream.images_per_step for stream in self.streams),
            f"streams.{self.streams[0].name if self.streams else ''}.images_per_step=0, as in all "
            "streams: give one of them 1 or more",
        )
        wants_names = any(loss.name == "caption_regions" for loss in self.losses)
        for stream in self.streams:
            require(
                not (
                    wants_names and stream.captions and not stream.boxes and not stream.asked_names
                ),
                f"losses: caption_regions learns nothing from stream {stream.name!r}, where no "
                f"name is asked: set streams.{stream.name}.asked_names=40, or leave the loss out",
            )
        for stream in self.streams:
            size = stream.image_size or multiple
            require(
                size % multiple == 0,
                f"stream {stream.name!r}: image_size={size}: give a multiple of {multiple}",
            )
        size = self.retrain.image_size
        require(
            size % multiple == 0,
            f"retrain.image_size={size}: give a multiple of {multiple}, "
            "or 0 for the detector's own",
        )
