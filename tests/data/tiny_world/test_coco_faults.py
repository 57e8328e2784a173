"""Faults of annotations are as counted."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tests.data.tiny_world.reading import (
    annotations,
    by_id,
    is_sound,
)


def test_faults_of_coco_and_lvis_are_as_counted(world, facts):
    for name, file in {"coco": "instances_train2017.json", "lvis": "lvis_v1_train.json"}.items():
        content = annotations(world, file)
        boxes = np.array([a["bbox"] for a in content["annotations"]])
        repeats = [
            sum(n - 1 for n in Counter(e["id"] for e in content[k]).values())
            for k in ("annotations", "images")
        ]
        sizes = boxes[:, 2:]
        measured = {
            "zero-size box": (sizes == 0).any(1).sum(),
            "box outside the image": (boxes[:, 0] >= 128).sum(),
            "box with a number that is not finite": np.isnan(boxes).any(1).sum(),
            "box larger than the image": (sizes > 1000).any(1).sum(),
            "unknown image id": sum(
                a["image_id"] not in by_id(content["images"]) for a in content["annotations"]
            ),
            "unknown category id": sum(
                a["category_id"] not in by_id(content["categories"]) for a in content["annotations"]
            ),
            "duplicate annotation id": repeats[0],
            "duplicate image id": repeats[1],
        }
        planted = facts["broken"][name]
        assert {kind: planted[kind] for kind in measured} == measured
        assert set(planted) - set(measured) <= {
            "truncated image",
            "image too large",
            "missing image",
            "empty caption",
        }
    texts = [a["caption"] for a in annotations(world, "captions_train2017.json")["annotations"]]
    assert sum(not text.strip() for text in texts) == facts["broken"]["coco"]["empty caption"]
    assert any(not t for t in texts)
    val = annotations(world, "instances_val2017.json")
    assert all(map(is_sound, val["annotations"]))
