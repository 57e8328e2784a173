"""Random ground truths and detections that are hard to count.

They have crowds, equal scores, equal overlaps and boxes of every size.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def world(
    seed: int, images: int = 12, categories: int = 6, federated: bool = False
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An annotation file and a list of detections."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for image in random.permutation(images) * 7 + 3:
        present = random.choice(categories, random.integers(0, 4), replace=False)
        others = np.setdiff1d(np.arange(categories), present)
        entry: dict[str, Any] = {"id": int(image), "width": 400, "height": 400}
        if federated:
            entry["neg_category_ids"] = [int(c) + 1 for c in others[: random.integers(0, 3)]]
            entry["not_exhaustive_category_ids"] = [
                int(c) + 1 for c in present[: random.integers(0, 2)]
            ]
        entries.append(entry)
        for category in present:
            for box in _boxes(random, int(random.integers(1, 9))):
                # The area is that of a mask: smaller than the box.
                annotation = {"image_id": int(image), "category_id": int(category) + 1, "bbox": box}
                annotation |= {
                    "id": len(annotations) + 1,
                    "area": box[2] * box[3] * float(random.choice([0.5, 1.0])),
                }
                annotation |= (
                    {"ignore": int(random.random() < 0.1)}
                    if federated
                    else {"iscrowd": int(random.random() < 0.15)}
                )
                annotations.append(annotation)
                for _ in range(int(random.integers(0, 4))):
                    moved = [v + int(random.integers(-4, 5)) for v in box]
                    found.append(
                        _detection(
                            random,
                            image,
                            category,
                            [*moved[:2], max(moved[2], 0), max(moved[3], 0)],
                        )
                    )
        for category in random.choice(categories, 3):
            found += [
                _detection(random, image, category, box)
                for box in _boxes(random, int(random.integers(0, 30)))
            ]
    random.shuffle(found)  # type: ignore[arg-type]
    listed = [
        {"id": c + 1, "name": f"thing {c}", "frequency": "rcf"[c % 3]}
        for c in random.permutation(categories).tolist()
    ]
    return {"images": entries, "annotations": annotations, "categories": listed}, found


def _boxes(random: np.random.Generator, count: int) -> list[list[float]]:
    """Boxes on a coarse grid, so that many overlap equally; some reach beyond the image."""
    sides = random.choice([8, 16, 32, 64, 96, 128], (count, 2))
    corners = random.integers(-2, 24, (count, 2)) * 16
    return [
        [float(v) for v in (*corner, *side)] for corner, side in zip(corners, sides, strict=True)
    ]


def _detection(
    random: np.random.Generator, image: int, category: int, box: list[float]
) -> dict[str, Any]:
    return {
        "image_id": int(image),
        "category_id": int(category) + 1,
        "bbox": box,
        "score": float(random.integers(0, 20)) / 20,
    }
