"""What a recipe says about training. No torch here: recipes are read without it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from omnidet.config import require

LOSSES = "omnidet.losses"
"""The package of the losses that a recipe names."""

PRECISIONS = ("auto", "bfloat16", "float32")
PARALLEL = ("ddp", "fsdp2")
MAX_SEED = 10**12
"""Each step makes a 64-bit seed of its own from this one."""


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, linear warm-up, cosine decay to 0."""

    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    beta2: float = 0.999
    warmup_steps: int = 1000
    """Half of the training's steps at most."""
    layer_decay: float = 1.0
    """Factor on the learning rate from one backbone block to the one below; 1 for training from
    scratch."""
    new_token_rate: float = 1.0
    """Factor on the learning rate of tokens that retraining added: the other rows are trained."""
    max_gradient_norm: float = 1.0
    fused: bool = True
    """Whether one kernel updates all parameters in one pass over memory.

    PyTorch has none for tensors that are sharded on CPUs.
    """

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_gradient_norm", "layer_decay", "new_token_rate"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"train.optimizer.{name}={value}: give a number above 0")
        for name in ("weight_decay", "warmup_steps"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"train.optimizer.{name}={value}: give 0 or more")
        require(
            0 <= self.beta2 < 1,
            f"train.optimizer.beta2={self.beta2}: give a share below 1, such as 0.999",
        )


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, with which numbers, and what to write when."""

    steps: int
    seed: int = 0
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    average_decay: float = 0.9998
    """Decay of the moving average of the weights, which is what is evaluated.

    It is smaller in the first steps, so that short runs average as well.
    """
    precision: str = "auto"
    """`bfloat16`, `float32`, or `auto`: bfloat16 on a GPU that supports it, else float32."""
    parallel: str = "ddp"
    """How several ranks share the work: `ddp`, or `fsdp2` for backbones that do not fit on one GPU
    together with their optimizer."""
    compile: bool = False
    """Whether to compile backbone and head.

    It takes minutes at the start, and numbers differ in their last bits.
    """
    log_every: int = 10
    pictures_every: int = 500
    """Number of steps after which TensorBoard gets a few images with detections; 0 for never."""
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay; older ones are removed."""
    keep_checkpoint_every: int = 0
    """Number of steps after which a checkpoint stays for good; 0 for never."""
    score_every: int = 0
    """Number of steps after which the averaged weights are measured on evaluation pictures. The
    best weights become the detector. 0: nothing is measured, and the last ones do."""
    score_images: int = 200
    """How many evaluation pictures of a benchmark are measured each time, at most."""

    def __post_init__(self) -> None:
        at_least_1 = ("steps", "log_every", "checkpoint_every", "keep_checkpoints", "score_images")
        for name in at_least_1:
            require(getattr(self, name) >= 1, f"train.{name}={getattr(self, name)}: give 1 or more")
        for name in ("seed", "keep_checkpoint_every", "pictures_every", "score_every"):
            require(getattr(self, name) >= 0, f"train.{name}={getattr(self, name)}: give 0 or more")
        require(self.seed <= MAX_SEED, f"train.seed={self.seed}: give {MAX_SEED} or less")
        require(
            self.precision in PRECISIONS,
            f"train.precision={self.precision!r}: expected {', '.join(PRECISIONS)}",
        )
        require(
            0 <= self.average_decay < 1,
            f"train.average_decay={self.average_decay}: give a share below 1, such as 0.999",
        )
        require(
            self.parallel in PARALLEL,
            f"train.parallel={self.parallel!r}: expected {' or '.join(PARALLEL)}",
        )


@dataclass(frozen=True)
class WeightedLoss:
    """The name of a loss, which is a file in `losses/`, and its weight."""

    name: str = field(metadata={"plugins": LOSSES})
    weight: float

    def __post_init__(self) -> None:
        require(
            0 <= self.weight < math.inf, f"losses.{self.name}.weight={self.weight}: give 0 or more"
        )
