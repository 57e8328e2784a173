"""A hand-written evaluation on a small shard folder; every image has its own known mistake."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from omnidet.data import shard_writer, shards
from omnidet.measures.config import Benchmark
from omnidet.schema import Record
from tests import toys

BENCHMARKS = (
    Benchmark("coco", "coco", "eval/coco"),
    Benchmark("refcocog", "refcocog", "eval/refcocog", suffix="unseen"),
    Benchmark("lvis", "lvis", "eval/lvis", optional=True),
)
CATEGORIES = {1: "star", 2: "circle"}
LEFT, RIGHT = (4, 6, 24, 26), (34, 30, 54, 50)
SHIFTED = (13, 6, 33, 26)
"""Its IoU with `LEFT` is 11/29: the right object, but a poor box."""
EMPTY = (0, 44, 12, 60)
FOUND: dict[int, list[tuple[int, tuple[int, int, int, int], float]]] = {
    1: [(1, LEFT, 0.9), (2, RIGHT, 0.8)],
    2: [(1, LEFT, 0.85), (2, RIGHT, 0.75), (1, LEFT, 0.7)],
    3: [(1, SHIFTED, 0.65), (2, RIGHT, 0.6)],
    4: [(2, LEFT, 0.95), (2, RIGHT, 0.55)],
    5: [(1, LEFT, 0.5), (2, RIGHT, 0.45), (1, EMPTY, 0.97)],
    6: [],
}
"""What is found in each image: category, box, score.

Every image has a star at LEFT and a circle at RIGHT. Image 1 has no mistake, 2 a duplicate, 3 a
poor box, 4 a confusion, 5 a detection of the background; in 6 nothing is found.
"""
PHRASES = {
    1: ("the red star", LEFT, 0.9),
    2: ("star left of circle", RIGHT, 0.8),
    3: ("the round thing down there on the right", SHIFTED, 0.7),
    4: ("a star", EMPTY, 0.2),
    5: ("some star", LEFT, 0.4),
    6: ("big star", LEFT, 0.6),
}
"""The phrase of each image, for the star at LEFT, with the best box found and its score."""


def index(folder: Path, label: str = "") -> shards.Index:
    """The shard folder. `label` is added to every name and phrase, to make them long."""
    truth = ground_truth(label)
    made = [record(i, ("star" + label, "circle" + label), ((0,), (1,))) for i in FOUND]
    phrases = [record(i, (phrase + label,), ((0,),)) for i, (phrase, _, _) in PHRASES.items()]
    sets = {"eval/coco": shard_writer.write_set(made, folder, "eval/coco", 4)}
    sets["eval/refcocog"] = shard_writer.write_set(phrases, folder, "eval/refcocog", 4)
    content = json.dumps(truth).encode()
    (folder / "truth.json").write_bytes(content)
    names = {str(number): word + label for number, word in CATEGORIES.items()}
    entry = {"file": "truth.json", "sha256": hashlib.sha256(content).hexdigest(), "names": names}
    report = {
        "held_out": {"train/coco": {"coco val2017": 3}},
        "quarantined": {"coco: box: zero-size box": 2},
    }
    shards.write_index(folder, sets, {"eval/coco": entry}, report)
    return shards.read_index(str(folder))


def record(
    number: int, phrases: tuple[str, ...], phrase_boxes: tuple[tuple[int, ...], ...]
) -> Record:
    boxes = np.array([LEFT, RIGHT], np.float32)
    image = toys.png(64, 64, [LEFT, RIGHT], toys.COLOURS[number % 4])
    return Record(image, 64, 64, "coco", f"coco:{number}", boxes, phrases, phrase_boxes)


def ground_truth(label: str = "") -> dict[str, Any]:
    """The content of the annotation file, in the format of COCO."""
    annotations = [
        {
            "id": 2 * i + c,
            "image_id": i,
            "category_id": c,
            "bbox": xywh(box),
            "area": 400.0,
            "iscrowd": 0,
        }
        for i in FOUND
        for c, box in ((1, LEFT), (2, RIGHT))
    ]
    categories = [{"id": number, "name": name + label} for number, name in CATEGORIES.items()]
    return {
        "images": [{"id": i, "width": 64, "height": 64} for i in FOUND],
        "annotations": annotations,
        "categories": categories,
    }


def detections() -> list[dict[str, Any]]:
    """`FOUND` in the official result format."""
    return [
        {"image_id": i, "category_id": c, "bbox": xywh(box), "score": score}
        for i, found in FOUND.items()
        for c, box, score in found
    ]


def evaluation(folder: Path, label: str = "") -> Path:
    """The folder that `omnidet evaluate --out` would write."""
    folder.mkdir()
    rows = [
        {
            "image_id": f"coco:{i}",
            "phrase": phrase + label,
            "boxes_xyxy": [list(box)],
            "scores": [score],
        }
        for i, (phrase, box, score) in PHRASES.items()
    ]
    (folder / "eval_coco.json").write_text(json.dumps(detections()))
    (folder / "eval_refcocog.json").write_text(json.dumps(rows))
    values = {"coco/AP": 0.5, "coco/AP50": 0.6, "coco/APs": 0.5, "refcocog/AIGT_unseen": 0.5}
    details = {"coco": {"counts": {"images": len(FOUND)}}}
    content = {
        "values": values,
        "protocols": {"coco": "COCO bbox", "refcocog": "AIGT"},
        "details": details,
    }
    (folder / "index.json").write_text(json.dumps(content))
    return folder


def xywh(box: tuple[int, int, int, int]) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]
