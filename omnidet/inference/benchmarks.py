"""A detector on the evaluation sets of a shard folder: Predictions -> the official result format -> Metrics.

A benchmark is a function `(OmniDet, Index, set name) -> (Metrics, rows)`; the rows are the predictions as they are judged.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from omnidet import storage
from omnidet.data import shards
from omnidet.data.vocabulary import is_relational
from omnidet.evaluation import coco as coco_protocol
from omnidet.evaluation import flickr30k as flickr30k_protocol
from omnidet.evaluation import lvis as lvis_protocol
from omnidet.evaluation import refcocog as refcocog_protocol
from omnidet.evaluation.detections import Detection
from omnidet.inference.detector import OmniDet
from omnidet.schema import Metrics, Record

Rows = list[dict[str, Any]]
Measure = Callable[[OmniDet, shards.Index, str], tuple[Metrics, Rows]]

IMAGES_AT_ONCE = 16


@dataclass(frozen=True)
class Benchmark:
    """One evaluation of a run."""

    name: str
    """Its numbers are called `<name>/<metric>`."""
    measure: Measure
    set_name: str
    """Shard set, such as `eval/coco`."""
    suffix: str = ""
    """Added to each metric's name, as `AIGT_unseen`: for several sets under one name."""
    optional: bool = False
    """Whether a shard folder without the set will do."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured."""

    benchmarks: tuple[Benchmark, ...]


@dataclass(frozen=True)
class Evaluation:
    """The outcome of all benchmarks of a run."""

    values: dict[str, float]
    """`coco/AP50` and the like."""
    protocols: dict[str, str]
    """How the numbers of each benchmark were made."""
    details: dict[str, Any]
    rows: dict[str, Rows]
    """Predictions by shard set."""


def run(detector: OmniDet, index: shards.Index, config: EvaluationConfig) -> Evaluation:
    """Measure everything. Raises ValueError for an evaluation set that is missing and not optional."""
    result = Evaluation({}, {}, {}, {})
    for benchmark in config.benchmarks:
        if benchmark.optional and benchmark.set_name not in index.sets:
            continue
        metrics, rows = benchmark.measure(detector, index, benchmark.set_name)
        ending = f"_{benchmark.suffix}" if benchmark.suffix else ""
        # The parts of a metric (AIGT_plain) are not named twice: of a set with a suffix only the whole counts.
        parts = {k: v for k, v in metrics.values.items() if not (ending and "_" in k)}
        result.values.update({f"{benchmark.name}/{key}{ending}": value for key, value in parts.items()})
        result.protocols[benchmark.name] = metrics.protocol
        result.details[benchmark.name + ending] = dict(metrics.details)
        result.rows[benchmark.set_name] = rows
    return result


def coco(detector: OmniDet, index: shards.Index, set_name: str) -> tuple[Metrics, Rows]:
    """COCO box AP, 100 detections an image."""
    path, rows = _detect_names(detector, index, set_name, 100)
    return coco_protocol.evaluate(path, rows), [dict(row) for row in rows]


def lvis(detector: OmniDet, index: shards.Index, set_name: str) -> tuple[Metrics, Rows]:
    """LVIS box AP, 300 detections an image."""
    path, rows = _detect_names(detector, index, set_name, 300)
    return lvis_protocol.evaluate(path, rows), [dict(row) for row in rows]


def refcocog(detector: OmniDet, index: shards.Index, set_name: str) -> tuple[Metrics, Rows]:
    """Share of expressions whose best box meets the annotated one."""
    expressions, chosen, rows = [], [], []
    for record in _images(index, set_name):
        located = detector.locate(record.image, record.phrases) if record.phrases else []
        for text, named, (boxes, scores) in zip(record.phrases, record.phrase_boxes, located, strict=True):
            truth = record.boxes_xyxy[list(named)]
            expressions.append(refcocog_protocol.Expression(record.image_id, text, truth, is_relational(text)))
            chosen.append(boxes[0])
            rows.append(_phrase_row(record, text, boxes, scores))
    return refcocog_protocol.evaluate(expressions, np.array(chosen, np.float32).reshape(-1, 4)), rows


def flickr30k(detector: OmniDet, index: shards.Index, set_name: str) -> tuple[Metrics, Rows]:
    """Recall of phrases at 1, 5 and 10 boxes."""
    truths, predictions, rows = [], [], []
    for record in _images(index, set_name):
        located = detector.locate(record.image, record.phrases, top=10) if record.phrases else []
        for text, named, (boxes, scores) in zip(record.phrases, record.phrase_boxes, located, strict=True):
            truths.append(flickr30k_protocol.PhraseTruth(record.image_id, text, record.boxes_xyxy[list(named)]))
            predictions.append(boxes)
            rows.append(_phrase_row(record, text, boxes, scores))
    return flickr30k_protocol.evaluate(truths, predictions), rows


def _detect_names(detector: OmniDet, index: shards.Index, set_name: str, count: int) -> tuple[str, Sequence[Detection]]:
    """The ground truth's path, and the best `count` boxes of each image over all of the benchmark's names."""
    truth = index.ground_truth.get(set_name)
    if truth is None:
        raise ValueError(f"{index.location} has no ground truth for {set_name!r}: build the shards with an evaluation set")
    path = storage.local_copy(storage.join(index.location, truth["file"]), ".cache/shards")
    if hashlib.sha256(path.read_bytes()).hexdigest() != truth["sha256"]:
        raise ValueError(f"{path} is corrupt (its hash is not the index's): build the shards again")
    # A dataset may hold images that its boxes do not cover (COCO's captions list more): they are not judged.
    judged = {int(image["id"]) for image in json.loads(path.read_text(encoding="utf-8"))["images"]}
    names = truth["names"]
    detector.vocabulary.check_names(list(names.values()))
    prompt = detector.prompt(list(names.values()))
    category_ids = [int(number) for number in names]
    rows: list[Detection] = []
    images = (record for record in _images(index, set_name) if int(record.image_id.partition(":")[2]) in judged)
    for records in _batches(images, IMAGES_AT_ONCE):
        found = detector.detect([record.image for record in records], prompt, count)
        for record, detections in zip(records, found, strict=True):
            image_id = int(record.image_id.partition(":")[2])
            for box, score, phrase in zip(detections.boxes_xyxy, detections.scores, detections.phrase, strict=True):
                x0, y0, x1, y1 = (float(v) for v in box)
                bbox = [x0, y0, x1 - x0, y1 - y0]
                rows.append({"image_id": image_id, "category_id": category_ids[phrase], "bbox": bbox, "score": float(score)})
    return str(path), rows


def _phrase_row(record: Record, text: str, boxes: Any, scores: Any) -> dict[str, Any]:
    return {
        "image_id": record.image_id,
        "phrase": text,
        "boxes_xyxy": [[round(float(v), 2) for v in box] for box in boxes],
        "scores": [round(float(score), 6) for score in scores],
    }


def _images(index: shards.Index, set_name: str) -> Iterator[Record]:
    total = shards.num_samples(index.shards(set_name))
    yield from tqdm(shards.records(index, set_name), total=total, desc=set_name, unit="image", mininterval=1)


def _batches(records: Iterator[Record], size: int) -> Iterator[list[Record]]:
    while batch := list(itertools.islice(records, size)):
        yield batch


def to_json(rows: Rows) -> str:
    """Rows in the official form: one JSON list."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
