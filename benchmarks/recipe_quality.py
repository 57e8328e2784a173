"""How good a contestant is, by the product's own protocols: a part of `recipes.py`."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import heads
import numpy as np
import torch
from heads import grounding

from omnidet import storage
from omnidet.data import shards
from omnidet.data.relations import is_relational
from omnidet.data.vocabulary import Vocabulary
from omnidet.evaluation import logistic, resampling
from omnidet.evaluation import refcocog as expressions
from omnidet.evaluation.calibration import BINS
from omnidet.evaluation.mistakes import LEAST_IOU
from omnidet.evaluation.name_analysis import LEAST_SCORE, NameAnalysis
from omnidet.evaluation.phrase_analysis import PhraseAnalysis
from omnidet.evaluation.truth import Bools, Doubles
from omnidet.inference import pictures
from omnidet.measures import run
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.measures.sample import Sample
from omnidet.model.detector import Detector
from omnidet.report import sections
from omnidet.schema import IntArray, Record

GLANCED = 60
"""Images of a measurement on the way, of each kind."""
OF_PHRASES = ("refcocog", "flickr30k")
"""Measures that ask for descriptions: a head that sees all phrases together gets one at a time."""
BEST = 300
"""Boxes of a picture, over all names."""
PASSES = 25
"""Passes whose time stands for all of a larger number."""
ROUNDS = 5


class Glance:
    """AP of some pictures, and the share of their expressions that are found."""

    def __init__(self, index: shards.Index, benchmarks: Sequence[Benchmark]) -> None:
        names = next(b for b in benchmarks if b.measure == "coco")
        found = next(b for b in benchmarks if b.measure == "refcocog")
        self._sample = Sample(index, names, GLANCED)
        self._records = list(itertools.islice(shards.records(index, found.set_name), GLANCED))

    def __call__(self, detector: Detector, vocabulary: Vocabulary) -> dict[str, float]:
        """`AP`, `AP50` and `referring`."""
        values = self._sample.measure(heads.asked(detector, vocabulary))
        asked = heads.asked(detector, vocabulary, one_by_one=True)
        truths, boxes = [], []
        for record in self._records:
            located = asked.locate(record.image, record.phrases)
            truths += _expressions(record)
            boxes += [best[0] for best, _ in located]
        found = expressions.evaluate(truths, np.array(boxes, np.float32))
        return {**values, "referring": found.values["AIGT"]}


def _expressions(record: Record) -> list[expressions.Expression]:
    return [
        expressions.Expression(
            record.image_id, text, record.boxes_xyxy[list(named)], is_relational(text)
        )
        for text, named in zip(record.phrases, record.phrase_boxes, strict=True)
    ]


def measure(
    detector: Detector,
    vocabulary: Vocabulary,
    index: shards.Index,
    evaluation: EvaluationConfig,
    folder: Path,
) -> dict[str, Any]:
    """`values` and `resamples` of all benchmarks, calibration errors among them."""
    values: dict[str, float] = {}
    resamples: dict[str, list[float | None]] = {}
    for of_phrases in (False, True):
        chosen = tuple(b for b in evaluation.benchmarks if (b.measure in OF_PHRASES) == of_phrases)
        asked = heads.asked(detector, vocabulary, one_by_one=of_phrases)
        place = folder / ("phrases" if of_phrases else "names")
        storage.remove(place)
        place.mkdir(parents=True)
        found = run.in_one_process(asked, index, EvaluationConfig(chosen), place)
        values |= found.values
        for benchmark in chosen:
            ending = f"_{benchmark.suffix}" if benchmark.suffix else ""
            details = found.details[benchmark.name + ending]
            for metric, drawn in details.get("resamples", {}).items():
                if f"{benchmark.name}/{metric}{ending}" in found.values:
                    resamples[f"{benchmark.name}/{metric}{ending}"] = drawn
            for section in sections.sections(index, [benchmark], str(place)):
                name = section.name.replace(" ", "_")
                score_D, *judged = _judged(index, benchmark.set_name, section.analysis)
                for kind, scores in (
                    ("calibration", score_D),
                    ("fitted", fitted(score_D, *judged[:2])),
                ):
                    whole, drawn = calibration_errors(scores, *judged)
                    values[f"{kind}/{name}"] = whole
                    resamples[f"{kind}/{name}"] = [
                        None if np.isnan(v) else round(float(v), 6) for v in drawn
                    ]
    return {"values": values, "resamples": resamples}


def _judged(
    index: shards.Index, set_name: str, analysis: NameAnalysis | PhraseAnalysis
) -> tuple[Doubles, Bools, IntArray, int]:
    """Scores, whether they are right, the number of their image, and how many images there are."""
    if isinstance(analysis, NameAnalysis):
        verdicts = analysis.verdicts
        counts_D = ~verdicts.ignored_TD[0] & (verdicts.score_D >= LEAST_SCORE)
        ids = np.sort(np.array(verdicts.truth.image_ids))
        image_D = np.searchsorted(ids, verdicts.image_D[counts_D])
        return verdicts.score_D[counts_D], verdicts.found_TD[0][counts_D], image_D, len(ids)
    # In the order of the analysis: the phrases with boxes of one picture after the other.
    images = [
        number
        for number, record in enumerate(shards.texts(index, set_name))
        for named in record.phrase_boxes
        if named
    ]
    _, image_P = np.unique(images, return_inverse=True)
    return analysis.score_P, analysis.iou_P >= LEAST_IOU, image_P, int(image_P.max()) + 1


def fitted(score_D: Doubles, right_D: Bools, image_D: IntArray) -> Doubles:
    """Scores by a scale and an offset of the logits, fitted on the other half of the images.

    Platt, Probabilistic Outputs for Support Vector Machines, 1999.
    """
    clear_D = np.clip(score_D, 1e-6, 1 - 1e-6)
    features_DF = np.stack([np.log(clear_D / (1 - clear_D)), np.ones(len(score_D))], 1)
    found_D = np.zeros(len(score_D))
    for half in (0, 1):
        own_D = image_D % 2 == half
        weights = logistic.fit(features_DF[~own_D], right_D[~own_D], np.array([1.0, 0.0]))
        found_D[own_D] = logistic.chances(features_DF[own_D] @ weights)
    return found_D


def calibration_errors(
    score_D: Doubles, right_D: Bools, image_D: IntArray, num_images: int
) -> tuple[float, Doubles]:
    """The expected calibration error, and on each draw of the images (B,); NaN without detections.

    The scores are what they are: a draw does not fit them again.
    """
    bin_D = np.clip((score_D * BINS).astype(int), 0, BINS - 1)
    errors = []
    for weight_I in [np.ones(num_images), *resampling.draw(num_images)]:
        weight_D = weight_I[image_D]
        off_B = np.bincount(bin_D, weight_D * (score_D - right_D), BINS)
        total = weight_D.sum()
        errors.append(np.abs(off_B).sum() / total if total else np.nan)
    whole = 0.0 if np.isnan(errors[0]) else float(errors[0])
    return whole, np.array(errors[1:])


def inference(
    detector: Detector, vocabulary: Vocabulary, index: shards.Index, counts: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Processor seconds by the number of names: to read them, and for a picture once they are."""
    set_name = next(name for name in index.sets if name.startswith("eval/"))
    image = next(iter(shards.records(index, set_name))).image
    asked = heads.asked(detector, vocabulary)
    times: dict[str, dict[str, float]] = {"reading": {}, "inference": {}}
    for count in counts:
        names = made_up(vocabulary, count)
        if isinstance(asked, grounding.Asked):
            reading, taken = _in_passes(asked, image, names)
        else:
            began = time.process_time()
            prompt = asked.prompt(names)
            reading = time.process_time() - began
            taken = _median(functools.partial(asked.detect, image, prompt, BEST))
        times["reading"][str(count)], times["inference"][str(count)] = reading, taken
    return times


