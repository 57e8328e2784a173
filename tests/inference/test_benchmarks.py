"""A detector that says the truth must get full marks from the official protocols: ids, names and coordinates are right.

What is said comes from the shards, what judges it from the official annotation files: the two meet only here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from omnidet import steps
from omnidet.data import shards
from omnidet.inference import benchmarks
from omnidet.inference.benchmarks import Benchmark, EvaluationConfig
from omnidet.inference.detector import Detections, OmniDet, Prompt
from omnidet.schema import FloatArray, Record
from tests import toys

SETS = {
    "coco": (benchmarks.coco, "eval/coco"),
    "lvis": (benchmarks.lvis, "eval/lvis"),
    "refcocog": (benchmarks.refcocog, "eval/refcocog"),
    "flickr30k": (benchmarks.flickr30k, "eval/flickr30k"),
}


class Truth(OmniDet):
    """Says of each image what its record says, moved to the right by a share of the box's width."""

    def __init__(self, records: Sequence[Record], moved: float = 0.0, shift: int = 0) -> None:
        super().__init__(toys.toy_detector(), toys.toy_vocabulary(), {})
        self.records = {record.image: record for record in records}
        self.moved, self.shift = moved, shift

    def _boxes(self, record: Record, phrase: str) -> FloatArray:
        boxes = record.boxes_xyxy[list(record.phrase_boxes[record.phrases.index(phrase)])].copy()
        boxes[:, [0, 2]] += self.moved * (boxes[:, 2:3] - boxes[:, :1])
        return boxes

    def detect(
        self,
        images: Sequence[bytes],
        prompt: Prompt | Sequence[str],
        max_detections: int = 100,  # noqa: ARG002
        threshold: float = 0.0,  # noqa: ARG002
    ) -> list[Detections]:
        assert isinstance(prompt, Prompt)
        found = []
        for image in images:
            record = self.records[image]
            pairs = [(prompt.phrases.index(p), box) for p in record.phrases for box in self._boxes(record, p)]
            boxes = np.array([box for _, box in pairs], np.float32).reshape(-1, 4)
            phrase = np.array([(p + self.shift) % len(prompt.phrases) for p, _ in pairs], np.int64)
            found.append(Detections(boxes, np.ones(len(pairs), np.float32), phrase))
        return found

    def locate(self, image: bytes, phrases: Sequence[str], top: int = 1) -> list[tuple[FloatArray, FloatArray]]:
        record = self.records[image]
        boxes = [self._boxes(record, phrase)[:top] for phrase in phrases]
        return [(b, np.ones(len(b), np.float32)) for b in boxes]


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> shards.Index:
    folder = tmp_path_factory.mktemp("world")
    steps.draw_world(folder / "world", toys.recipe())
    return steps.build_shards(folder / "world", str(folder / "shards"), toys.recipe())


def _measure(index: shards.Index, name: str, **options: float) -> dict[str, float]:
    measure, set_name = SETS[name]
    metrics, rows = measure(Truth(list(shards.records(index, set_name)), **options), index, set_name)
    assert rows
    assert json.loads(benchmarks.to_json(rows)) == rows
    return dict(metrics.values)


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("coco", ("AP", "AP50", "AP75")),
        ("lvis", ("AP", "AP50")),
        ("refcocog", ("AIGT", "AIGT_plain", "AIGT_relational")),
        ("flickr30k", ("R@1", "R@5", "R@10")),
    ],
)
def test_the_truth_gets_full_marks(index, name, metrics):
    values = _measure(index, name)
    assert {metric: values[metric] for metric in metrics} == {metric: pytest.approx(1.0) for metric in metrics}


@pytest.mark.parametrize("name", SETS)
def test_boxes_beside_the_truth_get_none(index, name):
    values = _measure(index, name, moved=0.6)
    best = {"coco": "AP50", "lvis": "AP50", "refcocog": "AIGT", "flickr30k": "R@1"}[name]
    assert values[best] < 0.35  # now and then the box beside is that of a neighbour


def test_boxes_a_little_off_count_at_low_overlap_alone(index):
    values = _measure(index, "coco", moved=0.2)  # IoU 0.8 / 1.2
    assert values["AP50"] == pytest.approx(1.0)
    assert values["AP75"] < 0.1


@pytest.mark.parametrize("name", ["coco", "lvis"])
def test_the_right_boxes_under_the_next_name_get_none(index, name):
    assert _measure(index, name, shift=1)["AP"] < 0.1


def test_run_names_the_numbers(index):
    everything = {
        record.image: record for name in ("eval/refcocog", "eval/refcocog_unseen") for record in shards.records(index, name)
    }
    config = EvaluationConfig(
        (
            Benchmark("refcocog", benchmarks.refcocog, "eval/refcocog"),
            Benchmark("refcocog", benchmarks.refcocog, "eval/refcocog_unseen", suffix="unseen"),
            Benchmark("other", benchmarks.coco, "eval/none", optional=True),
        )
    )
    result = benchmarks.run(Truth(list(everything.values())), index, config)
    keys = ("refcocog/AIGT", "refcocog/AIGT_plain", "refcocog/AIGT_relational", "refcocog/AIGT_unseen")
    assert result.values == dict.fromkeys(keys, 1.0)
    assert set(result.rows) == {"eval/refcocog", "eval/refcocog_unseen"}
    assert "AIGT: share of expressions" in result.protocols["refcocog"]


def test_a_set_that_is_missing(index):
    config = EvaluationConfig((Benchmark("coco", benchmarks.coco, "eval/none"),))
    with pytest.raises(ValueError, match="eval/none"):
        benchmarks.run(Truth([]), index, config)


def test_a_set_without_ground_truth(index):
    with pytest.raises(ValueError, match="has no ground truth for 'eval/refcocog'"):
        benchmarks.coco(Truth([]), index, "eval/refcocog")
    assert Path(index.location).is_dir()
