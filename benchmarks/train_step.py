"""What a training step costs, compared with its bare backbone, Grounding DINO and OWL-ViT B/16.

    python benchmarks/train_step.py --json train_step.json --plot train_step.svg [--device cuda]

All see the same pixels at 640 px. This detector has ViT-B/16, one image of each of the three
streams, 300 names per image, 30,000 tokens (60,000 with their context twins), and random weights. A
step is complete: forward, matching, losses, backward, clipping, AdamW, moving average.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from dataclasses import dataclass, field

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
    Contestant,
    arguments,
    device,
    machine,
    peak_memory,
    print_bars,
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
    options = _options()
    on = device(options.device)
    size = TINY if options.tiny else Size(images=tuple(options.images))
    _print_parameters(size)
    measured = _Measured(options, on, size)
    for group in GROUPS:
        if group in options.only:
            getattr(measured, group)()
    print(f"\nOn {machine(on, options.clock)}; medians of {options.rounds} turns.")
    if not options.tiny:
        print_bars(measured.values, BARS)
    write(options, measured.values, measured.drawn, "s", "Seconds for the same images")


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument(
        "--only",
        choices=GROUPS,
        nargs="+",
        default=GROUPS[:-1],
        help="what to measure, each in turns of its own (default: everything except windows)",
    )
    parser.add_argument(
        "--images",
        type=int,
        nargs=3,
        default=(1, 1, 1),
        help="images of each stream in the step that is timed",
    )
    parser.add_argument(
        "--memory-images",
        type=int,
        nargs=3,
        default=(6, 5, 5),
        help="images of each stream in the step whose memory is measured: as many as a GPU holds",
    )
    return parser.parse_args()


@dataclass
class _Measured:
    """The numbers so far; one method for each group of them."""

    options: argparse.Namespace
    on: torch.device
    size: Size
    values: dict[str, float] = field(default_factory=dict)
    drawn: dict[str, float] = field(default_factory=dict)

    def backbone(self) -> None:
        """The step and its parts compared with the bare backbone."""
        contestants = {
            BACKBONE: bare_backbone(self.size, self.on),
            STEP: training_step(self.size, self.on),
            LOSSES: matching_and_losses(self.size, self.on),
        }
        medians = self._turns("Compared with the bare backbone's forward and backward", contestants)
        self.values["step_over_backbone_time"] = medians[STEP] / medians[BACKBONE]
        self.values["matching_and_losses_share"] = medians[LOSSES] / medians[STEP]

    def vocabulary(self) -> None:
        """The step with ten times as many tokens."""
        larger = dataclasses.replace(self.size, words=10 * self.size.words)
        contestants = {
            STEP: training_step(self.size, self.on),
            LARGE: training_step(larger, self.on),
        }
        medians = self._turns("Ten times the vocabulary", contestants)
        self.values["step_vocabulary_300000_over_30000"] = medians[LARGE] / medians[STEP]

    def peers(self) -> None:
        """The step compared with that of other detectors.

        One peer after the other: with the AdamW states of all three detectors, the third step does
        not fit into 24 GB.
        """
        for key, name, peer in (
            ("owlvit", OWL, owlvit_step),
            ("grounding_dino", DINO, grounding_dino_step),
        ):
            contestants = {
                STEP: training_step(self.size, self.on),
                name: peer(self.size, self.on),
            }
            medians = self._turns("Compared with another detector", contestants)
            self.values[f"speed_over_{key}"] = medians[name] / medians[STEP]

    def memory(self) -> None:
        """The peak memory of the step compared with that of the bare backbone."""
        images = self.size.images if self.options.tiny else tuple(self.options.memory_images)
        self.values |= _memory(dataclasses.replace(self.size, images=images), self.on)

    def windows(self) -> None:
        """The backbone with windowed attention; there is no toy size of this."""
        if self.options.tiny:
            return
        for image_size, windows in ((640, (0, 20, 10)), (1024, (0, 16))):
            one = dataclasses.replace(self.size, images=(1, 0, 0), image_size=image_size)
            contestants = {
                _setting(image_size, window): bare_backbone(
                    dataclasses.replace(one, window=window), self.on
                )
                for window in windows
            }
            self._turns("Backbone with windows, forward and backward", contestants, one)

    def _turns(
        self, title: str, contestants: dict[str, Contestant], size: Size | None = None
    ) -> dict[str, float]:
        """Median seconds of each contestant, printed and kept."""
        medians = take_turns(contestants, self.options.rounds, self.on, self.options.clock)
        _report(title, medians, size or self.size, self.values, self.drawn)
        return medians


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
    """Peak memory, also without AdamW's moments and the average, which a bare backbone lacks."""
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
