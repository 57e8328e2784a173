"""Small ground truth of each benchmark, and `omnidet score` on it."""

from __future__ import annotations

import json

from omnidet import cli
from tests.evaluation.worlds import world


def write(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def score(benchmark, truth, found, *options):
    return cli.main(
        ["score", benchmark, "--ground-truth", truth, "--detections", found, *map(str, options)]
    )


EXPRESSIONS = [
    {"id": 11, "image_id": 1, "sentence": "red ball", "bbox": [0, 0, 10, 10]},
    {"id": 12, "image_id": 1, "sentence": "ball left of the dog", "bbox": [20, 0, 10, 10]},
    {"id": 13, "image_id": 2, "sentence": "dog", "bbox": [0, 0, 10, 10]},
    {"id": 14, "image_id": 2, "sentence": "cat", "bbox": [0, 0, 10, 10]},
]
RIGHT = [
    {"id": 11, "bbox": [0, 0, 10, 10]},
    {"id": 12, "bbox": [20, 0, 10, 5.1], "score": 0.9},
    {"id": 12, "bbox": [90, 0, 10, 5], "score": 0.8},
    {"id": 13, "bbox": [1, 1, 2, 2], "score": 0.9},
]
TRUTHS = {
    "coco": world(0)[0],
    "lvis": world(0, federated=True)[0],
    "refcocog": EXPRESSIONS,
    "flickr30k": [
        {"image_id": 7, "sentence_id": 0, "phrases": [{"phrase": "dogs", "boxes": [[0, 0, 1, 1]]}]}
    ],
}
