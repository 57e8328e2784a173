"""COCO's files open with the official tool."""

from __future__ import annotations

from pycocotools.coco import COCO

from omnidet.data.tiny_world.sprites import SHAPES
from tests.data.tiny_world.reading import (
    annotations,
)


def test_coco_opens_with_the_official_tool(world, facts, capsys):
    for split, num_images in facts["coco"]["images"].items():
        coco = COCO(str(world / "coco/annotations" / f"instances_{split}.json"))
        captions = COCO(str(world / "coco/annotations" / f"captions_{split}.json"))
        assert len(coco.imgs) == len(captions.imgs) == num_images
        assert [c["name"] for c in coco.dataset["categories"]] == list(SHAPES)
        for image_id, image in coco.imgs.items():
            assert len(captions.getAnnIds(imgIds=[image_id])) >= 5
            assert image["file_name"] == f"{image_id:012d}.jpg"
    ids = [
        {i["id"] for i in annotations(world, f"instances_{s}.json")["images"]}
        for s in ("train2017", "val2017")
    ]
    assert not ids[0] & ids[1]
