"""The training loop, top to bottom."""

from __future__ import annotations

import copy
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnidet import storage
from omnidet.config import require
from omnidet.data.mixing.mixture import Loader
from omnidet.matching.config import MatchingConfig
from omnidet.model.detector import Detector
from omnidet.schema import Batch, Predictions
from omnidet.storage import Location
from omnidet.training import checkpoint, distributed, optimizer, pictures
from omnidet.training.average import Average
from omnidet.training.config import TrainConfig
from omnidet.training.finite import FiniteGuard
from omnidet.training.generation import Generation
from omnidet.training.metrics import MetricLog
from omnidet.training.objective import Loss, Parts
from omnidet.training.progress import Progress
from omnidet.training.run_state import State
from omnidet.training.scoring import Scoring
from omnidet.training.stop import InterruptedRunError, StopSignal
from omnidet.training.stopwatch import Stopwatch
from omnidet.training.supervision import Supervision
from omnidet.training.writer import Writer


def fit(
    detector: Detector,
    loader: Loader,
    *,
    losses: Sequence[Loss],
    config: TrainConfig,
    world: distributed.World,
    folder: Location,
    matching: MatchingConfig | None = None,
    provenance: Mapping[str, Any] | None = None,
    scoring: Scoring | None = None,
    stopwatch: Stopwatch | None = None,
    generation: Generation | None = None,
) -> Detector:
    """Train to `config.steps` and return the averaged detector.

    Goes on from the newest checkpoint in `folder` if there is one. Writes `folder/checkpoints/`,
    local or on an object store, the metric log (`log_path`), and TensorBoard events next to the
    log.

    Args:
        provenance: recipe and hashes of the data, written into each checkpoint.
        scoring: measures the averaged weights as training goes.
        stopwatch: counts the time of all processes; it runs since the start of this one.
        generation: of the main rank, among the processes that write in `folder`; default: the next.

    Raises FloatingPointError, before the weights change, if a loss or gradient is not finite,
    InterruptedRunError, after writing a checkpoint, if SIGTERM came, and SupersededError, on the
    main rank, once another process has begun to train in `folder`.
    """
    stopwatch = stopwatch or Stopwatch()
    supervision = Supervision(
        losses, loader.mixture.streams, world.size, matching or MatchingConfig()
    )
    supervision.prepare(detector)
    _require_images_for_all_ranks(loader, world)
    averaged = copy.deepcopy(detector)
    model, state = _prepare(detector, config, world)
    checkpoints, log_file = storage.join(folder, "checkpoints"), log_path(folder)
    if world.is_main and generation is None:
        generation = Generation.take(folder)  # from now on, no other process adds to what is read
    saved = checkpoint.restore(checkpoints, state, world)
    if saved:
        loader.load_state_dict(saved.facts["loader"])
        stopwatch.go_on(saved.facts)
    log = MetricLog(log_file, loader.step, saved.log if saved else None) if world.is_main else None
    if log:
        starts = f"goes on after step {saved.step}" if saved else "starts"
        print(
            f"training {starts}, to step {config.steps}: checkpoints in {checkpoints}", flush=True
        )
    guard = FiniteGuard(state.optimizer, optimizer.can_skip(state.optimizer))
    model.train()
    with (
        StopSignal(world) as stop,
        Writer(
            checkpoints,
            config.keep_checkpoints,
            config.keep_checkpoint_every,
            generation=generation,
        ) as writer,
        Progress(
            loader, world.device, log_file.parent / "events" if world.is_main else None
        ) as progress,
    ):
        for batch in progress.batches():
            step = loader.step - 1
            _seed_step(config.seed, step, world.rank)
            rate = optimizer.set_learning_rate(
                state.optimizer, config.optimizer, step, config.steps
            )
            batch = batch.to(world.device)
            with autocast(world.device, config.precision):
                predictions = model(batch)
            loss, parts = _supervised(supervision, predictions, batch, step)
            guard.loss(step, loss, parts)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = distributed.whole_norm(
                nn.utils.clip_grad_norm_(detector.parameters(), config.optimizer.max_gradient_norm)
            )
            guard.gradient(step, loss, parts, norm)
            state.optimizer.step()
            optimizer.clear_gradients(state.optimizer, detector, world.size)
            state.average.update(detector)
            writer.check()
            is_last, is_stopped = loader.step == config.steps, stop.agreed()
            if loader.step % config.log_every == 0 or is_last:
                row = _row(loader.step, loss, norm, parts, rate, world)
                if log:
                    log.write(row)
                    progress.show(row)
            if log and config.pictures_every and loader.step % config.pictures_every == 0:
                drawn = pictures.draw(batch, predictions, loader.mixture.vocabulary)
                progress.pictures(drawn, loader.step)
            if scoring and scoring.is_due(loader.step, is_last):
                if generation:
                    generation.check()  # the best detector so far is in the folder, too
                row = _score(scoring, loader.step, state, averaged, world)
                if log:
                    log.write(row)
                    progress.show_score(row)
            if loader.step % config.checkpoint_every == 0 or is_last or is_stopped:
                guard.settle()
                schedule = {"learning_rate": rate, "last_step": config.steps}
                facts = {"loader": loader.state_dict(), "schedule": schedule, **stopwatch.facts()}
                content = log.content() if log else b""
                taken = checkpoint.snapshot(loader.step, state, facts, provenance, content)
                if taken:
                    writer.save(taken)
            if is_stopped and not is_last:
                _leave(writer, loader.step, checkpoints, world, stop.number)
    averaged.load_state_dict(state.average.whole())
    return averaged.to(world.device).eval()


