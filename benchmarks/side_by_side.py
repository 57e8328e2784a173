"""What the benchmarks share: taking turns, medians, peak memory, tables, plots and flat JSON."""

from __future__ import annotations

import argparse
import html
import json
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

Contestant = Callable[[], object]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers as flat JSON")
    parser.add_argument("--plot", type=Path, metavar="OUT.svg", help="draw the times")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="turns of each contestant, after one to warm up; 0: only that one",
    )
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu counts the process's own processor time: for a machine that does other work, "
        "with OMP_NUM_THREADS=1",
    )
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="toy sizes: shows in seconds that everything runs, measures nothing",
    )
    return parser


def device(name: str) -> torch.device:
    """The device of that name. Exits with one line if the machine does not have it."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("not measured: no CUDA device")
    return torch.device(name)


def seconds(run: Contestant, on: torch.device, clock: str = "wall") -> float:
    """Seconds of one run, until the device has finished its work."""
    read = time.process_time if clock == "cpu" else time.perf_counter
    _wait(on)
    started = read()
    run()
    _wait(on)
    return read() - started


def take_turns(
    contestants: Mapping[str, Contestant], rounds: int, on: torch.device, clock: str = "wall"
) -> dict[str, float]:
    """Median seconds of each contestant.

    They take turns, so that other work on the machine affects all of them.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            taken = seconds(run, on, clock)
            print(f"turn {turn}: {name}: {taken:.3f} s", file=sys.stderr, flush=True)
            if turn or not rounds:  # the first one warms up
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def peak_memory(make: Callable[..., Contestant], *given: Any, on: torch.device) -> int:
    """Peak bytes of `make(*given)()`, including what `make` builds.

    On a CPU this runs in a process of its own and counts from what that process had before. On a
    GPU the allocator counts.
    """
    if on.type == "cuda":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(on)
        torch.cuda.reset_peak_memory_stats(on)
        make(*given)()
        _wait(on)
        return torch.cuda.max_memory_allocated(on) - before
    # An executor raises an error if its process is killed; a Pool would wait for it forever.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_resident_peak, make, given).result()


def _resident_peak(make: Callable[..., Contestant], given: tuple[Any, ...]) -> int:
    # Not getrusage: its peak includes what the parent had when it started this process.
    before = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # reset the kernel's count of the peak
    make(*given)()
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    return int(Path("/proc/self/status").read_text().partition(f"{field}:")[2].split()[0]) * 1024


def machine(on: torch.device, clock: str = "wall") -> str:
    """The device and the settings that it ran with, in words."""
    if on.type == "cuda":
        return f"{torch.cuda.get_device_name(on)}, torch {torch.__version__}"
    return (
        f"{platform.machine()} CPU, {torch.get_num_threads()} threads, {clock} time, "
        f"torch {torch.__version__}"
    )


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown, ready for the README."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    print(f"\n{title}\n")
    for number, row in enumerate((header, *rows)):
        print(
            "| "
            + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            + " |"
        )
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def print_bars(values: Mapping[str, float], bars: Mapping[str, tuple[str, float]]) -> None:
    """Print each number with its bar: ("at most" or "at least", number)."""
    rows = []
    for key, (kind, bar) in bars.items():
        if key in values:
            met = values[key] <= bar if kind == "at most" else values[key] >= bar
            rows.append(
                [f"`{key}`", f"{values[key]:.3f}", f"{kind} {bar:g}", "yes" if met else "NO"]
            )
    print_table("Bars", ["key", "measured", "bar", "met"], rows)


def write(
    options: argparse.Namespace,
    values: Mapping[str, float],
    bars: Mapping[str, float],
    unit: str,
    title: str,
) -> None:
    """Write the flat JSON and the plot if the options ask for them.

    Args:
        bars: what the plot shows, by name, in `unit`.
    """
    if options.json:
        options.json.write_text(
            json.dumps({key: round(value, 6) for key, value in values.items()}, indent=1) + "\n"
        )
    if options.plot:
        options.plot.write_text(_svg(bars, unit, title), encoding="utf-8")


def _svg(bars: Mapping[str, float], unit: str, title: str) -> str:
    longest = max(bars.values(), default=1.0)
    left, line, wide = 330, 26, 420
    parts = []
    for number, (name, value) in enumerate(bars.items()):
        y = 40 + number * line
        length = wide * value / longest
        parts.append(
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{html.escape(name)}</text>'
        )
        parts.append(
            f'<rect x="{left}" y="{y + 2}" width="{length:.1f}" height="17" fill="#3b6ea5"/>'
        )
        parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 14}">{value:.3g} {unit}</text>')
    height = 50 + len(bars) * line
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{height}" '
        'font-family="sans-serif" font-size="13">'
        f'<rect width="860" height="{height}" fill="white"/><text x="10" y="22" '
        f'font-size="15">{html.escape(title)}</text>' + "".join(parts) + "</svg>\n"
    )


def _wait(on: torch.device) -> None:
    if on.type == "cuda":
        torch.cuda.synchronize(on)
