import json

import numpy as np
import pytest

from omnidet.evaluation import average_precision, coco, judging, lvis, resampling
from omnidet.evaluation.detections import collect
from omnidet.evaluation.truth import read
from tests.evaluation.worlds import world


def judged(tmp_path, dataset, found):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(dataset))
    truth = read(path)
    return truth, judging.judge(truth, collect(found, truth)[0], 100)


def by_category(truth, counted):
    precision_TRK = average_precision.accumulate(truth, counted, (100,)).precision_TRKA[..., 0]
    return np.where(precision_TRK > -1, precision_TRK, np.nan).mean(1).T


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_of_one_for_every_image_changes_nothing(tmp_path, seed):
    truth, counted = judged(tmp_path, *world(seed, images=30))
    (values_KT,) = average_precision.resampled(truth, counted, np.ones((1, len(truth.image_ids))))
    np.testing.assert_allclose(values_KT, by_category(truth, counted), atol=1e-12)


def test_a_weight_counts_like_copies_of_the_image(tmp_path):
    dataset, found = world(1, images=30)
    # Copies of a detection have equal scores, whose order decides. So all others differ.
    found = [{**d, "score": d["score"] - n * 1e-6} for n, d in enumerate(found)]
    truth, counted = judged(tmp_path, dataset, found)
    weights_BI = resampling.draw(len(truth.image_ids), 2)
    values_BKT = average_precision.resampled(truth, counted, weights_BI)
    for b in range(2):
        copied = {"images": [], "annotations": [], "categories": dataset["categories"]}
        copied_found = []
        for place, image_id in enumerate(truth.image_ids):
            for copy in range(int(weights_BI[b, place])):
                number = image_id * 1000 + copy
                copied["images"].append({"id": number})
                own = [a for a in dataset["annotations"] if a["image_id"] == image_id]
                first = len(copied["annotations"]) + 1
                copied["annotations"] += [
                    {**a, "image_id": number, "id": first + n} for n, a in enumerate(own)
                ]
                copied_found += [
                    {**d, "image_id": number} for d in found if d["image_id"] == image_id
                ]
        expected_KT = by_category(*judged(tmp_path, copied, copied_found))
        assert np.isnan(values_BKT[b]).tolist() == np.isnan(expected_KT).tolist()
        # Counted one after another, copies of a right detection raise precision in steps; weighted,
        # they raise it at once.
        np.testing.assert_allclose(values_BKT[b], expected_KT, atol=0.02)
        assert np.nanmean(values_BKT[b]) == pytest.approx(np.nanmean(expected_KT), abs=2e-3)


def test_intervals_contain_the_value_and_narrow_with_more_images(tmp_path):
    widths = []
    for images in (20, 180):
        dataset, found = world(5, images=images, federated=True)
        path = tmp_path / "lvis.json"
        path.write_text(json.dumps(dataset))
        metrics = lvis.evaluate(path, found)
        assert set(metrics.details["intervals"]) == {"AP", "AP50", "APr", "APc", "APf"}
        for name, (low, high) in metrics.details["intervals"].items():
            assert low <= metrics.values[name] <= high
        for name, value in metrics.details["per_category_AP"].items():
            low, high = metrics.details["per_category_interval"][name]
            assert low <= value <= high
        low, high = metrics.details["intervals"]["AP"]
        widths.append(high - low)
        assert len(metrics.details["resamples"]["AP"]) == resampling.RESAMPLES
    assert 0 < widths[1] < 0.6 * widths[0]  # nine times the images: a third of the width


@pytest.mark.slow
def test_the_width_is_that_of_independent_samples(tmp_path):
    """The standard error over resamples of one sample is about the spread over samples."""
    values, errors = [], []
    for seed in range(12):
        dataset, found = world(100 + seed, images=60, categories=3)
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(dataset))
        metrics = coco.evaluate(path, found)
        values.append(metrics.values["AP"])
        errors.append(np.std(metrics.details["resamples"]["AP"]))
    assert 0.5 < np.mean(errors) / np.std(values, ddof=1) < 2
