"""The counting of this package equals the official code on worlds that are hard to count."""

import json
import subprocess
import sys

import numpy as np
import pytest

from omnidet.evaluation import coco, judging, lvis, official
from tests.evaluation.worlds import world


@pytest.fixture(params=[None, 50], ids=["whole", "in pieces"])
def pairs_at_once(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(judging, "PAIRS_AT_ONCE", request.param)


@pytest.mark.usefixtures("pairs_at_once")
@pytest.mark.parametrize("seed", range(6))
def test_coco_equals_pycocotools(tmp_path, seed):
    dataset, found = world(seed)
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(dataset))
    evaluator = official.coco(path, found)
    metrics = coco.evaluate(path, found, intervals=False)
    expected = {name: v for name, v in zip(coco.NAMES, evaluator.stats, strict=True) if v > -1}
    assert metrics.values == pytest.approx(expected, abs=1e-12)
    assert len(metrics.values) == 12
    precision = evaluator.eval["precision"][..., 0, -1]
    names = {c["id"]: c["name"] for c in dataset["categories"]}
    for k, category_id in enumerate(evaluator.params.catIds):
        own = precision[:, :, k][precision[:, :, k] > -1]
        expected_AP = pytest.approx(own.mean(), abs=1e-12) if len(own) else None
        assert metrics.details["per_category_AP"][names[category_id]] == expected_AP


@pytest.mark.usefixtures("pairs_at_once")
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("most", [300, 8])
def test_lvis_equals_the_official_package(tmp_path, seed, most):
    dataset, found = world(seed, federated=True)
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(dataset))
    evaluator = official.lvis(path, found, most)
    metrics = lvis.evaluate(path, found, most, intervals=False)
    assert metrics.values == pytest.approx(
        {k: v for k, v in evaluator.get_results().items() if v > -1}, abs=1e-12
    )
    assert len(metrics.values) == 13
    assert metrics.details["counts"]["detections_judged"] == sum(
        len(own) for own in evaluator._dts.values()
    )


@pytest.mark.parametrize("federated", [False, True], ids=["coco", "lvis"])
def test_boxes_without_an_area_count_as_in_the_official_code(tmp_path, federated):
    """lvis leaves them out, pycocotools does not."""
    dataset, found = world(3, federated=federated)
    for annotation in dataset["annotations"][::4]:
        annotation["area"] = 0
    for detection in found[::3]:
        detection["bbox"][2] = 0.0
        detection["score"] = 1.0
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(dataset))
    if federated:
        expected = official.lvis(path, found).get_results()
        metrics = lvis.evaluate(path, found, intervals=False)
    else:
        expected = dict(zip(coco.NAMES, official.coco(path, found).stats, strict=True))
        metrics = coco.evaluate(path, found, intervals=False)
    defined = {name: value for name, value in expected.items() if value > -1}
    assert metrics.values == pytest.approx(defined, abs=1e-12)


def test_a_file_in_the_form_of_lvis_v1(tmp_path):
    """It has fields that v0.5 lacks, and lacks the names of files."""
    dataset, found = world(7, images=40, categories=9, federated=True)
    for image in dataset["images"]:
        image |= {
            "coco_url": f"http://images.cocodataset.org/train2017/{image['id']:012d}.jpg",
            "date_captured": "",
            "license": 1,
        }
    for annotation in dataset["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        del annotation["ignore"]
    for category in dataset["categories"]:
        counts = {"image_count": 3, "instance_count": 5}
        category |= {
            "synset": f"thing.n.0{category['id']}",
            "synonyms": [category["name"]],
            "def": "a thing",
            **counts,
        }
    path = tmp_path / "lvis_v1_val.json"
    path.write_text(json.dumps({"info": {"version": "1.0"}, "licenses": [], **dataset}))
    official_values = official.lvis(path, found, 300).get_results()
    metrics = lvis.evaluate(path, found, intervals=False)
    assert metrics.values == pytest.approx(
        {k: v for k, v in official_values.items() if v > -1}, abs=1e-12
    )
    chosen = [image["id"] for image in dataset["images"]][::2]
    fewer = lvis.evaluate(path, found, only_images=chosen, intervals=False)
    dataset["images"] = [image for image in dataset["images"] if image["id"] in chosen]
    dataset["annotations"] = [a for a in dataset["annotations"] if a["image_id"] in chosen]
    path.write_text(json.dumps(dataset))
    there = official.lvis(path, [d for d in found if d["image_id"] in chosen], 300).get_results()
    assert fewer.values == pytest.approx({k: v for k, v in there.items() if v > -1}, abs=1e-12)


def test_fixed_ap_equals_the_official_package_on_the_best_of_each_category(tmp_path, monkeypatch):
    monkeypatch.setattr(lvis, "MAX_OF_CATEGORY", 20)
    dataset, found = world(3, federated=True)
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(dataset))
    best = []
    for category in dataset["categories"]:
        own = [d for d in found if d["category_id"] == category["id"]]
        best += sorted(own, key=lambda d: d["score"], reverse=True)[:20]
    assert len(best) < len(found)
    expected = official.lvis(path, best, -1).get_results()
    metrics = lvis.evaluate(path, found, protocol="fixed", intervals=False)
    assert metrics.values == pytest.approx(
        {name.replace("@-1", ""): v for name, v in expected.items()}, abs=1e-12
    )
    assert "fixed AP: the 20 best of a category" in metrics.protocol


@pytest.mark.slow
def test_lvis_is_loaded_without_its_drawing_and_leaves_no_trace(tmp_path):
    dataset, _ = world(0, federated=True)
    path = tmp_path / "lvis.json"
    path.write_text(json.dumps(dataset))
    program = """
import sys, numpy
from omnidet.evaluation import official
official.lvis(sys.argv[1], [])
loaded = [name for name in sys.modules if name.split(".")[0] in ("cv2", "matplotlib", "lvis")]
print(loaded, hasattr(numpy, "float"))
"""
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert result.stdout.strip() == "[] False", result.stderr
    assert result.stderr == ""
    assert not hasattr(np, "float")
