"""What a search costs by the number of names: time and memory, from 80 names to a million.

    OMP_NUM_THREADS=1 python benchmarks/many_names.py --clock cpu --json many_names.json

The search alone: 1,600 random regions of width 256, names of one to three of 30,000 tokens, encoded
in advance. "Without tokens" is the search of the same names by their rows only. Answers of the two
are compared.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch
from side_by_side import arguments, device, machine, peak_memory, print_table, take_turns, write
from torch import Tensor

from omnidet.inference.search import best_pairs
from omnidet.inference.shared_tokens import SharedTokens, share
from omnidet.model.heads import TokenTable
from omnidet.schema import PhraseTable

COUNTS = (80, 1203, 10_000, 100_000, 1_000_000)
TOKENS, WIDTH, REGIONS, TOP = 30_000, 256, 1600, 300
CPU = torch.device("cpu")
LENGTH = 9.3
"""Of a region's embedding: that of a ViT with random weights."""


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    on = device(options.device)
    counts = (80, 1203, 6000) if options.tiny else COUNTS
    num_tokens, num_regions = (300, 40) if options.tiny else (TOKENS, REGIONS)
    regions, draw = _regions(num_regions), torch.Generator().manual_seed(1)
    tokens = TokenTable(num_tokens, WIDTH).requires_grad_(False)
    tokens.biases += torch.randn(num_tokens, generator=draw) * 0.1
    values: dict[str, float] = {}
    drawn, table = {}, []
    for count in counts:
        rows, biases, shared = encoded(count, num_tokens, tokens.phrases)
        runs: dict[str, Callable[[], object]] = {
            "search": lambda: best_pairs(regions, rows, biases, TOP, shared),  # noqa: B023
            "without tokens": lambda: best_pairs(regions, rows, biases, TOP),  # noqa: B023
        }
        found, expected = (run() for run in runs.values())
        if not all(map(torch.equal, found, expected)):
            raise SystemExit(f"{count:,} names: another answer without tokens")
        times = take_turns(runs, options.rounds, on, options.clock)
        memory = peak_memory(alone, num_regions, count, num_tokens, on=on)
        values[f"seconds_{count}"] = drawn[f"{count:,} names"] = times["search"]
        values[f"seconds_without_tokens_{count}"] = times["without tokens"]
        values[f"memory_bytes_{count}"] = memory
        milliseconds = (f"{1000 * taken:.1f} ms" for taken in times.values())
        table.append([f"{count:,}", *milliseconds, f"{memory / 2**20:.0f} MiB"])
    print_table(
        "Search alone", ["names", "time", "without tokens", "memory, with the names"], table
    )
    print(f"\nOn {machine(on, options.clock)}; medians of {options.rounds} turns.")
    write(options, values, drawn, "s", "Search alone, by number of names")


def encoded(
    count: int,
    num_tokens: int,
    scored: Callable[[PhraseTable], tuple[Tensor, Tensor]],
    on: torch.device = CPU,
) -> tuple[Tensor, Tensor, SharedTokens | None]:
    """Names of one to three random tokens, as a prompt has them.

    Args:
        scored: the detector's rows and biases for phrases.
    """
    draw = torch.Generator().manual_seed(0)
    counts = torch.randint(1, 4, (count,), generator=draw)
    ids = torch.randint(0, num_tokens, (int(counts.sum()),), generator=draw)
    weights = torch.repeat_interleave(1 / counts, counts)
    table = PhraseTable(ids, weights, counts.cumsum(0) - counts).to(on)
    with torch.inference_mode():
        rows, biases = scored(table)
        return rows, biases, share(table, rows, biases, scored)


def _regions(count: int) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(count, WIDTH, generator=draw) * (LENGTH * WIDTH**-0.5)


def alone(num_regions: int, count: int, num_tokens: int) -> Callable[[], object]:
    """A search for `peak_memory`, without what encoding takes for a moment."""
    tokens = TokenTable(num_tokens, WIDTH).requires_grad_(False)
    rows, biases, shared = encoded(count, num_tokens, tokens.phrases)
    regions = _regions(num_regions)

    def run() -> object:
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps of that
        Path("/proc/self/clear_refs").write_text("5")  # reset the kernel's count of the peak
        return best_pairs(regions, rows, biases, TOP, shared)

    return run


if __name__ == "__main__":
    main()
