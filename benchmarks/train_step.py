"""What a training step costs beside its bare backbone, Grounding DINO and OWL-ViT B/16, on the same
pixels.

    python benchmarks/train_step.py --json train_step.json --plot train_step.svg [--device cuda]

ViT-B/16 at 640 px, one image of each of the three streams, 300 names an image, 30,000 tokens
(60,000 with their context twins), random weights. The step is all of it: forward, matching, losses,
backward, clipping, AdamW, moving average.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from contestants import (
    STREAMS,
    TINY,
    Size,
    bare_backbone,
    detector,
    grounding_dino_step,
    matching_and_losses,
    owlvit_step,
    training_step,
)
from side_by_side import (
    arguments,
    device,
    judge,
    machine,
    peak_memory,
    print_table,
    take_turns,
    write,
)

BARS = {
    "step_over_backbone_time": ("at most", 1.10),
    "step_over_backbone_memory": ("at most", 1.15),
    "speed_over_grounding_dino": ("at least", 2.0),
    "speed_over_owlvit": ("at least", 1.15),
    "matching_and_losses_share": ("at most", 0.05),
    "step_vocabulary_300000_over_30000": ("at most", 1.10),
}
GROUPS = ("backbone", "vocabulary", "peers", "memory", "windows")
BACKBONE, STEP, LOSSES, LARGE = (
    "bare backbone",
    "training step",
    "matching and losses",
    "training step, 300,000 tokens",
)
DINO, OWL = "Grounding DINO (Swin-T)", "OWL-ViT B/16"


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--only",
        choices=GROUPS,
        nargs="+",
        default=GROUPS[:-1],
        help="parts to measure, each by its own turns; all but the windows",
    )
    parser.add_argument(
        "--images",
        type=int,
        nargs=3,
        default=(1, 1, 1),
        help="images of each stream in the timed step",
    )
    parser.add_argument(
        "--memory-images",
        type=int,
        nargs=3,
        default=(6, 5, 5),
        help="and in the one whose memory is read: what a GPU holds",
    )
    options = parser.parse_args()
    on = device(options.device)
    size = TINY if options.tiny else Size(images=tuple(options.images))
    larger = dataclasses.replace(size, words=10 * size.words)
    values: dict[str, float] = {}
    drawn: dict[str, float] = {}
    _print_parameters(size)
    if "backbone" in options.only:
        contestants = {
            BACKBONE: bare_backbone(size, on),
            STEP: training_step(size, on),
            LOSSES: matching_and_losses(size, on),
        }
        medians = take_turns(contestants, options.rounds, on, options.clock)
        values["step_over_backbone_time"] = medians[STEP] / medians[BACKBONE]
        values["matching_and_losses_share"] = medians[LOSSES] / medians[STEP]
        _report("Beside the bare backbone's forward and backward", medians, size, values, drawn)
        del contestants
    if "vocabulary" in options.only:
        medians = take_turns(
            {STEP: training_step(size, on), LARGE: training_step(larger, on)},
            options.rounds,
            on,
            options.clock,
        )
        values["step_vocabulary_300000_over_30000"] = medians[LARGE] / medians[STEP]
        _report("Ten times the vocabulary", medians, size, values, drawn)
    if "peers" in options.only:
        # One after the other: with AdamW's state of all three 24 GB do not hold the step of the
        # third.
        for key, name, peer in (
            ("owlvit", OWL, owlvit_step),
            ("grounding_dino", DINO, grounding_dino_step),
        ):
            medians = take_turns(
                {STEP: training_step(size, on), name: peer(size, on)},
                options.rounds,
                on,
                options.clock,
            )
            values[f"speed_over_{key}"] = medians[name] / medians[STEP]
            _report("Beside another detector", medians, size, values, drawn)
    if "windows" in options.only and not options.tiny:
        for image_size, windows in ((640, (0, 20, 10)), (1024, (0, 16))):
            one = dataclasses.replace(size, images=(1, 0, 0), image_size=image_size)
            contestants = {
                _setting(image_size, window): bare_backbone(
                    dataclasses.replace(one, window=window), on
                )
                for window in windows
            }
            _report(
                "Backbone with windows, forward and backward",
                take_turns(contestants, options.rounds, on, options.clock),
                one,
                values,
                drawn,
            )
    if "memory" in options.only:
        values |= _memory(
            size
            if options.tiny
            else dataclasses.replace(size, images=tuple(options.memory_images)),
            on,
        )
    print(f"\nOn {machine(on, options.clock)}; medians of {options.rounds} turns.")
    if not options.tiny:
        judge(values, BARS)
    write(options, values, drawn, "s", "Seconds for the same images")


def _setting(image_size: int, window: int) -> str:
    return f"{image_size} px, {f'windows of {window}' if window else 'no windows'}"


def _print_parameters(size: Size) -> None:
    parts = detector(size, torch.device("cpu")).num_parameters()
    rows = [
        [name, f"{count / 1e6:.1f} M"]
        for name, count in {**parts, "all": sum(parts.values())}.items()
    ]
    print_table("Parameters", ["part", "parameters"], rows)


def _report(
    title: str,
    medians: dict[str, float],
    size: Size,
    values: dict[str, float],
    drawn: dict[str, float],
) -> None:
    num_images = sum(size.images)
    mix = ", ".join(f"{count} {name}" for name, count in zip(STREAMS, size.images, strict=True))
    rows = [
        [name, f"{taken:.3f} s", f"{num_images / taken:.3f}"] for name, taken in medians.items()
    ]
    print_table(
        f"{title} ({mix}; {size.image_size} px)", ["contestant", "time", "images a second"], rows
    )
    for name, taken in medians.items():
        drawn.setdefault(name, taken)
        key = "".join(letter if letter.isalnum() else "_" for letter in name.lower())
        values.setdefault(f"seconds_{key}", taken)


def _memory(size: Size, on: torch.device) -> dict[str, float]:
    """Peaks; `..._state` is what AdamW's moments and the moving average hold, which the bare
    backbone has none of."""
    backbone = peak_memory(functools.partial(bare_backbone, size, on), on=on)
    step = peak_memory(functools.partial(training_step, size, on), on=on)
    weights = 4 * sum(detector(size, torch.device("cpu")).num_parameters().values())
    rows = [
        [BACKBONE, f"{backbone / 2**20:.0f} MiB"],
        [STEP, f"{step / 2**20:.0f} MiB"],
        ["of that AdamW's moments and the average", f"{3 * weights / 2**20:.0f} MiB"],
    ]
    print_table(f"Peak memory ({sum(size.images)} images)", ["contestant", "peak"], rows)
    return {
        "step_over_backbone_memory": step / max(backbone, 1),
        "step_over_backbone_memory_without_optimizer_state": max(step - 3 * weights, 0)
        / max(backbone, 1),
        "memory_bytes_backbone": backbone,
        "memory_bytes_step": step,
    }


if __name__ == "__main__":
    main()
