import copy
import json

import numpy as np
import pytest

from omnidet.evaluation import coco, mistakes
from omnidet.evaluation.judging import NUM_THRESHOLDS
from omnidet.evaluation.truth import in_columns
from tests import evaluations

GOLDEN = {
    "coco": (
        "instances_val2014_100",
        "instances_val2014_fakebbox100_results",
        "expected_bbox_stats",
    ),
    "lvis": ("lvis_val_100", "lvis_val_100_synthetic_dets", "lvis_val_100_synthetic_expected"),
}


def explain(dataset, rows):
    return mistakes.explain(in_columns(dataset, federated=None), rows)


def precisions(dataset, rows):
    verdicts = explain(dataset, rows)
    return [float(np.nanmean(mistakes.precision(verdicts, t))) for t in range(NUM_THRESHOLDS)]


@pytest.mark.parametrize("tool", GOLDEN)
def test_precision_equals_that_of_the_official_tools(samples, tool):
    dataset, rows, expected = (
        json.loads((samples.root / f"{tool}_eval_golden/{name}.json").read_text())
        for name in GOLDEN[tool]
    )
    expected = expected.get("stats", expected)
    found = precisions(dataset, rows)
    assert np.mean(found) == pytest.approx(expected["AP"], abs=1e-9)
    assert found[0] == pytest.approx(expected["AP50"], abs=1e-9)
    assert found[5] == pytest.approx(expected["AP75"], abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_crowds_ties_and_many_detections_count_as_in_pycocotools(tmp_path, seed):
    dataset, rows = random_world(np.random.default_rng(seed))
    (tmp_path / "truth.json").write_text(json.dumps(dataset))
    expected = coco.evaluate(tmp_path / "truth.json", rows).values
    found = precisions(dataset, rows)
    assert np.mean(found) == pytest.approx(expected["AP"], abs=1e-9)
    assert found[0] == pytest.approx(expected["AP50"], abs=1e-9)


def random_world(random):
    """Overlapping boxes, crowds, equal scores, over 100 detections of an image and category."""
    images = [{"id": i, "width": 100, "height": 100} for i in (9, 2, 5)]
    annotations, rows = [], []
    for image in images:
        for _ in range(12):
            x, y, w, h = (float(v) for v in random.integers(1, 60, 4))
            box, category = [x, y, w, h], int(random.integers(1, 4))
            crowd = int(random.random() < 0.2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": box,
                    "area": w * h,
                }
                | {"iscrowd": crowd, "segmentation": []}
            )
            for _ in range(30):
                moved = [
                    float(max(v + m, 1))
                    for v, m in zip(box, random.integers(-4, 5, 4), strict=True)
                ]
                score = round(float(random.random()), 1)
                named = category if random.random() < 0.8 else int(random.integers(1, 4))
                rows.append(
                    {"image_id": image["id"], "category_id": named, "bbox": moved, "score": score}
                )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in (3, 1, 2)],
    }, rows


def kinds(dataset, rows):
    """Image and kind of mistake of every detection that is neither right nor ignored."""
    verdicts = explain(dataset, rows)
    wrong = np.flatnonzero(verdicts.kind_D >= 0)
    return [(int(verdicts.image_D[d]), mistakes.KINDS[verdicts.kind_D[d]]) for d in wrong]


def test_every_mistake_has_its_kind():
    found = kinds(evaluations.ground_truth(), evaluations.detections())
    assert sorted(found) == [
        (2, "duplicate"),
        (3, "localisation"),
        (4, "confusion"),
        (5, "background"),
    ]
    rows = [
        {
            "image_id": 1,
            "category_id": 2,
            "bbox": evaluations.xywh(evaluations.SHIFTED),
            "score": 1.0,
        }
    ]
    assert kinds(evaluations.ground_truth(), rows) == [(1, "both")]
    verdicts = explain(evaluations.ground_truth(), evaluations.detections())
    meant = {
        mistakes.KINDS[verdicts.kind_D[d]]: int(verdicts.meant_D[d])
        for d in np.flatnonzero(verdicts.meant_D >= 0)
    }
    # Each image has two true boxes, the star first: these are the stars of images 3 and 4.
    assert meant == {"localisation": 4, "confusion": 6}
    confused = verdicts.kind_D == mistakes.KINDS.index("confusion")
    assert verdicts.image_D[confused].tolist() == [4]
    assert verdicts.category_D[confused].tolist() == [1]
    found_by = dict(
        zip(
            verdicts.true_image_G[verdicts.true_category_G == 0].tolist(),
            verdicts.true_score_G[::2],
            strict=True,
        )
    )
    assert found_by == {1: 0.9, 2: 0.85, 3: -np.inf, 4: -np.inf, 5: 0.5, 6: -np.inf}


def test_nothing_on_a_crowd_is_wrong():
    dataset = evaluations.ground_truth()
    for annotation in dataset["annotations"]:
        annotation["iscrowd"] = int(annotation["image_id"] == 2 and annotation["category_id"] == 1)
    assert 2 not in [image for image, _ in kinds(dataset, evaluations.detections())]


def test_in_a_federated_file_only_what_is_known_is_judged():
    dataset = evaluations.ground_truth()
    for image in dataset["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    dataset["categories"].append({"id": 3, "name": "ring"})
    for category in dataset["categories"]:
        category["frequency"] = "c"
    ring = {"image_id": 1, "category_id": 3, "bbox": [0.0, 44.0, 12.0, 16.0], "score": 1.0}
    rows = [*evaluations.detections(), ring]
    known = copy.deepcopy(dataset)
    known["images"][0]["neg_category_ids"] = [3]
    incomplete = copy.deepcopy(dataset)
    incomplete["images"][4]["not_exhaustive_category_ids"] = [1]
    assert (1, "background") not in kinds(dataset, rows)
    assert (1, "background") in kinds(known, rows)
    assert (5, "background") in kinds(dataset, rows)
    assert (5, "background") not in kinds(incomplete, rows)


def test_without_detections_everything_is_missed():
    verdicts = explain(evaluations.ground_truth(), [])
    assert (verdicts.true_score_G == -np.inf).all()
    assert np.nanmean(mistakes.precision(verdicts, 0)) == 0
    nothing = evaluations.ground_truth() | {"annotations": []}
    assert np.isnan(mistakes.precision(explain(nothing, evaluations.detections()), 0)).all()
    assert {kind for _, kind in kinds(nothing, evaluations.detections())} == {"background"}


@pytest.mark.parametrize(
    "change", [{"image_id": 77}, {"category_id": 8}, {"bbox": [1, 2, 3]}, {"score": float("nan")}]
)
def test_a_detection_that_cannot_be_counted_is_named(change):
    rows = evaluations.detections()
    rows[1] |= change
    (field,) = change
    with pytest.raises(ValueError, match=f"^detection 1.*{field}"):
        explain(evaluations.ground_truth(), rows)
