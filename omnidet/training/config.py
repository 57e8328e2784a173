"""What a recipe says about training. No torch here: recipes are read where none is installed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from omnidet.config import require

LOSSES = "omnidet.losses"
"""Where the losses lie that a recipe names."""

PRECISIONS = ("auto", "bfloat16", "float32")
PARALLEL = ("ddp", "fsdp2")
MAX_SEED = 10**12
"""Each step draws from a 64-bit seed of its own, made of this one."""


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, linear warm-up, cosine decay to 0."""

    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    beta2: float = 0.999
    warmup_steps: int = 1000
    layer_decay: float = 1.0
    """Factor on the learning rate from one backbone block to the one below; 1 for a backbone trained from scratch."""
    new_token_rate: float = 1.0
    """Factor on the learning rate of tokens that a retraining added: the rows around them have settled."""
    max_gradient_norm: float = 1.0
    fused: bool = True
    """One kernel that goes once through the memory of all parameters; tensors that are shared out on a CPU have none."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_gradient_norm", "layer_decay", "new_token_rate"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"train.optimizer.{name}={value}: give a number above 0")
        for name in ("weight_decay", "warmup_steps"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"train.optimizer.{name}={value}: give 0 or more")
        require(
            0 <= self.beta2 < 1,
            f"train.optimizer.beta2={self.beta2}: give a share below 1, as 0.999",
        )


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast, how safe."""

    steps: int
    seed: int = 0
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    average_decay: float = 0.9998
    """Of the moving average of the weights, which is what is evaluated; reached slowly, so that short runs average too."""
    precision: str = "auto"
    """`auto`: bfloat16 on a GPU that has it, else float32. `bfloat16` and `float32` force one."""
    parallel: str = "ddp"
    """How several ranks share the work: `ddp`, or `fsdp2` for backbones that do not fit on one GPU with their optimizer."""
    compile: bool = False
    """Whether backbone and head are compiled: minutes at the start, and numbers that differ in their last bits."""
    log_every: int = 10
    pictures_every: int = 500
    """After how many steps TensorBoard gets a few images with what is found in them; 0 for never."""
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    """The newest ones; older ones are removed."""
    keep_checkpoint_every: int = 0
    """Checkpoints of every so many steps stay for good; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "checkpoint_every", "keep_checkpoints"):
            require(getattr(self, name) >= 1, f"train.{name}={getattr(self, name)}: give 1 or more")
        for name in ("seed", "keep_checkpoint_every", "pictures_every"):
            require(getattr(self, name) >= 0, f"train.{name}={getattr(self, name)}: give 0 or more")
        require(self.seed <= MAX_SEED, f"train.seed={self.seed}: give {MAX_SEED} or less")
        require(
            self.precision in PRECISIONS,
            f"train.precision={self.precision!r}: expected {', '.join(PRECISIONS)}",
        )
        require(
            0 <= self.average_decay < 1,
            f"train.average_decay={self.average_decay}: give a share below 1, as 0.999",
        )
        modes = PARALLEL
        require(
            self.parallel in modes,
            f"train.parallel={self.parallel!r}: expected {' or '.join(modes)}",
        )


@dataclass(frozen=True)
class WeightedLoss:
    """A loss, which is a file of `losses/`, and its weight."""

    name: str = field(metadata={"plugins": LOSSES})
    weight: float

    def __post_init__(self) -> None:
        require(
            0 <= self.weight < math.inf, f"losses.{self.name}.weight={self.weight}: give 0 or more"
        )
