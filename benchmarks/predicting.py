"""What stands around the model when a detector is used: start-up, decoding, search, output.

    OMP_NUM_THREADS=1 python benchmarks/predicting.py --model FOLDER [--only start parts folder]

`start`: processor time until a process has a detector, with torch and, exported, without. `parts`:
decoding and scaling a JPEG of 640 x 480, searching 80 names and writing what was found, over all of
that and ViT-B/16 at 640 px. `folder`: pictures a second of `omnidet predict FOLDER` over those of
the bare model, in batches of eight; the pictures are of the demo's world. All in processor time.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from contestants import TINY, Size
from PIL import Image
from side_by_side import machine, print_bars

from omnidet.data.tiny_world.scenes import Style, draw_scene, encode
from omnidet.data.tiny_world.sprites import SHAPES
from omnidet.export.config import ExportConfig
from omnidet.export.write import write as export
from omnidet.inference import pictures
from omnidet.inference.detections import Detections
from omnidet.inference.detector import OmniDet
from omnidet.inference.search import best_pairs
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.predictions import inputs
from omnidet.predictions.files import PictureFiles
from omnidet.predictions.folder import run_into
from omnidet.predictions.journal import Journal
from omnidet.predictions.run import Settings
from tests import toys

NAMES = 80
PARTS = ("start", "parts", "folder")
BARS = {
    "start_with_torch_seconds": ("at most", 4.0),
    "start_without_torch_seconds": ("at most", 1.0),
    "around_vit_share": ("at most", 0.15),
    "folder_over_bare": ("at least", 0.8),
}
WITH_TORCH = "from omnidet import OmniDet; OmniDet.from_pretrained(__import__('sys').argv[1])"
WITHOUT = (
    "from omnidet.onnx import OnnxDetector; OnnxDetector.from_pretrained(__import__('sys').argv[1])"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, help="folder of a detector (default: a toy)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--pictures", type=int, default=1000, help="in the folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true", help="check that it runs")
    options = parser.parse_args()
    if options.model:
        try:
            OmniDet.from_pretrained(options.model)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    values: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        model = options.model or scratch / "model"
        if options.model is None:
            toys.write_bundle(model)
        if "start" in options.only:
            values |= start(model, scratch / "onnx", options.rounds)
        if "parts" in options.only:
            values |= parts(TINY if options.tiny else Size(), options.rounds)
        if "folder" in options.only:
            values |= folder(model, scratch, 16 if options.tiny else options.pictures)
    for key, value in values.items():
        print(f"{key:32} {value:.4f}")
    print(machine(torch.device("cpu"), "cpu"))
    print_bars(values, BARS)
    if options.json:
        options.json.write_text(json.dumps(values, indent=1) + "\n")


def start(model: Path, exported: Path, rounds: int) -> dict[str, float]:
    """Processor seconds until a new process has the detector."""
    export(OmniDet.from_pretrained(model), ExportConfig(), exported, "benchmark")
    return {
        "start_with_torch_seconds": statistics.median(
            _process(WITH_TORCH, model) for _ in range(rounds)
        ),
        "start_without_torch_seconds": statistics.median(
            _process(WITHOUT, exported) for _ in range(rounds)
        ),
    }


def _process(code: str, argument: Path) -> float:
    process = subprocess.Popen([sys.executable, "-c", code, str(argument)])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def parts(size: Size, rounds: int) -> dict[str, float]:
    """Milliseconds of what a picture needs beside the model, and its share."""
    torch.manual_seed(0)
    config = ModelConfig(size.image_size, size.backbone, 32 if size.tiny else 256)
    detector = Detector(config, 600).eval()
    noise = np.random.default_rng(0).integers(0, 256, (15, 20, 3), np.uint8)
    smooth = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    smooth.save(buffer, "JPEG", quality=90)
    content = buffer.getvalue()
    square = pictures.read(content).letterboxed(size.image_size)
    pixels = torch.from_numpy(np.array(square.pixels)).permute(2, 0, 1)[None]
    rows, biases = torch.randn(NAMES, config.embedding_width), torch.zeros(NAMES)
    with torch.inference_mode():
        embeddings = detector.regions(pixels)[0][0].clone()
        model = _seconds(lambda: detector.regions(pixels), 1, rounds)
    names = tuple(f"name {number}" for number in range(NAMES))
    boxes = np.tile(np.array([[100, 100, 300, 300]], np.float32), (30, 1))
    found = Detections(
        boxes, np.full(30, 0.5, np.float32), np.arange(30), 640, 480, names, names, image=content
    )
    taken = {
        "decode_and_scale": _seconds(
            lambda: pictures.read(content).letterboxed(size.image_size), 5, rounds
        ),
        "search": _seconds(lambda: best_pairs(embeddings, rows, biases, 100), 5, rounds),
        "output": _seconds(lambda: _output(found), 3, rounds),
    }
    around = sum(taken.values())
    return {
        **{f"{name}_ms": 1000 * seconds for name, seconds in taken.items()},
        "model_ms": 1000 * model,
        "around_vit_share": around / (around + model),
    }


def _output(found: Detections) -> None:
    """A line of JSON, and the drawn picture as a JPEG."""
    json.dumps(found.to_dict())
    found.draw().save(io.BytesIO(), "JPEG", quality=92)


def _seconds(run: Callable[[], object], times: int, rounds: int) -> float:
    """Median processor seconds of one run, after one that warms up."""
    run()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(times):
            run()
        taken.append((time.process_time() - started) / times)
    return statistics.median(taken)


def folder(model: Path, scratch: Path, count: int) -> dict[str, float]:
    """The rate over a folder, all of it, over that of the model on pixels in memory."""
    rng = np.random.default_rng(0)
    place = scratch / "pictures"
    place.mkdir()
    detector = OmniDet.from_pretrained(model)
    for number in range(count):
        _, pixels = draw_scene(rng, 128, Style())
        (place / f"{number:06}.jpg").write_bytes(encode(pixels))
    opened = [pictures.read(place / f"{number:06}.jpg") for number in range(8)]
    squares = [np.asarray(one.letterboxed(detector.image_size).pixels) for one in opened]
    prompt = detector.prompt(SHAPES)
    bare = _seconds(lambda: detector.regions(squares), max(1, count // 80), 5) / 8
    items, _ = inputs.expand([str(place)])
    chosen = ("jsonl",)
    started = time.process_time()
    with Journal(scratch / "found", {}, "--save-dir") as journal:
        writer = PictureFiles(journal.folder, chosen, prompt.labels)
        result = run_into(
            journal, detector, prompt, items, Settings(0.3, 100), writer, {}, _nothing, _nothing
        )
    taken = (time.process_time() - started) / count
    assert result.pictures == count
    return {
        "bare_ms": 1000 * bare,
        "folder_ms": 1000 * taken,
        "folder_over_bare": bare / taken,
    }


def _nothing(_: object) -> None:
    """Neither lines nor complaints are shown."""


if __name__ == "__main__":
    main()
