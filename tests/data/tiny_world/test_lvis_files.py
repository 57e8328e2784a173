"""LVIS: federated and true, with the fields of the official file."""

from __future__ import annotations

import json

import numpy as np

from omnidet.data.tiny_world.lvis_files import LVIS_IDS, federate
from omnidet.data.tiny_world.scenes import Scene, Thing
from tests.data.tiny_world.reading import (
    annotations,
    is_sound,
)


def test_lvis_has_the_keys_of_the_official_file(world, samples):
    real = json.loads((samples.root / "lvis_eval_golden/lvis_val_100.json").read_text())
    for split in ("train", "val"):
        drawn = annotations(world, f"lvis_v1_{split}.json")
        assert set(drawn) == set(real)
        assert set(drawn["images"][0]) == set(real["images"][0]) - {"file_name"}, (
            "v1, unlike v0.5, has coco_url only"
        )
        assert set(drawn["annotations"][0]) == set(real["annotations"][0])
        assert set(drawn["categories"][0]) == set(real["categories"][0])


def test_lvis_is_federated_and_true(world):
    """Compared with COCO's boxes: LVIS boxes are among them, and absent categories are absent."""
    coco = {}
    for split in ("train2017", "val2017"):
        for a in filter(is_sound, annotations(world, f"instances_{split}.json")["annotations"]):
            coco.setdefault(a["image_id"], set()).add((*a["bbox"], a["category_id"]))
    shape_ids = {
        c["name"]: c["id"] for c in annotations(world, "instances_val2017.json")["categories"]
    }
    coco_id = {lvis_id: shape_ids[shape] for (_, shape), lvis_id in LVIS_IDS.items()}
    num_boxes = num_coco_boxes = 0
    for split in ("train", "val"):
        lvis = annotations(world, f"lvis_v1_{split}.json")
        boxed = {}
        for a in filter(is_sound, lvis["annotations"]):
            assert (*a["bbox"], coco_id[a["category_id"]]) in coco[a["image_id"]]
            boxed.setdefault(a["image_id"], set()).add(a["category_id"])
        for image in lvis["images"]:
            positives = boxed.get(image["id"], set())
            assert len(image["neg_category_ids"]) == 12
            assert not positives & set(image["neg_category_ids"])
            assert set(image["not_exhaustive_category_ids"]) <= positives
            absent_shapes = set(coco_id.values()) - {b[4] for b in coco.get(image["id"], set())}
            assert {coco_id[i] for i in positives}.isdisjoint(absent_shapes)
        num_boxes += len(lvis["annotations"])
        num_coco_boxes += sum(len(coco.get(image["id"], ())) for image in lvis["images"])
    assert 0.5 < num_boxes / num_coco_boxes < 0.85


def test_dog_is_verified_absent_where_a_hot_dog_of_its_colour_stands_alone():
    def thing(shape, x):
        return Thing("red", shape, "small", (x, 0, x + 20, 20), 400)

    for seed in range(20):
        _, negative, _ = federate(np.random.default_rng(seed), Scene(128, (thing("hot dog", 0),)))
        assert LVIS_IDS["red", "dog"] in negative
        _, negative, _ = federate(
            np.random.default_rng(seed), Scene(128, (thing("hot dog", 0), thing("dog", 40)))
        )
        assert LVIS_IDS["red", "dog"] not in negative


def test_lvis_counts_and_frequencies_are_those_of_the_file(world):
    lvis = annotations(world, "lvis_v1_train.json")
    num_categories = len(lvis["categories"])
    sound = {a["id"]: a for a in lvis["annotations"] if is_sound(a)}.values()
    for category in lvis["categories"]:
        of_category = [a for a in sound if a["category_id"] == category["id"]]
        num_images = len({a["image_id"] for a in of_category})
        assert (category["image_count"], category["instance_count"]) == (
            num_images,
            len(of_category),
        )
        assert category["frequency"] == (
            "r" if num_images <= 10 else "c" if num_images <= 100 else "f"
        )
    assert num_categories == 72
    assert "red_hot_dog" in {category["name"] for category in lvis["categories"]}
