"""A detector that says the truth must get full marks from the official protocols: ids, names and coordinates are right.

What is said comes from the shards, what judges it from the official annotation files: the two meet only here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from omnidet.data import shards
from omnidet.inference.detector import Detections, OmniDet, Prompt
from omnidet.measures import absent, coco, flickr30k, lvis, refcocog, run
from omnidet.measures.config import Benchmark, EvaluationConfig
from omnidet.schema import FloatArray, Record
from omnidet.steps import train_detector
from tests import toys

SETS = {
    "coco": (coco.coco, "eval/coco"),
    "lvis": (lvis.lvis, "eval/lvis"),
    "refcocog": (refcocog.refcocog, "eval/refcocog"),
    "flickr30k": (flickr30k.flickr30k, "eval/flickr30k"),
}


class Truth(OmniDet):
    """Says of each image what its record says, moved to the right by a share of the box's width."""

    def __init__(self, records: Sequence[Record], moved: float = 0.0, shift: int = 0) -> None:
        super().__init__(toys.toy_detector(), toys.toy_vocabulary(), {})
        self.records = {record.image: record for record in records}
        self.moved, self.shift = moved, shift

    def _boxes(self, record: Record, phrase: str) -> FloatArray:
        if phrase not in record.phrases:  # scrambled, or absent
            return np.array([[0, 0, 1, 1]], np.float32)
        boxes = record.boxes_xyxy[list(record.phrase_boxes[record.phrases.index(phrase)])].copy()
        boxes[:, [0, 2]] += self.moved * (boxes[:, 2:3] - boxes[:, :1])
        return boxes

    def detect(
        self,
        images: Sequence[bytes],
        prompt: Prompt | Sequence[str],
        max_detections: int = 100,
        threshold: float = 0.0,
    ) -> list[Detections]:
        assert isinstance(prompt, Prompt)
        found = []
        for image in images:
            record = self.records[image]
            pairs = [
                (prompt.phrases.index(p), box)
                for p in record.phrases
                for box in self._boxes(record, p)
            ]
            boxes = np.array([box for _, box in pairs], np.float32).reshape(-1, 4)
            phrase = np.array([(p + self.shift) % len(prompt.phrases) for p, _ in pairs], np.int64)
            found.append(Detections(boxes, np.ones(len(pairs), np.float32), phrase))
        return found

    def locate(
        self, image: bytes, phrases: Sequence[str], top: int = 1
    ) -> list[tuple[FloatArray, FloatArray]]:
        record = self.records[image]
        boxes = [self._boxes(record, phrase)[:top] for phrase in phrases]
        known = [phrase in record.phrases for phrase in phrases]
        return [
            (b, np.full(len(b), 0.9 if is_true else 0.1, np.float32))
            for b, is_true in zip(boxes, known, strict=True)
        ]


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> shards.Index:
    folder = tmp_path_factory.mktemp("world")
    train_detector.draw_world(folder / "world", toys.recipe())
    return train_detector.build_shards(folder / "world", str(folder / "shards"), toys.recipe())


def _measure(index: shards.Index, folder: Path, name: str, **options: float) -> dict[str, float]:
    measure, set_name = SETS[name]
    detector = Truth(list(shards.records(index, set_name)), **options)
    config = EvaluationConfig((Benchmark(name, measure, set_name),))
    result = run.in_one_process(detector, index, config, folder)
    (rows,) = folder.iterdir()
    assert json.loads(rows.read_text())
    return {key.partition("/")[2]: value for key, value in result.values.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("coco", ("AP", "AP50", "AP75")),
        ("lvis", ("AP", "AP50")),
        ("refcocog", ("AIGT", "AIGT_plain", "AIGT_relational")),
        ("flickr30k", ("R@1", "R@5", "R@10")),
    ],
)
def test_the_truth_gets_full_marks(index, tmp_path, name, metrics):
    values = _measure(index, tmp_path, name)
    assert {metric: values[metric] for metric in metrics} == {
        metric: pytest.approx(1.0) for metric in metrics
    }


@pytest.mark.parametrize("name", SETS)
def test_boxes_beside_the_truth_get_none(index, tmp_path, name):
    values = _measure(index, tmp_path, name, moved=0.6)
    best = {"coco": "AP50", "lvis": "AP50", "refcocog": "AIGT", "flickr30k": "R@1"}[name]
    assert values[best] < 0.35  # now and then the box beside is that of a neighbour


def test_boxes_a_little_off_count_at_low_overlap_alone(index, tmp_path):
    values = _measure(index, tmp_path, "coco", moved=0.2)  # IoU 0.8 / 1.2
    assert values["AP50"] == pytest.approx(1.0)
    assert values["AP75"] < 0.1


