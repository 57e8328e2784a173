"""Pictures for the tutorial "Label, correct, teach": the demo's shapes at dusk, and their truth.

    python docs/tutorials/dusk.py draw FOLDER       # pictures to label, others to measure on
    python docs/tutorials/dusk.py correct FOLDER    # FOLDER/draft, as a person would correct it

`draw` writes `pictures/` and their boxes (`truth.json`), `fresh/` and theirs (`fresh.json`), and
the names to look for (`words.txt`). `correct` puts the truth in place of what is wrong in the
annotations that `omnidet label --format coco` wrote, and counts what a person would have had to do.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnidet.data.tiny_world.scenes import Scene, Style, draw_scene, encode
from omnidet.data.tiny_world.sprites import SHAPES

SIDE = 128
LIGHT = (0.42, 0.47, 0.66)
"""Share of red, green and blue that is left."""
NOISE = 8.0
SAME, CLOSE = 0.5, 0.85
"""IoU from which a box means an object, and from which nobody would move it."""

Rows = list[dict[str, Any]]


def main() -> None:
    """Draw or correct."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("draw", "correct"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--label", type=int, default=200, help="pictures to label")
    parser.add_argument("--fresh", type=int, default=300, help="pictures to measure on")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.what == "draw":
        draw(options.folder, options.label, options.fresh, options.seed)
        return
    said = correct(options.folder / "draft" / "annotations.json", options.folder / "truth.json")
    print(", ".join(f"{count} {what}" for what, count in said.items()))


def draw(folder: Path, num_label: int, num_fresh: int, seed: int) -> None:
    """Write both sets of pictures and what is in them."""
    rng = np.random.default_rng(seed)
    for name, truth, count in (
        ("pictures", "truth.json", num_label),
        ("fresh", "fresh.json", num_fresh),
    ):
        (folder / name).mkdir(parents=True)
        content: dict[str, Rows] = {"images": [], "annotations": [], "categories": []}
        content["categories"] = [{"id": i, "name": name} for i, name in enumerate(SHAPES, start=1)]
        for number in range(1, count + 1):
            scene, pixels = draw_scene(rng, SIDE, Style(fewest=2))
            file = f"{number:06}.jpg"
            (folder / name / file).write_bytes(encode(_at_dusk(rng, pixels)))
            content["images"].append(
                {"id": number, "file_name": file, "width": SIDE, "height": SIDE}
            )
            content["annotations"] += _rows(scene, number, len(content["annotations"]))
        (folder / truth).write_text(json.dumps(content), encoding="utf-8")
    (folder / "words.txt").write_text("\n".join(SHAPES) + "\n", encoding="utf-8")


def _at_dusk(rng: np.random.Generator, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark, blue and grainy."""
    grain = rng.normal(0, NOISE, pixels.shape)
    return (pixels * np.array(LIGHT) + grain).clip(0, 255).astype(np.uint8)


def _rows(scene: Scene, image: int, before: int) -> Rows:
    rows = []
    for number, thing in enumerate(scene.things, start=before + 1):
        x0, y0, x1, y1 = thing.box_xyxy
        row = {"id": number, "image_id": image, "category_id": SHAPES.index(thing.shape) + 1}
        box = [x0, y0, x1 - x0, y1 - y0]
        rows.append({**row, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    return rows


def correct(draft: Path, truth: Path) -> Counter[str]:
    """Correct the boxes of a draft; returns how many were right, moved, renamed, removed, added."""
    content, right = (json.loads(path.read_text(encoding="utf-8")) for path in (draft, truth))
    drafted, true = _by_picture(content), _by_picture(right)
    ids = {image["file_name"]: image["id"] for image in content["images"]}
    numbers = {category["name"]: category["id"] for category in content["categories"]}
    said = Counter(dict.fromkeys(("right", "moved", "renamed", "removed", "added"), 0))
    corrected: Rows = []
    for file, image in ids.items():
        said.update(_compared(drafted[file], true[file]))
        for name, box in true[file]:
            row = {"id": len(corrected) + 1, "image_id": image, "category_id": numbers[name]}
            corrected.append({**row, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    content["annotations"] = corrected
    draft.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return said


def _by_picture(content: dict[str, Any]) -> dict[str, list[tuple[str, list[float]]]]:
    """Name and box of each annotation, by the file of its picture."""
    files = {image["id"]: image["file_name"] for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    found = defaultdict(list)
    for row in content["annotations"]:
        found[files[row["image_id"]]].append((names[row["category_id"]], row["bbox"]))
    return found


def _compared(
    drafted: list[tuple[str, list[float]]], true: list[tuple[str, list[float]]]
) -> Counter[str]:
    """What it takes to make the truth of a draft: the nearest boxes are paired first."""
    pairs = sorted(
        ((_iou(box, other), i, j) for i, (_, box) in enumerate(drafted)
         for j, (_, other) in enumerate(true)),
        reverse=True,
    )  # fmt: skip
    said: Counter[str] = Counter()
    used: tuple[set[int], set[int]] = set(), set()
    for overlap, i, j in pairs:
        if overlap < SAME or i in used[0] or j in used[1]:
            continue
        used[0].add(i)
        used[1].add(j)
        renamed = drafted[i][0] != true[j][0]
        said["renamed" if renamed else "right" if overlap >= CLOSE else "moved"] += 1
    said["removed"] += len(drafted) - len(used[0])
    said["added"] += len(true) - len(used[1])
    return said


def _iou(one: list[float], other: list[float]) -> float:
    """Of two boxes as x, y, width, height."""
    width, height = (
        max(0.0, min(one[i] + one[i + 2], other[i] + other[i + 2]) - max(one[i], other[i]))
        for i in (0, 1)
    )
    both = width * height
    return both / (one[2] * one[3] + other[2] * other[3] - both)


if __name__ == "__main__":
    main()
