"""Each gain equals the official AP50 of results in which a loop has set that kind right."""

import json

import numpy as np
import pytest

from omnidet.evaluation import coco, gains, mistakes
from omnidet.evaluation.box_iou import iou_xywh
from omnidet.evaluation.truth import in_columns
from tests import evaluations


def world(seed):
    """Boxes that do not overlap, and detections with every kind of mistake and different scores."""
    random = np.random.default_rng(seed)
    annotations, rows = [], []
    for image_id in range(1, 7):
        for place in range(9):
            x, y = 40 * (place % 3) + 1.0, 40 * (place // 3) + 1.0
            width, height = (float(v) for v in random.integers(20, 36, 2))
            category, number = int(random.integers(1, 4)), len(annotations) + 1
            box = {"image_id": image_id, "category_id": category, "bbox": [x, y, width, height]}
            annotations.append(box | {"id": number, "area": width * height, "iscrowd": 0})
            for _ in range(int(random.integers(0, 5))):
                named = category if random.random() < 0.6 else int(random.integers(1, 4))
                shift = float(random.choice([0, 1, 8, 14, 60]))
                rows.append(
                    {
                        "image_id": image_id,
                        "category_id": named,
                        "bbox": [x + shift, y, width, height],
                    }
                )
    for row, score in zip(rows, random.permutation(len(rows)), strict=True):
        row["score"] = float(score + 1) / len(rows)
    images = [{"id": i, "width": 200, "height": 200} for i in range(1, 7)]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in (1, 2, 3)],
    }, rows


def overlap(row, annotation):
    if row["image_id"] != annotation["image_id"]:
        return 0.0
    return float(iou_xywh(np.array(row["bbox"]), np.array(annotation["bbox"])))


def set_right(dataset, rows, kind, kinds, found):
    """The rows with all mistakes of a kind set right, as in TIDE: one row for each free box."""
    best = {}
    for row in sorted(rows, key=lambda r: -r["score"]):
        if kinds.get(row["score"]) in ("localisation", "confusion"):
            own = kinds[row["score"]] == "localisation"
            rivals = [
                a for a in dataset["annotations"] if (a["category_id"] == row["category_id"]) == own
            ]
            meant = max(rivals, key=lambda a: overlap(row, a))
            if meant["id"] not in found:
                best.setdefault(meant["id"], (row["score"], meant))
    mended = dict(best.values())
    kept = []
    for row in rows:
        if kinds.get(row["score"]) != kind:
            kept.append(row)
        elif kind in ("localisation", "confusion") and row["score"] in mended:
            meant = mended[row["score"]]
            kept.append(row | {"category_id": meant["category_id"], "bbox": meant["bbox"]})
    return kept, set(best)


@pytest.mark.parametrize("seed", range(4))
def test_every_gain_equals_that_of_the_official_tool_on_results_set_right(tmp_path, seed):
    dataset, rows = world(seed)

    def ap50(content, results):
        (tmp_path / "truth.json").write_text(json.dumps(content))
        return coco.evaluate(tmp_path / "truth.json", results, intervals=False).values["AP50"]

    verdicts = mistakes.explain(in_columns(dataset), rows)
    kinds = {
        float(s): mistakes.KINDS[k]
        for s, k in zip(verdicts.score_D, verdicts.kind_D, strict=True)
        if k >= 0
    }
    assert set(mistakes.KINDS) == set(kinds.values())
    # True boxes are numbered by image, and then in the order of the file.
    found = {i + 1 for i in np.flatnonzero(verdicts.true_score_G > -np.inf)}
    expected, meant = {}, set()
    for kind in mistakes.KINDS:
        mended, meant = set_right(dataset, rows, kind, kinds, found)
        expected[kind] = max(0.0, ap50(dataset, mended) - ap50(dataset, rows))
    left = [a for a in dataset["annotations"] if a["id"] in found | meant]
    assert len(left) < len(dataset["annotations"])
    expected["missed"] = ap50(dataset | {"annotations": left}, rows) - ap50(dataset, rows)
    result = gains.gains(verdicts)
    assert result == pytest.approx(expected, abs=1e-9)
    assert all(result[kind] > 0 for kind in ("localisation", "confusion", "missed"))


def test_a_box_is_given_to_one_detection_and_to_none_if_it_was_found():
    truth = in_columns(evaluations.ground_truth())
    star = evaluations.xywh(evaluations.LEFT)
    poor = {
        "image_id": 1,
        "category_id": 1,
        "bbox": evaluations.xywh(evaluations.SHIFTED),
        "score": 0.9,
    }
    confused = {"image_id": 1, "category_id": 2, "bbox": star, "score": 0.8}
    before = 0.0
    both = gains.gains(mistakes.explain(truth, [poor, confused]))
    # One of six stars is found then, at a precision of 1: 17 of 101 recalls, of one of two names.
    assert both["localisation"] == pytest.approx(17 / 101 / 2 - before)
    assert both["confusion"] == 0
    right = {"image_id": 1, "category_id": 1, "bbox": star, "score": 0.1}
    taken = gains.gains(mistakes.explain(truth, [poor, confused, right]))
    assert taken["localisation"] == pytest.approx(
        17 / 101 / 2 / 2
    )  # it is removed, and the right one comes first


def test_without_detections_there_is_nothing_to_gain():
    assert set(
        gains.gains(mistakes.explain(in_columns(evaluations.ground_truth()), [])).values()
    ) == {0.0}
