"""How fast batches are made, compared with bare loops over the same images.

    python benchmarks/loader.py --data path/to/coco_sample --json OUT

The loader mixes three streams. The bare loop has the encoded images in memory, decodes each one and
resizes it to the model's square, with the same libraries in the same number of processes, and does
nothing else. A second loop only decodes, and resizes only images that do not fit the square; a COCO
photo at 640 px does. The loader reads shards, decodes, flips, crops, resizes and pads, encodes the
words, stacks, and hands the batches to another process. All see exactly the same images. They take
turns, and medians count. A fourth contestant is the loader of the full-size recipe: scale jitter,
mosaics of up to nine photos, crops by phrase, sampled negatives, captions at half the resolution.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.nn import functional

from omnidet.data import shards, vocabulary
from omnidet.data.mixing.config import MixingConfig, Stream
from omnidet.data.mixing.mixture import Loader, Mixture
from omnidet.data.sharding import build
from omnidet.data.transforms.crop import crop
from omnidet.data.transforms.decode import decode
from omnidet.data.transforms.flip import flip
from omnidet.data.transforms.letterbox import resize
from omnidet.recipes.coco_folder import coco_folder
from omnidet.recipes.vitb16_three_streams import vitb16_three_streams
from omnidet.schema import Record

STREAMS = (
    Stream("det", ("train/coco",), 8, transforms=(flip, crop)),
    Stream("grd", ("train/refcocog_google",), 4, describes=True, transforms=(flip,)),
    Stream("img", ("train/coco",), 4, boxes=False, captions=True, transforms=(flip,)),
)


def full_streams(index: shards.Index) -> tuple[Stream, ...]:
    """The streams of the full-size recipe with a fifth of its images, and only sets that exist."""
    streams = []
    for stream in vitb16_three_streams().streams:
        sets = tuple(name for name in stream.sets if name in index.sets)
        if sets:
            streams.append(
                dataclasses.replace(stream, sets=sets, images_per_step=stream.images_per_step // 5)
            )
    return tuple(streams)


def prepare(data: Path, work: Path) -> tuple[shards.Index, vocabulary.Vocabulary]:
    """Shards of the photos, and a vocabulary of their words."""
    index = build.build(data, str(work / "shards"), coco_folder().shards)
    words = [
        text
        for name in index.sets
        if name.startswith("train/")
        for text in shards.texts(index, name)
    ]
    return index, vocabulary.build(words, vocabulary.VocabularyConfig(size=3000))


def drawn(mixture: Mixture, steps: int) -> list[Record]:
    """The images that the loader draws, as they are in the shards."""
    return [record for step in range(steps) for record in mixture.records(step)]


def bare_loop(images: list[Record], side: int) -> None:
    """Decode, and resize to the square."""
    for record in images:
        planes = torch.from_numpy(decode(record, side).pixels).permute(2, 0, 1)[None]
        functional.interpolate(
            planes, (side, side), mode="bilinear", align_corners=False, antialias=True
        )


def bare_decoding(images: list[Record], side: int) -> None:
    """Decode, and resize what does not fit the square."""
    for record in images:
        example = decode(record, side)
        if max(example.pixels.shape) != side:
            resize(example, side)


def _timed(
    loop: Callable[[list[Record], int], None],
    images: list[Record],
    side: int,
    barrier: Any,
    cpu: Any,
) -> None:
    torch.set_num_threads(1)
    barrier.wait()
    started = time.process_time()
    loop(images, side)
    cpu.put(time.process_time() - started)


def measure_bare(
    loop: Callable[[list[Record], int], None], images: list[Record], side: int, processes: int
) -> tuple[float, float]:
    """Images per second, and milliseconds of processor time per image."""
    context = multiprocessing.get_context("fork")
    barrier, cpu = context.Barrier(processes + 1), context.SimpleQueue()
    running = [
        context.Process(target=_timed, args=(loop, images[i::processes], side, barrier, cpu))
        for i in range(processes)
    ]
    for process in running:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    used = sum(cpu.get() for _ in running)
    for process in running:
        process.join()
    return len(images) / (time.perf_counter() - started), 1000 * used / len(images)


def measure_loader(mixture: Mixture, steps: int, warm_up: int) -> tuple[float, float]:
    """What `measure_bare` gives, for the loader from batch number `warm_up` on.

    Processor time is that of the workers and of this process together.
    """
    started, used, images = 0.0, 0.0, 0
    for step, batch in enumerate(Loader(mixture, steps), 1):
        if step == warm_up:
            started, used = time.perf_counter(), _processor_seconds()
        elif step > warm_up:
            images += sum(len(group.images_BCHW) for group in batch.groups())
        if step == steps:
            seconds, used = time.perf_counter() - started, _processor_seconds() - used
    return images / seconds, 1000 * used / images


def _processor_seconds() -> float:
    """Processor time of this process and the workers so far."""
    return time.process_time() + sum(
        sum(psutil.Process(child.pid).cpu_times()[:2])
        for child in multiprocessing.active_children()
    )


def main() -> None:
    """Measure, print the table, write the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder in COCO's layout")
    parser.add_argument("--size", type=int, default=640, help="side of the square in pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    medians = _medians(options)
    print("| | images a second | a second and core | processor ms an image |\n|---|---|---|---|")
    for name, (speed, used) in medians.items():
        print(f"| {name} | {speed:.0f} | {speed / options.workers:.0f} | {used:.2f} |")
    result = {
        "loader_over_bare_loop": medians["loader"][0] / medians["bare loop"][0],
        "loader_over_bare_decoding": medians["loader"][0] / medians["bare decoding"][0],
        "full_recipe_images_per_second": medians["full recipe"][0],
        "loader_images_per_second": medians["loader"][0],
        "bare_loop_images_per_second": medians["bare loop"][0],
        "bare_decoding_images_per_second": medians["bare decoding"][0],
        "loader_processor_ms": medians["loader"][1],
        "bare_loop_processor_ms": medians["bare loop"][1],
    }
    print(
        f"loader over bare loop: {result['loader_over_bare_loop']:.2f}, "
        f"over bare decoding: {result['loader_over_bare_decoding']:.2f}"
    )
    if options.json:
        rounded = {key: round(value, 4) for key, value in result.items()}
        options.json.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def _medians(options: argparse.Namespace) -> dict[str, list[float]]:
    """Median images per second and processor milliseconds per image of each contestant."""
    size, workers, steps = options.size, options.workers, options.steps
    warm_up = 4 * workers + 1
    with tempfile.TemporaryDirectory() as work:
        index, words = prepare(options.data, Path(work))
        streams = tuple(s for s in STREAMS if all(name in index.sets for name in s.sets))
        mixing = MixingConfig(workers=workers)
        mixture = Mixture(index, words, streams, mixing, image_size=size, seed=0)
        full = Mixture(index, words, full_streams(index), mixing, image_size=size, seed=0)
        images = drawn(mixture, steps)
        contestants: dict[str, Callable[[], tuple[float, float]]] = {
            "bare loop": lambda: measure_bare(bare_loop, images, size, workers),
            "bare decoding": lambda: measure_bare(bare_decoding, images, size, workers),
            "loader": lambda: measure_loader(mixture, steps, warm_up),
            "full recipe": lambda: measure_loader(full, steps, warm_up),
        }
        rows: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for _ in range(options.rounds):
            for name, measure in contestants.items():
                rows[name].append(measure())
    mix = ", ".join(f"{stream.name} {stream.images_per_step}" for stream in streams)
    print(
        f"{len(images)} images a round ({mix} a step) at {size} px, {workers} processes, "
        f"{options.rounds} rounds, medians"
    )
    return {
        name: [statistics.median(column) for column in zip(*each, strict=True)]
        for name, each in rows.items()
    }


if __name__ == "__main__":
    main()
