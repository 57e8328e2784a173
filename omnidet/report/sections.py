"""Shards and an evaluation -> the sections of the report: analyses and pictures by benchmark."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnidet import storage
from omnidet.data import shards
from omnidet.data.annotated.write import FILE
from omnidet.evaluation import name_analysis, phrase_analysis, stored
from omnidet.evaluation.mistakes import LEAST_IOU
from omnidet.evaluation.name_analysis import NameAnalysis
from omnidet.evaluation.phrase_analysis import PhraseAnalysis, PhraseBoxes
from omnidet.evaluation.truth import read
from omnidet.measures.config import Benchmark
from omnidet.measures.ground_truth import ground_truth
from omnidet.report.page import Section
from omnidet.report.pictures import Box, Sample
from omnidet.schema import FloatArray, Record
from omnidet.storage import Location

NUM_SAMPLES = 6
"""How many good pictures of each evaluation set are shown, and how many bad ones."""
MOST_BOXES = 15
"""How many detections are drawn in a picture, best first; more would hide it."""
GOOD = {"names": "No mistakes", "phrase": "Right, with the highest scores"}
BAD = {"names": "Most mistakes", "phrase": "Wrong, with the highest scores"}


def sections(
    index: shards.Index, benchmarks: Sequence[Benchmark], evaluation: Location
) -> list[Section]:
    """One section for each benchmark that the evaluation holds, in their order.

    Raises:
        FileNotFoundError, ValueError: if the evaluation is damaged or belongs to other shards.
    """
    return [_section(index, b, evaluation) for b in benchmarks if _is_there(index, b, evaluation)]


def _is_there(index: shards.Index, benchmark: Benchmark, evaluation: Location) -> bool:
    # Rows of their own, those of fixed AP or of absent names, belong to a set that has its section.
    if benchmark.set_name not in index.sets or benchmark.loaded.rows_name:
        return False
    return not benchmark.optional or storage.exists(stored.place(evaluation, benchmark.set_name))


def _section(index: shards.Index, benchmark: Benchmark, evaluation: Location) -> Section:
    set_name = benchmark.set_name
    name = " ".join(part for part in (benchmark.name, benchmark.suffix) if part)
    rows = stored.rows(evaluation, set_name)
    truth = None
    if index.ground_truth.get(set_name, {}).get("names"):
        path, words = ground_truth(index, set_name)
        truth = read(path, federated=None)
    try:
        if truth:
            called = {int(category_id): word for category_id, word in words.items()}
            of_names = name_analysis.analyse(truth, rows, called)
            samples = _names_samples(index, set_name, of_names, _files(path))
            return Section(name, benchmark.name, of_names, samples)
        truths, boxes, scores = _phrases(index, set_name, rows)
        of_phrases = phrase_analysis.analyse(truths, boxes, scores)
        samples = _phrase_samples(index, set_name, of_phrases, truths, boxes)
        return Section(name, benchmark.name, of_phrases, samples)
    except ValueError as error:
        place = stored.place(evaluation, set_name)
        message = str(error) if place in str(error) else f"{place}: {error}"
        remedy = "" if stored.REMEDY in message else f"; {stored.REMEDY}"
        raise ValueError(message + remedy) from error


def _files(truth: Path) -> dict[int, str]:
    """What people call the pictures of their own: the names of their files, by the image's id."""
    images = json.loads(truth.read_bytes())["images"]
    return {int(image["id"]): image[FILE] for image in images if isinstance(image.get(FILE), str)}


def _names_samples(
    index: shards.Index, set_name: str, result: NameAnalysis, files: Mapping[int, str]
) -> list[Sample]:
    """The images with the most boxes and no mistake, then those with the most mistakes."""
    errors = {i: o.wrong + o.missed for i, o in result.outcomes.items()}
    right = [i for i in errors if not errors[i] and result.outcomes[i].right]
    good = sorted(right, key=lambda i: (-result.outcomes[i].right, i))[:NUM_SAMPLES]
    bad = sorted((i for i in errors if errors[i]), key=lambda i: (-errors[i], i))[:NUM_SAMPLES]
    records = {_number(record): record for record in _records(index, set_name, {*good, *bad})}
    samples = []
    for group, chosen in ((GOOD["names"], good), (BAD["names"], bad)):
        for image_id in chosen:
            if image_id in records:
                record, shown = records[image_id], result.shown(image_id)[:MOST_BOXES]
                found = [(s.box_xyxy, s.name, s.score) for s in shown]
                samples.append(
                    Sample(
                        title=files.get(image_id) or _title(record),
                        kind="names",
                        image=record.image,
                        truth=_truth(record),
                        predicted=found,
                        group=group,
                        mistakes=[s.mistake for s in shown],
                    )
                )
    return samples