@pytest.mark.parametrize("name", ["coco", "lvis"])
def test_the_right_boxes_under_the_next_name_get_none(index, tmp_path, name):
    assert _measure(index, tmp_path, name, shift=1)["AP"] < 0.1


def test_run_names_the_numbers(index, tmp_path):
    everything = {
        record.image: record
        for name in ("eval/refcocog", "eval/refcocog_unseen")
        for record in shards.records(index, name)
    }
    config = EvaluationConfig(
        (
            Benchmark("refcocog", "refcocog", "eval/refcocog"),
            Benchmark("refcocog", "refcocog", "eval/refcocog_unseen", suffix="unseen"),
            Benchmark("other", "coco", "eval/none", optional=True),
        )
    )
    result = run.in_one_process(Truth(list(everything.values())), index, config, tmp_path)
    keys = (
        "refcocog/AIGT",
        "refcocog/AIGT_plain",
        "refcocog/AIGT_relational",
        "refcocog/AIGT_unseen",
    )
    assert {key: v for key, v in result.values.items() if "scrambled" not in key} == dict.fromkeys(
        keys, 1.0
    )
    # Asked in another order of words it says a corner of the picture.
    assert result.values["refcocog/AIGT_scrambled"] < 0.1
    assert result.values["refcocog/AIGT_relational_scrambled"] == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "eval_refcocog.json",
        "eval_refcocog_unseen.json",
    }
    assert "AIGT: share of expressions" in result.protocols["refcocog"]


def test_a_set_that_is_missing(index, tmp_path):
    config = EvaluationConfig((Benchmark("coco", "coco", "eval/none"),))
    with pytest.raises(ValueError, match="eval/none"):
        run.in_one_process(Truth([]), index, config, tmp_path)


def test_a_set_without_ground_truth(index, tmp_path):
    config = EvaluationConfig((Benchmark("coco", "coco", "eval/refcocog"),))
    with pytest.raises(ValueError, match="has no ground truth for 'eval/refcocog'"):
        run.in_one_process(Truth([]), index, config, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_any_number_of_ranks_gives_the_same_files_and_numbers(index, tmp_path, ranks):
    config = EvaluationConfig(
        tuple(
            Benchmark(name, measure, set_name)
            for name, (measure, set_name) in (
                SETS | {"absent": (absent.absent, "eval/lvis")}
            ).items()
        )
    )
    detector = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})
    (tmp_path / "alone").mkdir()
    expected = run.in_one_process(detector, index, config, tmp_path / "alone")
    parts = [tmp_path / str(rank) for rank in range(ranks)]
    for rank, part in enumerate(parts):
        part.mkdir()
        run.predict(detector, index, config, part, rank, ranks)
    (tmp_path / "together").mkdir()
    assert run.evaluate(index, config, parts, tmp_path / "together") == expected
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert names == [
        "eval_coco.json",
        "eval_flickr30k.json",
        "eval_lvis.absent.json",
        "eval_lvis.json",
        "eval_refcocog.json",
    ]
    for name in names:
        assert (tmp_path / "together" / name).read_bytes() == (
            tmp_path / "alone" / name
        ).read_bytes()


def test_rows_of_another_set_are_refused(index, tmp_path):
    config = EvaluationConfig((Benchmark("refcocog", "refcocog", "eval/refcocog"),))
    (tmp_path / "eval_refcocog.json").write_text("[]")
    with pytest.raises(ValueError, match="no prediction for"):
        run.evaluate(index, config, [], tmp_path)


def test_absent_names_that_stay_silent_and_names_that_are_heard(index, tmp_path):
    (tmp_path / "silent").mkdir()
    records = list(shards.records(index, "eval/lvis"))
    config = EvaluationConfig((Benchmark("absent", "absent", "eval/lvis"),))
    silent = run.in_one_process(Truth(records), index, config, tmp_path / "silent")
    assert silent.values == {
        "absent/false_positive_rate": 0,
        "absent/threshold": pytest.approx(0.9),
    }
    counts = silent.details["absent"]["counts"]
    assert counts["absent_names"] == sum(len(record.absent) for record in records)
    assert counts["true_boxes"] == sum(len(record.boxes_xyxy) for record in records)
    real = run.in_one_process(
        OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {}), index, config, tmp_path
    )
    assert set(real.values) in ({"absent/false_positive_rate", "absent/threshold"}, set())


def test_fixed_ap_of_the_truth(index, tmp_path):
    records = list(shards.records(index, "eval/lvis"))
    config = EvaluationConfig((Benchmark("lvis_fixed", "lvis_fixed", "eval/lvis"),))
    result = run.in_one_process(Truth(records), index, config, tmp_path)
    assert result.values["lvis_fixed/AP"] == pytest.approx(1.0)
    assert "fixed AP: the 10000 best of a category" in result.protocols["lvis_fixed"]
