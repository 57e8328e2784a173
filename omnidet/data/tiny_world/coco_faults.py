"""Faults of annotation files, planted on purpose and counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np

from omnidet.data.tiny_world.coco_entries import UNKNOWN_ID, CocoImage, Json


def file_damage(images: Sequence[CocoImage]) -> Counter[str]:
    """How many image files have each fault."""
    return Counter(
        image.role for image in images if image.role != "train" and not image.is_held_out
    )


def plant(
    rng: np.random.Generator, content: Json, images: Sequence[CocoImage], number: int
) -> Counter[str]:
    """Add `number` broken entries of each kind, all to usable training images."""
    usable = {image.image_id for image in images if image.role == "train"}
    annotations = content["annotations"]
    sound = [a for a in annotations if a["image_id"] in usable and not a.get("iscrowd")]
    order = itertools.cycle(rng.permutation(len(sound)).tolist())
    free_id = max(a["id"] for a in annotations) + 1
    counts: Counter[str] = Counter()
    changes: dict[str, Json] = {
        "zero-size box": {"bbox": [30.0, 40.0, 0.0, 12.0], "area": 0.0},
        "box outside the image": {"bbox": [4000.0, 10.0, 20.0, 20.0]},
        "box with a number that is not finite": {"bbox": [float("nan"), 10.0, 20.0, 20.0]},
        "box larger than the image": {"bbox": [-500.0, -500.0, 1e6, 1e6]},
        "unknown image id": {"image_id": UNKNOWN_ID},
        "unknown category id": {"category_id": UNKNOWN_ID},
    }
    for kind, change in changes.items():
        for _ in range(number):
            annotations.append({**sound[next(order)], **change, "id": free_id})
            free_id += 1
            counts[kind] += 1
    for _ in range(number):
        annotations.append(dict(sound[next(order)]))
        counts["duplicate annotation id"] += 1
    entries = [entry for entry in content["images"] if entry["id"] in usable]
    for i in rng.permutation(len(entries))[:number].tolist():
        content["images"].append(dict(entries[i]))
        counts["duplicate image id"] += 1
    return counts


def plant_empty_captions(
    rng: np.random.Generator, content: Json, images: Sequence[CocoImage], number: int
) -> Counter[str]:
    """Add `number` empty captions to usable training images."""
    usable = [image.image_id for image in images if image.role == "train"]
    free_id = max(a["id"] for a in content["annotations"]) + 1
    for i in range(number):
        image_id = usable[int(rng.integers(len(usable)))]
        content["annotations"].append(
            {"image_id": image_id, "id": free_id + i, "caption": " " * (i % 2)}
        )
    return Counter({"empty caption": number})
