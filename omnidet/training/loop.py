"""The training loop, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from omnidet import storage
from omnidet.config import require
from omnidet.data.mixing import Loader
from omnidet.matching.cost import CostConfig, Matcher, match
from omnidet.matching.hungarian import hungarian
from omnidet.model.detector import Detector
from omnidet.storage import Location
from omnidet.training import checkpoint, distributed, optimizer
from omnidet.training.metrics import MetricLog
from omnidet.training.objective import WeightedLoss, objective


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast, how safe."""

    steps: int
    seed: int = 0
    optimizer: optimizer.OptimizerConfig = field(default_factory=optimizer.OptimizerConfig)
    cost: CostConfig = field(default_factory=CostConfig)
    average_decay: float = 0.9998
    """Of the moving average of the weights, which is what is evaluated; reached slowly, so that short runs average too."""
    precision: str = "auto"
    """`auto`: bfloat16 on a GPU that has it, else float32. `bfloat16` and `float32` force one."""
    log_every: int = 10
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "log_every", "checkpoint_every"):
            require(getattr(self, name) >= 1, f"train.{name}={getattr(self, name)}: give 1 or more")
        require(self.seed >= 0, f"train.seed={self.seed}: give 0 or more")
        require(0 <= self.average_decay < 1, f"train.average_decay={self.average_decay}: give a share below 1, as 0.999")


def fit(
    detector: Detector,
    loader: Loader,
    losses: Sequence[WeightedLoss],
    config: TrainConfig,
    world: distributed.World,
    folder: Location,
    matcher: Matcher = hungarian,
) -> Detector:
    """Train to `config.steps`, from the newest checkpoint in `folder` if there is one, and return the averaged detector.

    Writes `folder/checkpoints/`, local or on an object store, and the metric log (`log_path`). Raises FloatingPointError,
    before the weights are touched, if a loss or gradient is not finite.
    """
    detector.to(world.device)
    average = AveragedModel(detector, avg_fn=_moving_average(config.average_decay), use_buffers=True)
    state = checkpoint.State(detector, average, optimizer.build(detector, config.optimizer))
    checkpoints = storage.join(folder, "checkpoints")
    newest = checkpoint.latest(checkpoints)
    if newest is not None:
        loader.load_state_dict(checkpoint.load(newest, state, log_path(folder) if world.is_main else None)["loader"])
    log = MetricLog(log_path(folder), loader.step) if world.is_main else None
    model = distributed.parallel(detector, world)
    model.train()
    streams = [stream.name for stream in loader.mixture.streams]
    images_per_step = sum(stream.images_per_step for stream in loader.mixture.streams)
    started, first_step = time.monotonic(), loader.step
    with tqdm(
        total=config.steps, initial=loader.step, desc="train", unit="step", disable=not world.is_main, mininterval=1
    ) as progress:
        for batch in loader:
            step = loader.step - 1
            # Stochastic depth draws from a generator that depends on the step alone: a resumed run draws the same.
            torch.manual_seed(config.seed * 1_000_003 + step)
            rate = optimizer.set_learning_rate(state.optimizer, config.optimizer, step, config.steps)
            batch = batch.to(world.device)
            with autocast(world.device, config.precision):
                predictions = model(batch)
            try:
                matches = match(predictions, batch, config.cost, matcher)
            except FloatingPointError as error:
                raise FloatingPointError(f"step {step}: {error}") from error
            loss, report = objective(losses, streams, world.size, predictions, batch, matches)
            _stop_if_not_finite(step, loss, report)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(detector.parameters(), config.optimizer.max_gradient_norm)
            _stop_if_not_finite(step, norm, {"gradient norm": norm})
            state.optimizer.step()
            state.optimizer.zero_grad()
            average.update_parameters(detector)
            progress.update()
            if log and (loader.step % config.log_every == 0 or loader.step == config.steps):
                speed = images_per_step * (loader.step - first_step) / (time.monotonic() - started)
                numbers = {"loss": loss.detach(), "gradient_norm": norm.detach(), **report}
                row = {name: round(float(value), 6) for name, value in numbers.items()}
                log.write({"step": loader.step, **row, "learning_rate": rate, "images_per_second": round(speed, 1)})
                progress.set_postfix(loss=f"{row['loss']:.2f}", refresh=False)
            if world.is_main and (loader.step % config.checkpoint_every == 0 or loader.step == config.steps):
                checkpoint.save(checkpoints, loader.step, state, {"loader": loader.state_dict()}, log_path(folder))
    averaged = average.module
    assert isinstance(averaged, Detector)
    return averaged.eval()


def log_path(folder: Location) -> Path:
    """Where the metric log of a run is written: always a local file; each checkpoint carries a copy."""
    return (
        Path(".cache/training", Path(folder).name, "metrics.jsonl") if storage.is_s3(folder) else Path(folder, "metrics.jsonl")
    )


def seed_everything(seed: int) -> None:
    """Make the initial weights a function of the seed."""
    torch.manual_seed(seed)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context for the forward pass."""
    if precision not in ("auto", "bfloat16", "float32"):
        raise ValueError(f"train.precision={precision!r}: expected auto, bfloat16 or float32")
    capable = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16" or (precision == "auto" and capable))


def _moving_average(decay: float):  # type: ignore[no-untyped-def]  # noqa: ANN202  the type is torch's own
    def average(old: Tensor, new: Tensor, num_averaged: Tensor | int) -> Tensor:
        now = min(decay, (1 + float(num_averaged)) / (10 + float(num_averaged)))
        return old.lerp(new, 1 - now) if old.is_floating_point() else new

    return average


def _stop_if_not_finite(step: int, value: Tensor, parts: dict[str, Tensor]) -> None:
    if not torch.isfinite(value):
        names = ", ".join(name for name, part in parts.items() if not torch.isfinite(part)) or "loss"
        raise FloatingPointError(f"step {step}: {names} is not finite: the weights are untouched; lower the learning rate")