def _phrases(
    index: shards.Index, set_name: str, rows: Iterator[dict[str, Any]]
) -> tuple[list[PhraseBoxes], FloatArray, FloatArray]:
    """Each phrase that has boxes, the best box for it (P, 4), and its score (P,)."""
    found = {}
    for number, row in enumerate(rows):
        try:
            found[row["image_id"], row["phrase"]] = (
                np.array(row["boxes_xyxy"][0], np.float32).reshape(4),
                float(row["scores"][0]),
            )
        except (KeyError, IndexError, TypeError, ValueError) as error:
            message = f"prediction {number} has no phrase, box or score: {stored.REMEDY}"
            raise ValueError(message) from error
    truths = []
    for record in shards.texts(index, set_name):
        for phrase, named in zip(record.phrases, record.phrase_boxes, strict=True):
            if named:
                others = np.delete(record.boxes_xyxy, list(named), 0)
                truths.append(
                    PhraseBoxes(record.image_id, phrase, record.boxes_xyxy[list(named)], others)
                )
    lacking = [t for t in truths if (t.image_id, t.phrase) not in found]
    if lacking:
        raise ValueError(
            f"nothing is predicted for {lacking[0].phrase!r} of image {lacking[0].image_id}: "
            f"{stored.REMEDY}"
        )
    best = [found[t.image_id, t.phrase] for t in truths]
    boxes = np.array([box for box, _ in best], np.float32).reshape(-1, 4)
    return truths, boxes, np.array([score for _, score in best], np.float32)


def _phrase_samples(
    index: shards.Index,
    set_name: str,
    result: PhraseAnalysis,
    truths: Sequence[PhraseBoxes],
    boxes: FloatArray,
) -> list[Sample]:
    """The right and the wrong boxes of the highest scores, each image once."""
    right_P = result.iou_P >= LEAST_IOU
    chosen: list[tuple[str, int]] = []
    for group, members_P in ((GOOD["phrase"], right_P), (BAD["phrase"], ~right_P)):
        members = np.flatnonzero(members_P)
        by_image: dict[str, int] = {}
        for p in members[np.argsort(-result.score_P[members], kind="stable")]:
            by_image.setdefault(truths[p].image_id, int(p))
        chosen += [(group, p) for p in list(by_image.values())[:NUM_SAMPLES]]
    wanted = {truths[p].image_id for _, p in chosen}
    records = {
        r.image_id: r
        for r in _records(index, set_name, {i.partition(":")[2] for i in wanted})
        if r.image_id in wanted
    }
    samples = []
    for group, p in chosen:
        truth = truths[p]
        true_boxes = [(_box(box), truth.phrase) for box in truth.boxes_xyxy]
        found = [(_box(boxes[p]), truth.phrase, float(result.score_P[p]))]
        samples.append(
            Sample(truth.phrase, "phrase", records[truth.image_id].image, true_boxes, found, group)
        )
    return samples


def _records(
    index: shards.Index, set_name: str, numbers: Collection[int | str]
) -> Iterator[Record]:
    """The records of these images; no other pictures are read."""
    wanted = {str(number) for number in numbers}
    for shard in index.shards(set_name):
        reader = shards.open_shard(index.location, shard)
        for i in range(shard.samples):
            if reader.read_texts(i).image_id.partition(":")[2] in wanted:
                yield reader.read(i)


def _title(record: Record) -> str:
    """Such as `coco 1759`, or `lvis 1759 (coco)` for another dataset on the same pictures."""
    collection, _, number = record.image_id.partition(":")
    return f"{record.source} {number}" + (f" ({collection})" if collection != record.source else "")


def _number(record: Record) -> int:
    return int(record.image_id.partition(":")[2])


def _truth(record: Record) -> list[tuple[Box, str]]:
    pairs = zip(record.phrases, record.phrase_boxes, strict=True)
    return [(_box(record.boxes_xyxy[i]), phrase) for phrase, named in pairs for i in named]


def _box(box: FloatArray) -> Box:
    x0, y0, x1, y1 = (float(v) for v in box)
    return x0, y0, x1, y1