def _require_images_for_all_ranks(loader: Loader, world: distributed.World) -> None:
    most = max(stream.images_per_step for stream in loader.mixture.streams)
    require(
        world.size <= most,
        f"{world.size} ranks, but no stream has more than {most} images_per_step: use fewer ranks",
    )


def _prepare(
    detector: Detector, config: TrainConfig, world: distributed.World
) -> tuple[nn.Module, State]:
    """The model whose forward pass trains the detector, and what training changes."""
    detector.to(world.device).backbone.freeze_idle()
    model = distributed.parallel(detector, world, config.parallel)
    if config.compile:
        detector.backbone.compile()
        detector.head.compile()
    average = Average(detector, config.average_decay)
    adamw = optimizer.build(detector, config.optimizer)
    return model, State(detector, average, adamw)


def log_path(folder: Location) -> Path:
    """The metric log of a run, always a local file; each checkpoint has a copy."""
    return (
        Path(".cache/training", Path(folder).name, "metrics.jsonl")
        if storage.is_s3(folder)
        else Path(folder, "metrics.jsonl")
    )


def seed_everything(seed: int) -> None:
    """Seed the generator that the initial weights are drawn from."""
    torch.manual_seed(seed)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context for the forward pass."""
    capable = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast(
        device.type,
        torch.bfloat16,
        enabled=precision == "bfloat16" or (precision == "auto" and capable),
    )


def _seed_step(seed: int, step: int, rank: int) -> None:
    """Seed stochastic depth by step and rank alone: a resumed run draws the same numbers."""
    torch.manual_seed(seed * 1_000_003 + step + (rank << 40))


def _supervised(
    supervision: Supervision, predictions: Predictions, batch: Batch, step: int
) -> tuple[Tensor, Parts]:
    """The loss and its parts. Raises FloatingPointError that names the step."""
    try:
        return supervision(predictions, batch)
    except FloatingPointError as error:
        raise FloatingPointError(f"step {step}: {error}") from error


def _row(
    step: int, loss: Tensor, norm: Tensor, parts: Parts, rate: float, world: distributed.World
) -> dict[str, float]:
    """The row for the metric log, with the numbers of all ranks. Every rank must call this."""
    everything = parts.over_ranks().read()
    total = float(distributed.sum_over_ranks(loss.detach())) / world.size
    numbers = {"loss": total, "gradient_norm": float(norm), **everything}
    return {
        "step": step,
        **{name: round(value, 6) for name, value in numbers.items()},
        "learning_rate": rate,
    }


def _score(
    scoring: Scoring,
    step: int,
    state: State,
    averaged: Detector,
    world: distributed.World,
) -> dict[str, float]:
    """The row of the main rank, which measures while the others wait; theirs is empty."""
    averaged.load_state_dict(state.average.whole())
    row = scoring.score(step, averaged.to(world.device).eval()) if world.is_main else {}
    distributed.barrier()
    return row


def _leave(
    writer: Writer, step: int, checkpoints: Location, world: distributed.World, number: int
) -> None:
    """End all ranks together once the checkpoint is written."""
    writer.wait()
    distributed.barrier()
    stopped = InterruptedRunError(step, number)
    if world.is_main:
        by = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        restart = f" (exit code {stopped.code}: restart me)" if number != signal.SIGINT else ""
        print(
            f"stopped by {by} after step {step}: the checkpoint is in {checkpoints}, and the "
            f"same command goes on from it{restart}",
            file=sys.stderr,
            flush=True,
        )
    raise stopped
