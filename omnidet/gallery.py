"""Evaluation shards and predictions -> pictures for the report."""

from __future__ import annotations

import json
from typing import Any

import torch

from omnidet import boxes, storage
from omnidet.data import shards
from omnidet.report.pictures import Sample
from omnidet.schema import Record
from omnidet.storage import Location

NUM_SAMPLES = 12
"""Pictures of each evaluation set."""
SHOWN_SCORE = 0.3
"""Detections below this score are left out of the pictures."""
SAME_REGION = 0.6
"""Boxes of a higher IoU are shown as one."""

Box = tuple[float, float, float, float]


def samples(index: shards.Index, set_name: str, evaluation: Location) -> list[Sample]:
    """The first images of a set with what is true and what was found."""
    rows = json.loads(storage.read_text(storage.join(evaluation, f"{set_name.replace('/', '_')}.json")))
    by_image: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(str(row["image_id"]).rpartition(":")[2], []).append(row)
    truth = index.ground_truth.get(set_name)
    chosen: list[Sample] = []
    for record in shards.records(index, set_name):
        own = by_image.get(record.image_id.partition(":")[2], [])
        if len(chosen) == NUM_SAMPLES:
            break
        if record.phrases:
            chosen.append(_names_sample(record, own, truth["names"]) if truth else _phrase_sample(record, own[0]))
    return chosen


def _names_sample(record: Record, rows: list[dict[str, Any]], names: dict[str, str]) -> Sample:
    found: list[tuple[Box, str, float]] = []
    for row in sorted(rows, key=lambda row: -row["score"]):
        x, y, w, h = row["bbox"]
        box = (x, y, x + w, y + h)
        # A region may have several names; a picture shows the best one.
        if row["score"] >= SHOWN_SCORE and all(_overlap(box, shown) < SAME_REGION for shown, _, _ in found):
            found.append((box, names[str(row["category_id"])], row["score"]))
    return Sample(f"{record.source} {record.image_id}", "names", record.image, _truth(record), found)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return float(boxes.iou(torch.tensor(one), torch.tensor(other)))


def _phrase_sample(record: Record, row: dict[str, Any]) -> Sample:
    truth = [(box, label) for box, label in _truth(record) if label == row["phrase"]]
    found = [(tuple(row["boxes_xyxy"][0]), row["phrase"], row["scores"][0])]
    return Sample(row["phrase"], "phrase", record.image, truth, found)


def _truth(record: Record) -> list[tuple[tuple[float, float, float, float], str]]:
    pairs = zip(record.phrases, record.phrase_boxes, strict=True)
    return [(tuple(float(v) for v in record.boxes_xyxy[i]), phrase) for phrase, named in pairs for i in named]  # type: ignore[misc]
