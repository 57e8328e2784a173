import json

import pytest

from omnidet.evaluation import lvis


def ground_truth(folder, **changes):
    """One image with a cat (frequent) and a yak (rare).

    Emus (common) are verified absent; whether there are oxen is unknown.
    """
    box = [0, 0, 100, 100]
    image = {
        "id": 5,
        "width": 400,
        "height": 400,
        "neg_category_ids": [3],
        "not_exhaustive_category_ids": [2],
    } | changes
    path = folder / "lvis.json"
    path.write_text(
        json.dumps(
            {
                "images": [image],
                "annotations": [
                    {"id": n, "image_id": 5, "category_id": n, "bbox": box, "area": 10_000}
                    for n in (1, 2)
                ],
                "categories": [
                    {"id": n, "name": name, "frequency": frequency}
                    for n, name, frequency in (
                        (1, "cat", "f"),
                        (2, "yak", "r"),
                        (3, "emu", "c"),
                        (4, "ox", "f"),
                    )
                ],
            }
        )
    )
    return path


def detection(category_id=1, bbox=(0, 0, 100, 100), score=0.9):
    return {"image_id": 5, "category_id": category_id, "bbox": list(bbox), "score": score}


def test_a_hand_worked_case(tmp_path):
    elsewhere = (200, 200, 50, 50)
    found = [
        detection(score=0.5),
        detection(bbox=elsewhere, score=0.9),  # a false cat above the true one: precision 1/2
        detection(category_id=2, score=0.5),
        # Not all yaks were drawn, so this is not a mistake.
        detection(category_id=2, bbox=elsewhere, score=0.9),
        detection(category_id=3),  # no image has an emu to find, so there is no number
        detection(category_id=4),  # nobody looked for oxen: not judged
    ]
    metrics = lvis.evaluate(ground_truth(tmp_path), found)
    assert metrics.details["per_category_AP"] == {
        "cat": pytest.approx(0.5),
        "yak": pytest.approx(1),
        "emu": None,
        "ox": None,
    }
    assert metrics.values["AP"] == pytest.approx(0.75)
    assert metrics.values["APr"] == pytest.approx(1)
    assert metrics.values["APf"] == pytest.approx(0.5)
    assert metrics.values["AR@300"] == pytest.approx(1)
    assert metrics.details["undefined"] == ["APs", "APm", "APc", "ARs@300", "ARm@300"]
    assert metrics.details["counts"]["detections_judged"] == 5
    assert metrics.benchmark == "lvis"


def test_only_the_best_of_an_image_count(tmp_path):
    found = [detection(category_id=1, score=0.2), detection(category_id=2, score=0.9)]
    metrics = lvis.evaluate(ground_truth(tmp_path), found, max_detections=1)
    assert metrics.values["AR@1"] == pytest.approx(0.5)
    assert "1 detections an image" in metrics.protocol


def test_without_detections_every_number_is_0(tmp_path):
    metrics = lvis.evaluate(ground_truth(tmp_path), [])
    assert metrics.values["AP"] == 0
    assert set(metrics.values.values()) == {0.0}


def test_what_cannot_be_counted_is_refused(tmp_path):
    path = ground_truth(tmp_path)
    with pytest.raises(ValueError, match="category_id 9"):
        lvis.evaluate(path, [detection(category_id=9)])
    with pytest.raises(ValueError, match="max_detections=0"):
        lvis.evaluate(path, [], max_detections=0)
    content = json.loads(path.read_text())
    del content["images"][0]["neg_category_ids"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="neg_category_ids"):
        lvis.evaluate(path, [])


def test_the_numbers_equal_the_official_ones(samples):
    folder = samples.root / "lvis_eval_golden"
    found = json.loads((folder / "lvis_val_100_synthetic_dets.json").read_text())
    expected = json.loads((folder / "lvis_val_100_synthetic_expected.json").read_text())
    metrics = lvis.evaluate(folder / "lvis_val_100.json", found)
    assert metrics.values == pytest.approx(expected, abs=1e-9)
    assert metrics.details["counts"]["categories"] == (1230 if samples.is_real else 8)
