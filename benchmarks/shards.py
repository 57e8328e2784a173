"""Shard building at full size: memory with large annotation files, and speed compared with `tar`.

    python benchmarks/shards.py [--only memory|speed] [--folder SCRATCH] [--json OUT]

memory: `omnidet shards` on synthetic COCO train2017 and LVIS v1 train, with as many images, boxes,
mask points and captions as the real ones. The images are links to a few small files, since
annotations are what takes memory. The result is the largest resident size that any process of the
build ever had.

speed: the same build on photograph-like JPEGs of 640 x 480 pixels, with all hashes and checks,
compared with `tar` of the same files on the same disk. They take turns, and medians count; each run
ends when everything is on the disk. With --cold, each starts with no file in memory, as for
datasets that are larger than memory.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

# https://cocodataset.org and https://www.lvisdataset.org: images and boxes of the training splits,
# and their categories.
COCO = (118_287, 860_001, 80)
LVIS = (100_170, 1_270_141, 1_203)
LVIS_BYTES = 1_100_000_000
COCO_BYTES = 470_000_000
ALLOWED_BYTES = 2_000_000_000
LINKS = 50_000
"""Links to one file; file systems allow about 65,000."""
IMAGES = 20_000
ROUNDS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("memory", "speed"))
    parser.add_argument(
        "--datasets",
        nargs="+",
        choices=("coco", "lvis"),
        default=["coco", "lvis"],
        help="datasets whose memory is measured",
    )
    parser.add_argument(
        "--folder", type=Path, help="where the synthetic data goes (default: a temporary folder)"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=IMAGES,
        help=f"images for the speed (default: {IMAGES}, 2.6 GB)",
    )
    parser.add_argument(
        "--cold", action="store_true", help="read all files from the disk in each round"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.only != "speed":
            results |= memory(Path(folder, "memory"), options.datasets)
        if options.only != "memory":
            results |= speed(Path(folder, "speed"), options.images, options.cold)
    for name, value in results.items():
        print(f"{name:34} {value:14,.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def memory(root: Path, datasets: list[str]) -> dict[str, float]:
    """Peak bytes and seconds of a build of each dataset."""
    results: dict[str, float] = {}
    for name, (images, boxes, categories), size in (
        ("coco", COCO, COCO_BYTES),
        ("lvis", LVIS, LVIS_BYTES),
    ):
        if name not in datasets:
            continue
        data = root / name
        write_images(
            data / "train2017",
            images,
            [jpeg(64, 48, seed) for seed in range(-(-images // LINKS))],
            link=True,
        )
        kind = "instances_train2017" if name == "coco" else "lvis_v1_train"
        path = data / "annotations" / f"{kind}.json"
        write_annotations(path, images, boxes, categories, size, is_lvis=name == "lvis")
        if name == "coco":
            write_captions(data / "annotations/captions_train2017.json", images)
        peak, seconds = watched(build_command(data, root / "out", f"train/{name}"))
        results |= {
            f"{name}_json_bytes": path.stat().st_size,
            f"{name}_images": images,
            f"{name}_boxes": boxes,
        }
        results |= {f"{name}_peak_bytes_a_process": peak, f"{name}_seconds": seconds}
        print(
            f"{name}: {peak / 1e9:.2f} GB, {'within' if peak <= ALLOWED_BYTES else 'MORE THAN'} "
            f"{ALLOWED_BYTES / 1e9:.0f} GB"
        )
        shutil.rmtree(root)
    return results


def speed(root: Path, images: int, is_cold: bool) -> dict[str, float]:
    """Megabytes per second of the build and of tar."""
    write_images(
        root / "data/train2017", images, [jpeg(640, 480, seed) for seed in range(40)], link=False
    )
    boxes = images * COCO[1] // COCO[0]
    path = root / "data/annotations/instances_train2017.json"
    write_annotations(
        path, images, boxes, COCO[2], COCO_BYTES * images // COCO[0], is_lvis=False, side=640
    )
    size = sum(file.stat().st_size for file in (root / "data").rglob("*") if file.is_file())
    tar = ["tar", "--create", "--file", str(root / "all.tar"), "--directory", str(root / "data")]
    commands = {
        "tar": [*tar, "."],
        "build": build_command(root / "data", root / "out", "train/coco"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            shutil.rmtree(root / "out", ignore_errors=True)
            (root / "all.tar").unlink(missing_ok=True)
            os.sync()
            if is_cold:
                forget(root / "data")
            started = time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            os.sync()
            seconds[name].append(time.monotonic() - started)
    start_seconds = _seconds_of_nothing(root)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "speed_images": images,
        "speed_megabytes": size / 1e6,
        "tar_megabytes_a_second": size / 1e6 / medians["tar"],
        "build_megabytes_a_second": size / 1e6 / medians["build"],
        "build_images_a_second": images / medians["build"],
        "build_over_tar": medians["tar"] / medians["build"],
        "start_seconds": start_seconds,
        "build_over_tar_without_start": medians["tar"] / (medians["build"] - start_seconds),
    }


def _seconds_of_nothing(root: Path) -> float:
    """Seconds of a build of one image: what it costs to start Python and its libraries."""
    few = root / "few"
    write_images(few / "train2017", 1, [jpeg(64, 48, 0)], link=False)
    write_annotations(few / "annotations/instances_train2017.json", 1, 1, COCO[2], 0, is_lvis=False)
    command = build_command(few, root / "out_few", "train/coco")
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


BUILD = """
import sys
from omnidet.data.sharding import build
from omnidet.data.sharding.config import Dataset, ShardsConfig
known = {"train/coco": ("coco", "train2017"), "train/lvis": ("lvis", "v1_train")}
source, split = known[sys.argv[3]]
dataset = Dataset(sys.argv[3], source, ".", split)
build.build(sys.argv[1], sys.argv[2], ShardsConfig((dataset,), (), hash_images=False))
"""


def build_command(data: Path, out: Path, set_name: str) -> list[str]:
    """The command that builds the shards of one set."""
    return [sys.executable, "-c", BUILD, str(data), str(out), set_name]


def watched(command: list[str]) -> tuple[int, float]:
    """Largest resident size in bytes of any process that the command starts, and seconds."""
    started = time.monotonic()
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    peaks: dict[int, int] = {}

    def watch() -> None:
        while process.poll() is None:
            for pid, peak in resident(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), peak)
            time.sleep(0.1)

    thread = threading.Thread(target=watch)
    thread.start()
    code = process.wait()
    thread.join()
    if code:
        raise RuntimeError(f"the build ended with {code}")
    print(
        "processes: "
        f"{', '.join(f'{peak / 1e9:.2f} GB' for peak in sorted(peaks.values(), reverse=True)[:4])}"
    )
    return max(peaks.values()), time.monotonic() - started


def forget(folder: Path) -> None:
    """Make the kernel drop the files of a folder from memory; they must be on the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def resident(session: int) -> Iterator[tuple[int, int]]:
    """Each process of a session, and the most memory that it ever had, as the kernel counts it."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if os.getsid(int(folder.name)) == session:
                    status = (folder / "status").read_text()
                    yield int(folder.name), int(status.partition("VmHWM:")[2].split()[0]) * 1024
            except (OSError, IndexError):  # the process has just ended
                continue


def jpeg(width: int, height: int, seed: int) -> bytes:
    """A JPEG with as many bytes as a photograph: smooth areas, edges and grain."""
    generator = np.random.default_rng(seed)
    smooth = np.asarray(
        Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
            (width, height)
        ),
        np.float32,
    )
    grain = generator.normal(0, 9, (height, width, 1))
    out = io.BytesIO()
    Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


def write_images(folder: Path, count: int, contents: list[bytes], link: bool) -> None:
    """Write images 1 to `count`, as links to a few files or as separate files."""
    folder.mkdir(parents=True)
    for i in range(count):
        path, content = (
            folder / f"{i + 1:012d}.jpg",
            contents[i // LINKS if link else i % len(contents)],
        )
        if link and i % LINKS:
            path.hardlink_to(folder / f"{i // LINKS * LINKS + 1:012d}.jpg")
        else:
            path.write_bytes(content)


def write_annotations(
    path: Path, images: int, boxes: int, categories: int, size: int, is_lvis: bool, side: int = 64
) -> None:
    """Write boxes with masks of so many points that the file has about `size` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = random.Random(0)
    width, height = side, side * 3 // 4
    own = 330 if is_lvis else 250
    points = max(6, (size - images * own) // max(boxes, 1) // 8 - 18)
    masks = [
        json.dumps([[round(generator.random() * 600, 2) for _ in range(points)]]) for _ in range(50)
    ]
    with path.open("w") as file:
        names = [{"id": i + 1, "name": f"name_{i}", "frequency": "r"} for i in range(categories)]
        file.write(f'{{"info": {{}}, "categories": {json.dumps(names)}, "images": [')
        for i in range(1, images + 1):
            more = ""
            if is_lvis:
                absent = [generator.randrange(categories) + 1 for _ in range(7)]
                more = (
                    f', "neg_category_ids": {absent}, "not_exhaustive_category_ids": '
                    f"[{generator.randrange(categories) + 1}]"
                )
            url = f"http://images.cocodataset.org/train2017/{i:012d}.jpg"
            file.write(
                f'{", " if i > 1 else ""}{{"id": {i}, "file_name": "{i:012d}.jpg", '
                f'"coco_url": "{url}", "license": 3, '
            )
            file.write(
                f'"height": {height}, "width": {width}, "date_captured": "2013-11-14 '
                f'11:18:45"{more}}}'
            )
        file.write('], "annotations": [')
        for i in range(1, boxes + 1):
            x, y = generator.uniform(0, width - 20), generator.uniform(0, height - 20)
            box = [
                round(x, 2),
                round(y, 2),
                round(generator.uniform(4, 18), 2),
                round(generator.uniform(4, 18), 2),
            ]
            file.write(
                f'{", " if i > 1 else ""}{{"id": {i}, '
                f'"image_id": {generator.randrange(images) + 1}, "category_id": '
            )
            file.write(
                f'{generator.randrange(categories) + 1}, "bbox": {box}, "area": '
                f"{round(box[2] * box[3], 2)}, "
            )
            file.write(f'"iscrowd": 0, "segmentation": {masks[i % 50]}}}')
        file.write("]}")


def write_captions(path: Path, images: int) -> None:
    """Write five captions per image."""
    content = {
        "images": [
            {"id": i, "file_name": f"{i:012d}.jpg", "width": 64, "height": 48}
            for i in range(1, images + 1)
        ],
        "annotations": [
            {
                "id": 5 * i + k,
                "image_id": i,
                "caption": f"A photograph of thing number {i} that somebody described, take {k}.",
            }
            for i in range(1, images + 1)
            for k in range(5)
        ],
    }
    path.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
