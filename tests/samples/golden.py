"""Small ground truths and detections with the numbers that the official tools give for them.

The numbers were printed once by pycocotools' COCOeval (2.0.11) and lvis' LVISEval (0.5.3).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.samples import coco
from tests.samples.pictures import write

Json = dict[str, Any]
NUM_IMAGES = 6
CATEGORY_IDS = (2, 3, 4, 5)
"""Among LVIS's categories, these are one rare, two frequent and one common."""
COCO_STATS = {
    "AP": 0.5449139556812823,
    "AP50": 0.8518387553041018,
    "AP75": 0.5137906647807637,
    "APs": 0.5466584158415841,
    "APm": 0.46757425742574255,
    "APl": 0.7616336633663366,
    "AR@1": 0.5275000000000001,
    "AR@10": 0.66875,
    "AR@100": 0.66875,
    "ARs": 0.6625,
    "ARm": 0.6,
    "ARl": 0.7833333333333334,
}
COCO_AP_OF_CATEGORY = {
    "thing 2": 0.6911834040546911,
    "thing 3": 0.49900990099009895,
    "thing 4": 0.5938000942951438,
    "thing 5": 0.39566242338519564,
}
LVIS_VALUES = {
    "AP": 0.5623102310231023,
    "AP50": 0.8619754832626119,
    "AP75": 0.5318246110325318,
    "APs": 0.5505569306930693,
    "APm": 0.5070544554455445,
    "APl": 0.7616336633663366,
    "APr": 0.6911834040546911,
    "APc": 0.3745874587458746,
    "APf": 0.5917350306459217,
    "AR@300": 0.6841666666666667,
    "ARs@300": 0.6583333333333333,
    "ARm@300": 0.6291666666666667,
    "ARl@300": 0.7833333333333334,
}


def truth() -> Json:
    """Boxes of all three size classes, two of them crowds; areas are smaller than the boxes."""
    annotations = []
    for image in range(NUM_IMAGES):
        for k in range(image + 1):
            side = (20, 60, 130)[(image + k) % 3]
            annotations.append(
                {
                    "segmentation": [[0, 0, side, 0, side, side]],
                    "area": 0.8 * side * side,
                    "iscrowd": int((image, k) in ((3, 1), (5, 4))),
                    "image_id": 10 + image,
                    "bbox": [7.0 * k + 11 * image, 13.0 * k, float(side), side + 2.0 * k],
                    "category_id": CATEGORY_IDS[(image + 2 * k + k // 2) % 4],
                    "id": len(annotations) + 1,
                }
            )
    return {
        "annotations": annotations,
        "images": [
            coco.image_entry("val2014", 10 + i)
            | {"file_name": f"COCO_val2014_{10 + i:012d}.jpg", "width": 400, "height": 400}
            for i in range(NUM_IMAGES)
        ],
        "categories": [
            {"supercategory": "thing", "id": i, "name": f"thing {i}"} for i in CATEGORY_IDS
        ],
        "info": {"description": "drawn", "year": 2014},
        "licenses": [],
    }


def detections() -> list[Json]:
    """For each box one that is shifted a little more each time, and some that are wrong."""
    rows = []
    for i, annotation in enumerate(truth()["annotations"]):
        x, y, w, h = annotation["bbox"]
        own = {"image_id": annotation["image_id"], "category_id": annotation["category_id"]}
        shift = (i % 7) * w / 40
        rows.append({**own, "bbox": [x + shift, y, w, h - shift], "score": 0.95 - 0.03 * i})
        if i % 4 == 1:
            wrong = {"category_id": CATEGORY_IDS[(annotation["category_id"] - 1) % 4]}
            rows.append({**own, **wrong, "bbox": [x, y, w, h], "score": 0.6 - 0.01 * i})
        if i % 5 == 2:
            rows.append({**own, "bbox": [x + w, y + h, w, h], "score": 0.9 - 0.02 * i})
    return rows


def lvis_truth() -> Json:
    """The same as LVIS has it: categories with frequencies, and only some of them judged."""
    content = truth()
    categories = coco.lvis_categories()
    for image in content["images"]:
        present = {a["category_id"] for a in content["annotations"] if a["image_id"] == image["id"]}
        absent = [i for i in CATEGORY_IDS if i not in present]
        partly = sorted(present)[:1] if image["id"] % 2 else []
        image |= {"neg_category_ids": absent[:1], "not_exhaustive_category_ids": partly}
    for annotation in content["annotations"]:
        del annotation["iscrowd"]
    return {**content, "categories": categories}


def draw_coco(root: Path) -> None:
    """Ground truth, detections and the twelve numbers."""
    write(root / "instances_val2014_100.json", truth())
    write(root / "instances_val2014_fakebbox100_results.json", detections())
    content: Json = {"tool": "pycocotools 2.0.11", "iouType": "bbox", "stats": COCO_STATS}
    content["per_category_AP"] = COCO_AP_OF_CATEGORY
    write(root / "expected_bbox_stats.json", content)


def draw_lvis(root: Path) -> None:
    """Ground truth, detections and the thirteen numbers; categories of v1."""
    write(root / "lvis_val_100.json", lvis_truth())
    write(root / "lvis_val_100_synthetic_dets.json", detections())
    write(root / "lvis_val_100_synthetic_expected.json", LVIS_VALUES)
    write(root / "lvis_v1_train_cat_info.json", coco.lvis_categories()[:4])
