import pytest

from omnidet.data import shards
from omnidet.inference.detector import OmniDet
from omnidet.measures import run
from omnidet.measures.config import Benchmark, EvaluationConfig
from tests import toys
from tests.measures.truth_teller import measured


def test_a_detector_that_scores_absent_names_low_has_no_false_positives(index, tmp_path):
    result = measured(index, tmp_path, "absent", "eval/lvis")
    assert result.values["absent/false_positive_rate"] == 0
    assert result.values["absent/threshold"] == pytest.approx(0.9)
    counts = result.details["absent"]["counts"]
    records = list(shards.records(index, "eval/lvis"))
    assert counts["absent_names"] == sum(len(record.absent) for record in records)
    assert counts["true_boxes"] == sum(len(record.boxes_xyxy) for record in records)
    assert [path.name for path in tmp_path.iterdir()] == ["eval_lvis.absent.json"]


def test_boxes_that_meet_no_object_leave_the_rate_undefined(index, tmp_path):
    assert measured(index, tmp_path, "absent", "eval/lvis", moved=5.0).values == {}


def test_an_untrained_detector_is_measured_too(index, tmp_path):
    detector = OmniDet(toys.toy_detector(), toys.toy_vocabulary(), {})
    config = EvaluationConfig((Benchmark("absent", "absent", "eval/lvis"),))
    values = run.in_one_process(detector, index, config, tmp_path).values
    assert set(values) in ({"absent/false_positive_rate", "absent/threshold"}, set())
