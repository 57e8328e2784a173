"""What a training step reaches on a GPU: images per second, share of the matrix rate, memory.

    python benchmarks/gpu.py --json gpu.json [--images 8 4 4] [--trace trace.json]

The step of `train_step.py` in bfloat16, plain and with `torch.compile`, with AdamW in one kernel.
torch counts the model's FLOPs on the uncompiled model; the matrix rate is that of a square bfloat16
product on the same device. Without a GPU it prints "not measured" and ends; `--tiny --device cpu`
runs every line of it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from contestants import TINY, Size, bare_backbone, batch, detector, training_step
from side_by_side import arguments, machine, peak_memory, print_bars, print_table, take_turns, write
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

BARS = {
    "model_flop_utilisation": ("at least", 0.5),
    "host_syncs_in_a_step": ("at most", 1.0),  # the assignment, which is made on the host
    "step_over_backbone_time": ("at most", 1.10),
    "step_over_backbone_memory": ("at most", 1.15),
}
PLAIN, COMPILED, BACKBONE = "training step", "training step, compiled", "bare backbone"


def main() -> None:
    """Measure, print, write."""
    options = _options()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("not measured: no CUDA device")
        return
    on = torch.device(options.device)
    size = TINY if options.tiny else Size(images=tuple(options.images))
    num_images = sum(size.images)
    rate = _matrix_rate(on, 256 if options.tiny else 8192)
    flops = _model_flops(size, on)
    steps = {
        PLAIN: training_step(size, on),
        COMPILED: training_step(size, on, compiled=True),
        BACKBONE: bare_backbone(size, on),
    }
    times = take_turns(steps, options.rounds, on)
    best = min(times[PLAIN], times[COMPILED])
    values = {
        "matrix_rate_bfloat16_tflops": rate / 1e12,
        "model_tflop_of_a_step": flops / 1e12,
        "images_a_second": num_images / best,
        "model_flop_utilisation": flops / best / rate,
        "step_over_backbone_time": times[PLAIN] / times[BACKBONE],
        "host_syncs_in_a_step": float(_syncs(steps[PLAIN], on)),
    }
    rows = [
        [name, f"{taken * 1e3:.1f} ms", f"{num_images / taken:.1f}", f"{flops / taken / rate:.2f}"]
        for name, taken in times.items()
    ]
    print_table(
        f"{num_images} images of {size.image_size} px",
        ["", "time", "images a second", "of the matrix rate"],
        rows,
    )
    _left_over(steps[COMPILED], on, options.trace)
    steps.clear()
    if on.type == "cuda":
        step, backbone = (
            peak_memory(make, size, on, on=on) for make in (training_step, bare_backbone)
        )
        values |= {"step_over_backbone_memory": step / backbone, "memory_bytes_step": float(step)}
    print(f"\nOn {machine(on)}; medians of {options.rounds} turns.")
    if not options.tiny:
        print_bars(values, BARS)
    write(options, values, times, "s", f"Seconds for {num_images} images")


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.set_defaults(device="cuda", rounds=10)
    parser.add_argument(
        "--images", type=int, nargs=3, default=(8, 4, 4), help="images of each stream in a step"
    )
    parser.add_argument(
        "--trace", type=Path, metavar="OUT", help="write a trace for chrome://tracing"
    )
    return parser.parse_args()


def _matrix_rate(on: torch.device, side: int) -> float:
    """FLOP per second of a square bfloat16 product, the best of ten."""
    left, right = (torch.randn(side, side, device=on, dtype=torch.bfloat16) for _ in range(2))
    times = [take_turns({"product": lambda: left @ right}, 1, on)["product"] for _ in range(10)]
    return 2 * side**3 / min(times)


def _model_flops(size: Size, on: torch.device) -> float:
    """FLOPs of forward and backward."""
    model, data = detector(size, on), batch(size).to(on)
    with FlopCounterMode(display=False) as counter:
        predictions = model(data)
        (predictions.scores_BQL.sum() + predictions.boxes_cxcywh_BQ4.sum()).backward()
    return float(counter.get_total_flops())


def _syncs(step: Callable[[], object], on: torch.device) -> int:
    """How often a step makes the host wait for the device."""
    if on.type != "cuda":
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    found = [
        str(warning.filename) + f":{warning.lineno}"
        for warning in caught
        if "synchronizing" in str(warning.message)
    ]
    for place in sorted(set(found)):
        print(f"waits for the device: {place}")
    return len(found)


def _left_over(step: Callable[[], object], on: torch.device, trace: Path | None) -> None:
    """The kernels that take most of a step."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        step()
    if trace:
        profiled.export_chrome_trace(str(trace))
    key = "self_device_time_total" if on.type == "cuda" else "self_cpu_time_total"
    events = sorted(profiled.key_averages(), key=lambda event: -getattr(event, key))[:12]
    print_table(
        "What takes the time",
        ["kernel", "ms"],
        [[e.key[:60], f"{getattr(e, key) / 1e3:.2f}"] for e in events],
    )


if __name__ == "__main__":
    main()
