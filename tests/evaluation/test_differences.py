import json

import numpy as np
import pytest

from omnidet.evaluation import coco, differences
from omnidet.evaluation.stored import Stored
from tests.evaluation.worlds import world


def evaluation(folder, seed=0, dropped=0.0, images=60):
    """An evaluation of the detections of a random world, some of which are left out."""
    dataset, found = world(seed, images=images)
    random = np.random.default_rng(7)
    path = folder / "instances.json"
    path.write_text(json.dumps(dataset))
    metrics = coco.evaluate(path, [d for d in found if random.random() >= dropped])
    values = {f"coco/{name}": value for name, value in metrics.values.items()}
    return Stored(values, {"coco": metrics.protocol}, {"coco": metrics.details})


def row_of(comparison, metric):
    return next(row for row in comparison.rows if row.metric == metric)


def test_an_evaluation_compared_with_itself(tmp_path):
    one = evaluation(tmp_path)
    comparison = differences.compare(one, one, same_images=True)
    row = row_of(comparison, "coco/AP")
    assert (row.difference, row.difference_interval, row.verdict) == (0, [0, 0], "same")
    assert row.before_interval == one.details["coco"]["intervals"]["AP"]
    assert comparison.notes == ()
    assert differences.violations(comparison, ["coco/AP"], 0.0, None) == []
    assert differences.violations(comparison, ["coco/AP"], None, 0.01) != []


def test_the_same_images_make_the_interval_of_a_difference_narrower(tmp_path):
    full, less = evaluation(tmp_path), evaluation(tmp_path, dropped=0.25)
    paired = row_of(differences.compare(full, less, same_images=True), "coco/AP")
    apart = row_of(differences.compare(full, less, same_images=False), "coco/AP")
    assert paired.difference == apart.difference < 0
    assert paired.verdict == "worse"

    def width(interval):
        return interval[1] - interval[0]

    assert width(paired.difference_interval) < 0.8 * width(apart.difference_interval)
    assert row_of(differences.compare(less, full, same_images=True), "coco/AP").verdict == "better"


def test_categories_with_the_greatest_loss_first(tmp_path):
    full, less = evaluation(tmp_path), evaluation(tmp_path, dropped=0.25)
    rows = differences.compare(full, less, same_images=True).categories["coco"]
    assert len(rows) == 6
    losses = [row.difference for row in rows]
    assert losses == sorted(losses)
    assert rows[0].before == full.details["coco"]["per_category_AP"][rows[0].metric]
    assert rows[0].before_interval[0] <= rows[0].before <= rows[0].before_interval[1]


def test_limits():
    one, other = (
        Stored({"coco/AP": ap, "absent/false_positive_rate": rate, "a/AP": 0.1}, {}, {})
        for ap, rate in ((0.5, 0.2), (0.49, 0.3))
    )
    comparison = differences.compare(one, other, same_images=True)
    assert differences.violations(comparison, ["coco/AP"], 0.01, None) == []
    (reason,) = differences.violations(comparison, ["coco/AP"], 0.005, None)
    for part in ("coco/AP", "0.5000 -> 0.4900", "0.0100", "0.005"):
        assert part in reason
    (reason,) = differences.violations(comparison, ["absent/false_positive_rate"], 0.05, None)
    assert "a drop of 0.1000" in reason
    better = differences.compare(other, one, same_images=True)
    assert (
        differences.violations(better, ["coco/AP", "absent/false_positive_rate"], None, 0.01) == []
    )
    assert len(differences.violations(better, ["coco/AP", "a/AP"], 0.0, 0.02)) == 2


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_metric_without_a_number_violates_every_limit(value):
    one, other = (
        Stored({"coco/AP": 0.5}, {}, {}),
        Stored({} if value is None else {"coco/AP": value}, {}, {}),
    )
    comparison = differences.compare(one, other, same_images=True)
    assert len(differences.violations(comparison, ["coco/AP"], 1.0, None)) == 1


def test_a_set_with_a_suffix_has_its_own_intervals():
    details = {
        "refcocog": {"intervals": {"AIGT": [0.1, 0.2]}},
        "refcocog_unseen": {"intervals": {"AIGT": [0.3, 0.4]}},
    }
    one = Stored({"refcocog/AIGT": 0.15, "refcocog/AIGT_unseen": 0.35}, {}, details)
    rows = {
        row.metric: row.before_interval
        for row in differences.compare(one, one, same_images=True).rows
    }
    assert rows == {"refcocog/AIGT": [0.1, 0.2], "refcocog/AIGT_unseen": [0.3, 0.4]}


def test_different_sets_and_protocols_are_noted():
    one = Stored({"lvis/AP": 0.1}, {"lvis": "standard"}, {"lvis": {"counts": {"images": 5}}})
    other = Stored({"lvis/AP": 0.2}, {"lvis": "fixed"}, {"lvis": {"counts": {"images": 6}}})
    notes = " ".join(differences.compare(one, other, same_images=False).notes)
    assert "'standard' and 'fixed'" in notes
    assert "5 images against 6" in notes
    assert "lvis: the evaluation sets differ" in notes
