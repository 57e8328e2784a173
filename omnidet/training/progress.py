"""What a person sees of a run while it trains: lines on the console, and TensorBoard events.

Numbers that depend on the machine (images per second, waiting for data, memory) appear only here:
the metric log holds what a run computes, and is the same after a kill as without one. Without a
terminal the console gets the first numbers, the last, and those of every half minute in between.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from tensorboardX import SummaryWriter
from tqdm import tqdm

from omnidet import progress
from omnidet.counted import counted
from omnidet.data.mixing.mixture import Loader
from omnidet.data.transforms.example import Pixels
from omnidet.schema import Batch

_BAR_WIDTH = 40
"""Characters of the bar of a perfect score."""


class Progress:
    """Counts, times and shows. On ranks that do not show, it only passes the batches on."""

    def __init__(self, loader: Loader, device: torch.device, events: Path | None) -> None:
        """Start to count at the loader's present step.

        Args:
            events: folder for the TensorBoard events; None shows nothing at all.
        """
        self._loader, self._device, self._events = loader, device, events
        self._images = sum(stream.images_per_step for stream in loader.mixture.streams)
        self._first = self._last = loader.step
        self._began = self._last_time = time.monotonic()
        self._waited, self._said = 0.0, -math.inf
        self._bar: tqdm[Any] | None = None
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Progress:
        if self._events is not None:
            # Steps after the checkpoint come again: the purge tells viewers to drop their old
            # events.
            self._writer = SummaryWriter(
                str(self._events), purge_step=self._first + 1, flush_secs=30
            )
            if sys.stderr.isatty():
                total, step = self._loader.last_step, self._first
                self._bar = tqdm(
                    total=total, initial=step, desc="train", unit="step", mininterval=1
                )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything. Raises ChildProcessError if a process of the loader died.

        torch reports such a death by an exception in the middle of whatever the main process does.
        """
        if self._bar is not None:
            self._bar.close()
        if self._writer is not None:
            self._writer.close()
        if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
            reason = str(error).strip().splitlines()[0].rstrip(". ")
            raise ChildProcessError(
                f"step {self._loader.step}: a process that makes batches died ({reason}), for want "
                "of memory or because someone killed it: lower mixing.workers and start again; the "
                "run goes on from its checkpoint"
            ) from error

    def batches(self) -> Iterator[Batch]:
        """The loader's batches."""
        batches = iter(self._loader)
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            if batch is None:
                return
            self._waited += time.monotonic() - asked
            yield batch
            if self._bar is not None:
                self._bar.update()

    def show(self, row: Mapping[str, float]) -> None:
        """Show a row of the metric log, and the machine's numbers next to it."""
        if self._writer is None:
            return
        now, step = time.monotonic(), int(row["step"])
        seconds = max(now - self._last_time, 1e-9)
        speed = {
            "speed/images_per_second": self._images * (step - self._last) / seconds,
            "speed/data_wait_share": min(1.0, self._waited / seconds),
        }
        if self._device.type == "cuda":
            speed["memory/gpu_gib"] = torch.cuda.max_memory_allocated(self._device) / 2**30
        for name, value in {**row, **speed}.items():
            if name != "step":
                self._writer.add_scalar(name, value, step)
        per_step = (now - self._began) / (step - self._first)
        left = per_step * (self._loader.last_step - step)
        if self._last == self._first and step < self._loader.last_step:
            self._say(_estimate(step - self._first, per_step, self._loader.last_step - step))
        self._last, self._last_time, self._waited = step, now, 0.0
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{row['loss']:.2f}", refresh=False)
        elif now - self._said >= progress.LOG_SECONDS or step == self._loader.last_step:
            self._said = now
            print(
                _line(step, self._loader.last_step, row, speed, left), file=sys.stderr, flush=True
            )

    def show_score(self, row: Mapping[str, float]) -> None:
        """Show what the averaged weights reach on evaluation pictures: a bar for each time."""
        if self._writer is None:
            return
        step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(f"evaluation/{name}", value, step)
        self._say(_score_line(step, self._loader.last_step, row))

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def pictures(self, drawn: Sequence[Pixels], step: int) -> None:
        """Show RGB images of what the model finds."""
        for number, pixels_HWC in enumerate(drawn):
            if self._writer is not None:
                self._writer.add_image(f"found/{number}", pixels_HWC, step, dataformats="HWC")


def _estimate(measured: int, per_step: float, steps: int) -> str:
    """How long the rest takes here, for a person who decides whether to wait."""
    minutes = per_step * steps / 60
    if minutes >= 120:
        about = f"{minutes / 60:.1f} hours"
    elif minutes >= 1.5:
        about = f"{minutes:.0f} minutes"
    else:
        seconds = max(round(per_step * steps), 1)
        about = "a minute" if minutes > 0.5 else counted(seconds, "second")
    return f"about {about} on this machine: {per_step:.2f} s a step, measured over {measured} steps"


def _score_line(step: int, last: int, row: Mapping[str, float]) -> str:
    """Numbers and a bar: below one another, the lines of a run are its curve."""
    numbers = "  ".join(
        f"{name} {value:.3f}".replace(" 0.", " .") for name, value in row.items() if name != "step"
    )
    shown = row.get("AP50", row.get("AP", 0.0))
    bar = "█" * round(shown * _BAR_WIDTH)
    return f"step {step:{len(str(last))}}/{last}  {numbers}  {bar}"


def _line(
    step: int, last: int, row: Mapping[str, float], speed: Mapping[str, float], left_seconds: float
) -> str:
    minutes, seconds = divmod(round(left_seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"step {step}/{last}",
        f"loss {row['loss']:.3f}",
        f"gradient {row['gradient_norm']:.2f}",
        f"rate {row['learning_rate']:.2e}",
        f"{speed['speed/images_per_second']:.1f} images/s",
        f"data wait {speed['speed/data_wait_share']:.0%}",
    ]
    if "memory/gpu_gib" in speed:
        parts.append(f"{speed['memory/gpu_gib']:.1f} GiB")
    return "  ".join([*parts, f"{hours}:{minutes:02}:{seconds:02} left"])
