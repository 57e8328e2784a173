import json
import math

import pytest

from omnidet.evaluation import coco
from omnidet.evaluation.detections import check


def ground_truth(folder, first_annotation_id=1):
    """A cat in the first image, a cat and a dog in the second, all large; no bird anywhere."""
    boxes = [(1, 1, [0, 0, 100, 100]), (2, 1, [0, 0, 100, 100]), (2, 2, [200, 200, 100, 100])]
    annotations = [
        {
            "id": n,
            "image_id": image,
            "category_id": category,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for n, (image, category, box) in enumerate(boxes, first_annotation_id)
    ]
    path = folder / "instances.json"
    path.write_text(
        json.dumps(
            {
                "images": [{"id": n, "width": 400, "height": 400} for n in (1, 2)],
                "annotations": annotations,
                "categories": [
                    {"id": n, "name": name} for n, name in ((1, "cat"), (2, "dog"), (3, "bird"))
                ],
            }
        )
    )
    return path


def detection(image_id=1, category_id=1, bbox=(0, 0, 100, 100), score=0.9):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), "score": score}


def test_a_hand_worked_case(tmp_path):
    found = [
        detection(),
        # An IoU of .8 is right up to the threshold .80, and wrong at 3 of 10.
        detection(image_id=2, bbox=(0, 0, 100, 80), score=0.8),
        detection(image_id=2, category_id=2, bbox=(0, 0, 10, 10)),  # the dog is elsewhere
    ]
    metrics = coco.evaluate(ground_truth(tmp_path), found)
    # The second cat adds the recall points above .5: 50 of 101.
    cat = (7 * 1 + 3 * 51 / 101) / 10
    assert metrics.details["per_category_AP"] == {
        "cat": pytest.approx(cat),
        "dog": 0.0,
        "bird": None,
    }
    assert metrics.values["AP"] == pytest.approx(cat / 2)
    assert metrics.values["AP50"] == pytest.approx(0.5)
    assert metrics.values["AR100"] == pytest.approx((7 + 3 * 0.5) / 10 / 2)
    assert metrics.benchmark == "coco"
    assert "pycocotools" in metrics.protocol


def test_up_to_a_hundred_detections_of_an_image_count(tmp_path):
    found = [detection(bbox=(200, 200, 50, 50), score=0.9), detection(score=0.5)]
    metrics = coco.evaluate(ground_truth(tmp_path), found)
    assert metrics.details["per_category_AP"]["cat"] == pytest.approx(0.5 * 51 / 101)
    assert (metrics.values["AR1"], metrics.values["AR10"]) == (0, pytest.approx(0.25))


def test_numbers_are_left_out_if_there_is_no_box_to_find(tmp_path):
    metrics = coco.evaluate(ground_truth(tmp_path), [detection()])
    assert metrics.details["undefined"] == ["APs", "APm", "ARs", "ARm"]
    assert set(metrics.values) == {"AP", "AP50", "AP75", "APl", "AR1", "AR10", "AR100", "ARl"}
    json.dumps([metrics.values, metrics.details], allow_nan=False)


def test_without_detections_every_number_is_0(tmp_path, capsys):
    metrics = coco.evaluate(ground_truth(tmp_path), [])
    assert metrics.values["AP"] == 0
    assert set(metrics.values.values()) == {0.0}
    counts = {
        "images": 2,
        "annotations": 3,
        "categories": 3,
        "detections": 0,
        "detections_judged": 0,
    }
    assert metrics.details["counts"] == counts
    assert capsys.readouterr().out == ""


def test_the_detections_given_are_not_changed(tmp_path):
    found = [detection()]
    coco.evaluate(ground_truth(tmp_path), found)
    assert found == [detection()]


def test_an_annotation_numbered_zero_is_refused(tmp_path):
    with pytest.raises(ValueError, match="id 0"):
        coco.evaluate(ground_truth(tmp_path, first_annotation_id=0), [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 7}, "image_id 7 is not in the ground truth"),
        ({"category_id": 7}, "category_id 7 is not in the ground truth"),
        ({"score": math.nan}, "score is nan"),
        ({"bbox": (0, 0, math.nan, 1)}, "bbox is"),
        ({"bbox": (0, 0, -1, 1)}, "bbox is"),
        ({"bbox": (0, 0, 1)}, "bbox is"),
    ],
)
def test_a_detection_that_cannot_be_counted_is_refused(change, message):
    with pytest.raises(ValueError, match=f"detection 1: {message}") as caught:
        check([detection(), detection(**change)], [1, 2], [1, 2])
    assert "\n" not in str(caught.value)


def test_the_numbers_equal_the_official_ones(samples):
    folder = samples.root / "coco_eval_golden"
    found = json.loads((folder / "instances_val2014_fakebbox100_results.json").read_text())
    expected = json.loads((folder / "expected_bbox_stats.json").read_text())
    metrics = coco.evaluate(folder / "instances_val2014_100.json", found)
    assert metrics.values == pytest.approx(
        {name.replace("@", ""): v for name, v in expected["stats"].items()}, abs=1e-9
    )
    defined = {name: v for name, v in metrics.details["per_category_AP"].items() if v is not None}
    assert defined == pytest.approx(expected["per_category_AP"], abs=1e-9)
