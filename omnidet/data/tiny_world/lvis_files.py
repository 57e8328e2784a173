"""The tiny world as LVIS: federated labels, and categories with frequencies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from omnidet.data.tiny_world import words
from omnidet.data.tiny_world.coco_entries import CocoImage, Json, frame, outline
from omnidet.data.tiny_world.scenes import Scene
from omnidet.data.tiny_world.sprites import SEEN_PAIRS

LVIS_IDS = {pair: i for i, pair in enumerate(SEEN_PAIRS, start=1)}
_NUM_NEGATIVES = 12


def train_images(images: Sequence[CocoImage]) -> list[CocoImage]:
    """Images of LVIS train: train2017 without LVIS val and half of RefCOCOg's val and test."""
    held_out = [
        image.image_id for image in images if image.role in ("refcocog_val", "refcocog_test")
    ]
    left_out = set(held_out[1::2])
    return [
        i
        for i in images
        if i.split == "train2017" and i.role != "lvis_val" and i.image_id not in left_out
    ]


def content(rng: np.random.Generator, images: Sequence[CocoImage]) -> Json:
    """An annotation file without its categories."""
    made = frame(images, [])
    for entry, image in zip(made["images"], images, strict=True):
        del entry["file_name"]  # LVIS v1 has only coco_url
        boxed, negative, not_exhaustive = federate(rng, image.picture.scene)
        entry["neg_category_ids"], entry["not_exhaustive_category_ids"] = negative, not_exhaustive
        for category_id, members in boxed.items():
            for i in members:
                thing = image.picture.scene.things[i]
                annotation = {
                    **outline(thing.box_xyxy, thing.area),
                    "image_id": image.image_id,
                    "category_id": category_id,
                }
                made["annotations"].append({**annotation, "id": len(made["annotations"]) + 1})
    return made


def federate(
    rng: np.random.Generator, scene: Scene
) -> tuple[dict[int, tuple[int, ...]], list[int], list[int]]:
    """Boxed categories with their things, categories verified absent, and those not exhaustive."""
    present = {
        LVIS_IDS[pair]: g.members
        for g in words.groups(scene)
        if (pair := (g.colour, g.shape)) in LVIS_IDS
    }
    boxed = {category_id: members for category_id, members in present.items() if rng.random() < 0.7}
    many = [category_id for category_id, members in boxed.items() if len(members) > 1]
    not_exhaustive = []
    if many and rng.random() < 0.14:  # about 5 % of all images
        chosen = many[int(rng.integers(len(many)))]
        boxed[chosen] = boxed[chosen][: int(rng.integers(1, len(boxed[chosen])))]
        not_exhaustive = [chosen]
    taken = set(present) | (
        {LVIS_IDS[scene.crowd.colour, scene.crowd.shape]} if scene.crowd else set()
    )
    absent = [i for i in LVIS_IDS.values() if i not in taken]
    # A hot dog teaches that "dog" is absent.
    dogs = {
        LVIS_IDS[thing.colour, "dog"] for thing in scene.things if thing.shape == "hot dog"
    } - taken
    others = [i for i in rng.permutation(absent).tolist() if i not in dogs]
    return boxed, sorted([*dogs, *others[: _NUM_NEGATIVES - len(dogs)]]), not_exhaustive


def categories(annotations: list[Json]) -> list[Json]:
    """The pairs of colour and shape as LVIS's categories, with counts over the annotations."""
    boxes = Counter(a["category_id"] for a in annotations)
    images = Counter(
        category_id for category_id, _ in {(a["category_id"], a["image_id"]) for a in annotations}
    )
    found = []
    for (colour, shape), i in LVIS_IDS.items():
        name = f"{colour} {shape}".replace(" ", "_")
        found.append(
            {
                "image_count": images[i],
                "synonyms": [name],
                "def": f"a {shape} of {colour} colour",
                "id": i,
                "synset": f"{name}.n.01",
                "name": name,
                "frequency": "r" if images[i] <= 10 else "c" if images[i] <= 100 else "f",
                "instance_count": boxes[i],
            }
        )
    return found
