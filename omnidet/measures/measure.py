"""A detector on the evaluation sets of a shard folder: Predictions -> rows on disk -> Metrics.

A `Measure` has two halves: `predict` finds the rows of each image, `judge` makes numbers of all of them. In between they
stand on disk, so that any number of ranks may predict and memory does not grow with the set. To add one, write the two
functions and a `Measure` of them, and name it in a recipe.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from omnidet import storage
from omnidet.boxes import iou
from omnidet.data import shards
from omnidet.data.vocabulary import is_relational
from omnidet.evaluation import absent as absent_protocol
from omnidet.evaluation import coco as coco_protocol
from omnidet.evaluation import flickr30k as flickr30k_protocol
from omnidet.evaluation import lvis as lvis_protocol
from omnidet.evaluation import phrase_files
from omnidet.evaluation import refcocog as refcocog_protocol
from omnidet.evaluation.detections import read_rows
from omnidet.inference.detector import OmniDet
from omnidet.measures import prediction_files
from omnidet.measures.prediction_files import Row
from omnidet.schema import Metrics, Record

IMAGES_AT_ONCE = 16
Records = Iterator[tuple[int, Record]]
"""Images of a set with their numbers in it."""
Found = Iterator[tuple[int, list[Row]]]
"""The rows of each image, by rising number."""


@dataclass(frozen=True)
class Measure:
    """How numbers come about."""

    predict: Callable[[OmniDet, shards.Index, str, Records], Found]
    """(detector, index, set name, some of the set's images) -> their rows."""
    judge: Callable[[shards.Index, str, Iterable[Row]], Metrics]
    """(index, set name, the rows of all images in order) -> numbers."""
    rows_name: str = ""
    """Part of the name of the file of rows, for those that are not the official results of the set."""
    needs_truth: bool = False
    """Whether it reads a file of ground truth that stands beside the shards."""


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

    @property
    def file_name(self) -> str:
        """Of its rows, in the folder of an evaluation."""
        ending = f".{self.measure.rows_name}" if self.measure.rows_name else ""
        return f"{self.set_name.replace('/', '_')}{ending}.json"


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


def run(
    detector: OmniDet, index: shards.Index, config: EvaluationConfig, folder: Path
) -> Evaluation:
    """Measure everything in one process; the rows go to `folder`.

    Raises ValueError for an evaluation set that is missing and not optional.
    """
    parts = folder / "parts"
    parts.mkdir()
    predict(detector, index, config, parts)
    result = judge(index, config, [parts], folder)
    storage.remove(parts)
    return result


def predict(
    detector: OmniDet,
    index: shards.Index,
    config: EvaluationConfig,
    folder: Path,
    rank: int = 0,
    ranks: int = 1,
) -> None:
    """Write the rows of every `ranks`-th image of each set to `folder`."""
    written = set()
    for benchmark in _present(index, config):
        if benchmark.file_name not in written:
            images = itertools.islice(
                enumerate(_images(index, benchmark.set_name)), rank, None, ranks
            )
            found = benchmark.measure.predict(detector, index, benchmark.set_name, images)
            prediction_files.write_part(folder / benchmark.file_name, found)
            written.add(benchmark.file_name)


def judge(
    index: shards.Index, config: EvaluationConfig, parts: Sequence[Path], folder: Path
) -> Evaluation:
    """Numbers of what all ranks predicted; the rows go to `folder`, each file one JSON list."""
    result = Evaluation({}, {}, {})
    for benchmark in _present(index, config):
        path = folder / benchmark.file_name
        if not path.exists():
            prediction_files.merge([part / benchmark.file_name for part in parts], path)
        metrics = benchmark.measure.judge(index, benchmark.set_name, read_rows(path))
        ending = f"_{benchmark.suffix}" if benchmark.suffix else ""
        # The parts of a metric (AIGT_plain) are not named twice: of a set with a suffix only the whole counts.
        parts_of = {k: v for k, v in metrics.values.items() if not (ending and "_" in k)}
        result.values.update(
            {f"{benchmark.name}/{key}{ending}": value for key, value in parts_of.items()}
        )
        result.protocols[benchmark.name] = metrics.protocol
        result.details[benchmark.name + ending] = dict(metrics.details)
    return result


def _present(index: shards.Index, config: EvaluationConfig) -> list[Benchmark]:
    chosen = [b for b in config.benchmarks if not b.optional or b.set_name in index.sets]
    for benchmark in chosen:
        index.shards(benchmark.set_name)  # names what is missing before hours of work
        if benchmark.measure.needs_truth:
            _ground_truth(index, benchmark.set_name)
    return chosen


def _predict_names(count: int) -> Callable[[OmniDet, shards.Index, str, Records], Found]:
    """The best `count` boxes of each image over all of the benchmark's names, in the official form."""

    def predict(detector: OmniDet, index: shards.Index, set_name: str, images: Records) -> Found:
        # A dataset may hold images that its boxes do not cover (COCO's captions list more): they are not judged.
        path, names = _ground_truth(index, set_name)
        judged = {
            int(image["id"]) for image in json.loads(path.read_text(encoding="utf-8"))["images"]
        }
        detector.vocabulary.check_names(list(names.values()))
        prompt = detector.prompt(list(names.values()))
        category_ids = [int(number) for number in names]
        known = (pair for pair in images if _number_of(pair[1]) in judged)
        while batch := list(itertools.islice(known, IMAGES_AT_ONCE)):
            found = detector.detect([record.image for _, record in batch], prompt, count)
            for (number, record), detections in zip(batch, found, strict=True):
                rows = []
                for box, score, phrase in zip(
                    detections.boxes_xyxy, detections.scores, detections.phrase, strict=True
                ):
                    x0, y0, x1, y1 = (float(v) for v in box)
                    row = {"image_id": _number_of(record), "category_id": category_ids[phrase]}
                    rows.append(row | {"bbox": [x0, y0, x1 - x0, y1 - y0], "score": float(score)})
                yield number, rows

    return predict


def _judge_coco(index: shards.Index, set_name: str, rows: Iterable[Row]) -> Metrics:
    return coco_protocol.evaluate(_ground_truth(index, set_name)[0], rows)


def _judge_lvis(index: shards.Index, set_name: str, rows: Iterable[Row]) -> Metrics:
    return lvis_protocol.evaluate(_ground_truth(index, set_name)[0], rows)


def _judge_lvis_fixed(index: shards.Index, set_name: str, rows: Iterable[Row]) -> Metrics:
    return lvis_protocol.evaluate(_ground_truth(index, set_name)[0], rows, protocol="fixed")


def _predict_expressions(
    detector: OmniDet, index: shards.Index, set_name: str, images: Records
) -> Found:
    for number, record in images:
        scrambled = [refcocog_protocol.scramble(text) for text in record.phrases]
        located = (
            detector.locate(record.image, [*record.phrases, *scrambled]) if record.phrases else []
        )
        pairs = zip(record.phrases, located, located[len(record.phrases) :], strict=False)
        yield (
            number,
            [
                _phrase_row(record, text, *own) | {"scrambled_box_xyxy": _plain(control[0][0])}
                for text, own, control in pairs
            ],
        )


def _judge_expressions(index: shards.Index, set_name: str, rows: Iterable[Row]) -> Metrics:
    expressions, chosen, scrambled = [], [], []
    for record, text, named, row in _phrases(index, set_name, rows):
        truth = record.boxes_xyxy[list(named)]
        expressions.append(
            refcocog_protocol.Expression(record.image_id, text, truth, is_relational(text))
        )
        chosen.append(row["boxes_xyxy"][0])
        scrambled.append(row["scrambled_box_xyxy"])
    boxes, control = (np.array(part, np.float32).reshape(-1, 4) for part in (chosen, scrambled))
    return refcocog_protocol.evaluate(expressions, boxes, control)


def _predict_phrases(
    detector: OmniDet, index: shards.Index, set_name: str, images: Records
) -> Found:
    counted = _counted_phrases(index, set_name)
    for number, record in images:
        known = {text.lower() for text in record.phrases}
        others = {
            p.text.lower(): p.text
            for p in counted.get(record.image_id, [])
            if p.text.lower() not in known
        }
        asked = [*record.phrases, *others.values()]
        located = detector.locate(record.image, asked, top=10) if asked else []
        yield (
            number,
            [_phrase_row(record, text, *own) for text, own in zip(asked, located, strict=True)],
        )


def _judge_phrases(index: shards.Index, set_name: str, rows: Iterable[Row]) -> Metrics:
    """Each phrase of each sentence counts once; equal words of an image share what was found for them."""
    found = {
        (row["image_id"], row["phrase"].lower()): np.array(row["boxes_xyxy"], np.float32).reshape(
            -1, 4
        )
        for row in rows
    }
    counted = _counted_phrases(index, set_name)
    truths = [
        phrase
        for record in shards.texts(index, set_name)
        for phrase in counted.get(record.image_id, [])
    ]
    lacking = next((t for t in truths if (t.image_id, t.text.lower()) not in found), None)
    if lacking:
        raise ValueError(
            f"{set_name}: no prediction for {lacking.text!r} of image {lacking.image_id}: evaluate anew"
        )
    return flickr30k_protocol.evaluate(truths, [found[t.image_id, t.text.lower()] for t in truths])


def _counted_phrases(
    index: shards.Index, set_name: str
) -> dict[str, list[flickr30k_protocol.PhraseTruth]]:
    """Those of all sentences with boxes, by image."""
    found: dict[str, list[flickr30k_protocol.PhraseTruth]] = {}
    for phrases in phrase_files.read_phrases(str(_ground_truth(index, set_name)[0]), "").values():
        for phrase in phrases:
            found.setdefault(phrase.image_id, []).append(phrase)
    return found


def _predict_absent(
    detector: OmniDet, index: shards.Index, set_name: str, images: Records
) -> Found:
    for number, record in images:
        asked = [*record.phrases, *record.absent]
        located = detector.locate(record.image, asked, top=10**9) if asked else []
        row: Row = {"image_id": record.image_id, "true": [], "absent": []}
        for named, (boxes, scores) in zip(record.phrase_boxes, located, strict=False):
            meets_NQ = (
                iou(
                    torch.from_numpy(record.boxes_xyxy[list(named)])[:, None],
                    torch.from_numpy(boxes),
                )
                >= 0.5
            )
            row["true"] += [
                _short(scores[meets].max()) if meets.any() else -1.0 for meets in meets_NQ.numpy()
            ]
        row["absent"] = [_short(scores.max()) for _, scores in located[len(record.phrases) :]]
        yield number, [row]


def _judge_absent(index: shards.Index, set_name: str, rows: Iterable[Row]) -> Metrics:
    true, missing = zip(*((row["true"], row["absent"]) for row in rows), strict=True)
    return absent_protocol.evaluate(true, missing)


coco = Measure(_predict_names(100), _judge_coco, needs_truth=True)
"""COCO box AP, 100 detections an image."""
lvis = Measure(_predict_names(300), _judge_lvis, needs_truth=True)
"""LVIS box AP, 300 detections an image."""
lvis_fixed = Measure(_predict_names(1000), _judge_lvis_fixed, "fixed", needs_truth=True)
"""LVIS fixed AP: 10,000 detections a category, of 1,000 an image."""
refcocog = Measure(_predict_expressions, _judge_expressions)
"""Share of expressions whose best box meets the annotated one, and with their words scrambled."""
flickr30k = Measure(_predict_phrases, _judge_phrases, needs_truth=True)
"""Recall of phrases at 1, 5 and 10 boxes; every phrase of every sentence counts, as in Flickr30K's own custom."""
absent = Measure(_predict_absent, _judge_absent, "absent")
"""False positives on names that are verified absent, of any set that lists some."""


def _phrases(
    index: shards.Index, set_name: str, rows: Iterable[Row]
) -> Iterator[tuple[Record, str, tuple[int, ...], Mapping[str, Any]]]:
    """Each phrase of the set with its boxes and its row."""
    remaining = iter(rows)
    for record in shards.texts(index, set_name):
        for text, named in zip(record.phrases, record.phrase_boxes, strict=True):
            row = next(remaining, None)
            if row is None or (row["image_id"], row["phrase"]) != (record.image_id, text):
                raise ValueError(
                    f"{set_name}: no prediction for {text!r} of image {record.image_id}: evaluate anew"
                )
            yield record, text, named, row


def _phrase_row(record: Record, text: str, boxes: Any, scores: Any) -> Row:
    rows = [_plain(box) for box in boxes]
    return {
        "image_id": record.image_id,
        "phrase": text,
        "boxes_xyxy": rows,
        "scores": [_short(score) for score in scores],
    }


def _plain(box: Any) -> list[float]:
    return [_short(v) for v in box]


def _short(value: Any) -> float:
    """The shortest number that reads back as the same float32."""
    return float(str(np.float32(value)))


def _ground_truth(index: shards.Index, set_name: str) -> tuple[Path, dict[str, str]]:
    """The official annotation file, checked, and the words of each category id."""
    truth = index.ground_truth.get(set_name)
    if truth is None:
        raise ValueError(
            f"{index.location} has no ground truth for {set_name!r}: build the shards again, with it as an evaluation set"
        )
    path = storage.local_copy(storage.join(index.location, truth["file"]), ".cache/shards")
    if hashlib.sha256(path.read_bytes()).hexdigest() != truth["sha256"]:
        raise ValueError(f"{path} is corrupt (its hash is not the index's): build the shards again")
    names: dict[str, str] = truth["names"]
    return path, names


def _number_of(record: Record) -> int:
    return int(record.image_id.partition(":")[2])


def _images(index: shards.Index, set_name: str) -> Iterator[Record]:
    total = shards.num_samples(index.shards(set_name))
    yield from tqdm(
        shards.records(index, set_name), total=total, desc=set_name, unit="image", mininterval=1
    )
