"""The tiny world as COCO, LVIS and RefCOCOg: annotations of the same images, by the same ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnidet.data.tiny_world import lvis_files, refcocog_files, words
from omnidet.data.tiny_world.coco_entries import (
    CATEGORY_IDS,
    CocoImage,
    Json,
    categories,
    frame,
    outline,
    write_json,
)
from omnidet.data.tiny_world.coco_faults import file_damage, plant, plant_empty_captions


def write_coco(
    root: Path, rng: np.random.Generator, images: Sequence[CocoImage], num_broken: int
) -> Json:
    """All annotation files below `root`; returns what was planted, for `world.json`."""
    annotations = _instances(images)
    planted: dict[str, Counter[str]] = {name: file_damage(images) for name in ("coco", "lvis")}
    for split in ("train2017", "val2017"):
        of_split = [image for image in images if image.split == split]
        ids = {image.image_id for image in of_split}
        instances = frame(of_split, [a for a in annotations if a["image_id"] in ids])
        instances["categories"] = categories()
        texts = frame(of_split, _captions(rng, of_split))
        if split == "train2017":
            planted["coco"] += plant(rng, instances, of_split, num_broken)
            planted["coco"] += plant_empty_captions(rng, texts, of_split, num_broken)
        write_json(root / "annotations" / f"instances_{split}.json", instances)
        write_json(root / "annotations" / f"captions_{split}.json", texts)
    lvis_train = lvis_files.train_images(images)
    lvis_val = [image for image in images if image.role in ("val", "lvis_val")]
    train, val = (lvis_files.content(rng, of_split) for of_split in (lvis_train, lvis_val))
    train["categories"] = val["categories"] = lvis_files.categories(train["annotations"])
    planted["lvis"] += plant(rng, train, lvis_train, num_broken)
    write_json(root / "annotations" / "lvis_v1_train.json", train)
    write_json(root / "annotations" / "lvis_v1_val.json", val)
    refs, expressions, planted["refcocog"] = refcocog_files.refs(
        rng, images, annotations, num_broken
    )
    refcocog_files.write(root / "refcocog", refs, images, annotations)
    held_out_refs = [image for image in images if image.role in ("refcocog_val", "refcocog_test")]
    return {
        "images": {
            split: sum(image.split == split for image in images)
            for split in ("train2017", "val2017")
        },
        "usable": sum(image.role == "train" for image in images),
        "broken": {name: dict(sorted(counts.items())) for name, counts in planted.items()},
        "expressions": expressions,
        "leaks": {
            "refcocog held out in coco train": len(held_out_refs),
            "refcocog held out in lvis train": sum(image.is_held_out for image in lvis_train),
            "lvis val in coco train": sum(image.role == "lvis_val" for image in images),
        },
    }


def _instances(images: Sequence[CocoImage]) -> list[Json]:
    """The things of each image in the order in which they were drawn, then its crowd."""
    found: list[Json] = []
    for image in images:
        scene = image.picture.scene
        for thing in scene.things:
            found.append(
                {
                    **outline(thing.box_xyxy, thing.area),
                    "iscrowd": 0,
                    "category_id": CATEGORY_IDS[thing.shape],
                }
            )
            found[-1] |= {"image_id": image.image_id, "id": 1000 + 7 * len(found)}
        if scene.crowd:
            size = [scene.image_size, scene.image_size]
            crowd = outline(scene.crowd.box_xyxy, scene.crowd.area)
            crowd |= {
                "segmentation": {"counts": list(scene.crowd.run_lengths), "size": size},
                "iscrowd": 1,
            }
            crowd |= {"category_id": CATEGORY_IDS[scene.crowd.shape], "image_id": image.image_id}
            # COCO's crowds have such ids.
            found.append({**crowd, "id": 900_100_000_000 + len(found)})
    return found


def _captions(rng: np.random.Generator, images: Sequence[CocoImage]) -> list[Json]:
    found: list[Json] = []
    for image in images:
        for text in words.captions(rng, image.picture.scene):
            found.append({"image_id": image.image_id, "id": 37 + len(found), "caption": text})
    return found
