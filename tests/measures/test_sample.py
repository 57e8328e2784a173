"""Some pictures of a benchmark: the same ones each time, measured as all of them are."""

from __future__ import annotations

import dataclasses
import json

import pytest

from omnidet.evaluation import coco as protocol
from omnidet.inference.detector import OmniDet
from omnidet.measures import run, sample
from omnidet.measures.config import Benchmark, EvaluationConfig
from tests import evaluations, toys

COCO = Benchmark("coco", "coco", "eval/coco")


@pytest.fixture
def index(tmp_path):
    return evaluations.index(tmp_path / "shards")


def test_all_pictures_give_the_numbers_of_the_benchmark(index, tmp_path):
    detector = toys.toy_detector()
    measure = sample.Samples(index, [COCO], 100, toys.toy_vocabulary())
    (tmp_path / "rows").mkdir()
    asked = OmniDet(detector, toys.toy_vocabulary(), {})
    whole = run.in_one_process(asked, index, EvaluationConfig((COCO,)), tmp_path / "rows").values
    assert measure(detector) == pytest.approx(
        {"AP": whole["coco/AP"], "AP50": whole["coco/AP50"]}, abs=1e-6
    )
    assert measure.num_images == len(evaluations.FOUND)


def test_a_part_is_judged_by_its_own_boxes_alone(index, monkeypatch):
    measure = sample.Sample(index, COCO, 2)
    kept = {int(r.image_id.partition(":")[2]) for r in measure.records}
    assert len(kept) == 2
    again = sample.Sample(index, COCO, 2)
    assert {r.image_id for r in again.records} == {r.image_id for r in measure.records}
    seen = {}

    def judge(path, rows, intervals):
        seen.update(json.loads(path.read_text()))
        return dataclasses.replace(real(path, rows, intervals=intervals), values={"AP": 0.25})

    real = protocol.evaluate
    monkeypatch.setattr(protocol, "evaluate", judge)
    asked = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})
    assert measure.measure(asked) == {"AP": 0.25, "AP50": 0.0}
    assert {image["id"] for image in seen["images"]} == kept
    assert {a["image_id"] for a in seen["annotations"]} == kept


def test_several_benchmarks_give_their_mean(index, monkeypatch):
    other = dataclasses.replace(COCO, name="other")
    measure = sample.Samples(index, [COCO, other], 3, toys.toy_vocabulary())
    given = iter([{"AP": 0.2, "AP50": 0.4}, {"AP": 0.6, "AP50": 0.8}])
    monkeypatch.setattr(sample.Sample, "measure", lambda *_: next(given))
    values = measure(toys.toy_detector())
    assert values == pytest.approx({"AP": 0.4, "AP50": 0.6, "AP coco": 0.2, "AP other": 0.6})


def test_a_measure_that_needs_all_pictures(index):
    with pytest.raises(ValueError, match=r"'refs'.*'refcocog'"):
        sample.Sample(index, Benchmark("refs", "refcocog", "eval/refcocog"), 3)
