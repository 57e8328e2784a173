import json
import math

import numpy as np
import pytest

from omnidet.report import plots
from omnidet.report.sections import sections
from tests import evaluations

LOG = [{"step": 10, "loss": math.nan}, {"step": 20, "loss": 1.0, "det/names": 0.5}]


def test_every_plot_is_a_list_of_flat_rows(tmp_path):
    evaluation = evaluations.evaluation(tmp_path / "evaluation")
    made = sections(evaluations.index(tmp_path), evaluations.BENCHMARKS, evaluation)
    content = {name: json.loads(text) for name, text in plots.files(made, LOG).items()}
    metrics = content.pop(plots.METRICS_NAME)
    assert metrics["coco/recall"] == 0.666667
    assert metrics["refcocog unseen/error_elsewhere"] == round(1 / 6, 6)
    curve = [row["coco_50"] for row in content["precision_recall.json"]]
    assert len(curve) == 101
    average = np.mean([c.average_precision_50 for c in made[0].analysis.categories])
    assert np.mean(curve) == pytest.approx(average, abs=1e-6)
    assert content["phrase_overlap.json"][50] == {"overlap": 0.5, "refcocog_unseen": 0.5}
    assert {"kind": "coco duplicate", "count": 1} in content["mistakes.json"]
    assert [row["category"] for row in content["categories.json"]] == ["coco circle", "coco star"]
    assert content["training.json"][0] == {"step": 10, "loss": None, "det_names": None}
    assert content["training.json"][1] == {"step": 20, "loss": 1.0, "det_names": 0.5}
    assert sum(row["count"] for row in content["calibration_refcocog_unseen.json"]) == 6
    # A score of .9 is right, .95 and .97 are not.
    assert content["calibration_coco.json"][-1]["right"] == round(1 / 3, 6)
    for rows in content.values():
        assert len({tuple(row) for row in rows}) == 1  # DVC wants every column in every row
        assert all(
            isinstance(value, int | float | str | None) for row in rows for value in row.values()
        )


def test_without_a_run_the_files_are_empty():
    content = {name: json.loads(text) for name, text in plots.files([], []).items()}
    assert content["metrics.json"] == {}
    assert content["precision_recall.json"] == content["training.json"] == []
