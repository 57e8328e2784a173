"""Entries of COCO's annotation files, which LVIS and RefCOCOg share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnidet.data.tiny_world.scenes import Picture
from omnidet.data.tiny_world.sprites import SHAPES

Json = dict[str, Any]
CATEGORY_IDS = dict(zip(SHAPES, (1, 2, 3, 5, 6, 8, 9, 11, 18, 58), strict=True))
"""With gaps, as in COCO."""
UNKNOWN_ID = 999_999_999


@dataclass(frozen=True)
class CocoImage:
    """One image of COCO and its role."""

    image_id: int
    role: str
    """train, val; lvis_val, refcocog_val and refcocog_test, in train2017 and held out; or the fault
    of its file."""
    picture: Picture

    @property
    def split(self) -> str:
        return "val2017" if self.role == "val" else "train2017"

    @property
    def file_name(self) -> str:
        return f"{self.image_id:012d}.jpg"

    @property
    def is_held_out(self) -> bool:
        return self.role in ("val", "lvis_val", "refcocog_val", "refcocog_test")


def frame(images: Sequence[CocoImage], annotations: list[Json]) -> Json:
    """The part that all these files have in common."""
    return {
        "info": {
            "description": "tiny world, drawn by OmniDet",
            "url": "",
            "version": "1.0",
            "year": 2017,
            "contributor": "OmniDet",
            "date_created": "2017/09/01",
        },
        "licenses": [
            {
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
                "id": 1,
                "name": "Apache License 2.0",
            }
        ],
        "images": [image_entry(image) for image in images],
        "annotations": annotations,
    }


def image_entry(image: CocoImage) -> Json:
    """The entry of an image."""
    return {
        "license": 1,
        "file_name": image.file_name,
        "coco_url": f"http://images.cocodataset.org/{image.split}/{image.file_name}",
        "height": image.picture.scene.image_size,
        "width": image.picture.scene.image_size,
        "date_captured": "2013-11-14 17:02:52",
        "flickr_url": f"http://farm9.staticflickr.com/0000/{image.image_id}_z.jpg",
        "id": image.image_id,
    }


def categories() -> list[Json]:
    """The shapes as COCO's categories."""
    parents = {"dog": "animal", "hot dog": "food"}
    return [
        {"supercategory": parents.get(name, "shape"), "id": i, "name": name}
        for name, i in CATEGORY_IDS.items()
    ]


def outline(box_xyxy: tuple[int, int, int, int], area: int) -> Json:
    """The fields of an annotation that say where it is."""
    x0, y0, x1, y1 = map(float, box_xyxy)
    return {
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        "area": float(area),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }


def write_json(path: Path, content: Json) -> None:
    """Write a JSON file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