def made_up(vocabulary: Vocabulary, count: int) -> list[str]:
    """Distinct names of two or three words of the vocabulary, the same for all contestants."""
    tokens = sorted(vocabulary.tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    decoded = [vocabulary.tokenizer.decode([i]).strip() for _, i in tokens]
    words = sorted({word for word in decoded if word.isascii() and word.isalpha() and word[1:]})
    draw = np.random.default_rng(0)
    names: dict[str, None] = {}
    while len(names) < count:
        for number, chosen in enumerate(draw.choice(len(words), (count, 3))):
            names[" ".join(words[i] for i in chosen[: 2 + number % 2])] = None
            if len(names) == count:
                break
    return list(names)


@torch.inference_mode()
def _in_passes(asked: grounding.Asked, image: bytes, names: Sequence[str]) -> tuple[float, float]:
    """To read the names, and for a picture. Of many passes, the time of some stands for all."""
    detector, size = asked.detector, asked.names_a_pass
    passes = math.ceil(len(names) / size)
    run = min(passes, PASSES)
    began = time.process_time()
    asked.prompt(names[: run * size])
    reading = (time.process_time() - began) * passes / run
    opened = pictures.read(image)
    pixels = opened.letterboxed(detector.config.side(opened.width, opened.height)).pixels
    images_BCHW = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    tokens_BQW, grid = detector.backbone(images_BCHW), detector.backbone.grid(images_BCHW)

    def fuse() -> None:
        best = torch.zeros(0)
        for _, _, scores_BQL in detector.passes(tokens_BQW, grid):
            together = torch.cat([best, scores_BQL.flatten()])
            best = together.topk(min(BEST, len(together))).values

    backbone = _median(functools.partial(detector.backbone, images_BCHW))
    return reading, backbone + _median(fuse) * passes / run


def _median(run: Callable[[], object]) -> float:
    """Of the process's own time: other work on the machine does not count."""
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return statistics.median(taken)
