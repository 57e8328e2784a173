"""RefCOCOg: every expression is true of one thing alone, and the files are like the real ones."""

from __future__ import annotations

import json
import re
from collections import Counter

from omnidet.data.tiny_world.sprites import HELD_OUT_PAIRS
from tests.data.tiny_world.reading import (
    annotations,
    by_id,
    fits,
    parse,
    read_refs,
    things_of_images,
)


def test_every_expression_is_true_and_unique(world, facts):
    content = by_id(annotations(world, "instances_train2017.json")["annotations"])
    things = things_of_images(world)
    counts = {split: Counter() for split in ("train", "val", "test")}
    directions = {"left of": (0, 1), "right of": (0, -1), "above": (1, 1), "below": (1, -1)}
    for ref in read_refs(world):
        if ref["ann_id"] not in content:
            continue
        x, y, w, h = content[ref["ann_id"]]["bbox"]
        target = next(t for t in things[ref["image_id"]] if t.box_xyxy == (x, y, x + w, y + h))
        for text in filter(None, (s["sent"] for s in ref["sentences"])):
            parts = re.split(r" (left of|right of|above|below) ", text)
            fitting = [t for t in things[ref["image_id"]] if fits(t, parse(parts[0]))]
            counts[ref["split"]]["relational" if len(parts) > 1 else "plain"] += 1
            if len(parts) == 1:
                assert fitting == [target], text
                continue
            (landmark,) = [t for t in things[ref["image_id"]] if fits(t, parse(parts[2]))]
            axis, sign = directions[parts[1]]
            centre = {
                t: (t.box_xyxy[axis] + t.box_xyxy[axis + 2]) / 2 for t in [*fitting, landmark]
            }
            assert [t for t in fitting if sign * (centre[landmark] - centre[t]) > 0] == [target], (
                text
            )
            assert sign * (centre[landmark] - centre[target]) >= 20, text
    planted = facts["broken"]["refcocog"]
    assert counts["val"] == facts["coco"]["expressions"]["val"] == {"plain": 12, "relational": 12}
    assert counts["test"] == facts["coco"]["expressions"]["test"] == {"plain": 12}
    assert counts["train"] == facts["coco"]["expressions"]["train"]
    assert counts["train"]["relational"] > 30
    assert set(planted) == {"unknown image id", "unknown annotation id", "empty caption"}


def test_test_expressions_need_both_words(world):
    content = by_id(annotations(world, "instances_train2017.json")["annotations"])
    things = things_of_images(world)
    for ref in read_refs(world):
        if ref["split"] != "test":
            continue
        box = content[ref["ann_id"]]["bbox"]
        target = next(t for t in things[ref["image_id"]] if t.box_xyxy[:2] == tuple(box[:2]))
        others = [t for t in things[ref["image_id"]] if t != target]
        assert (target.colour, target.shape) in HELD_OUT_PAIRS
        assert any(t.colour == target.colour for t in others)
        assert any(t.shape == target.shape for t in others)
        assert all({"colour", "shape"} <= set(parse(s["sent"])) for s in ref["sentences"])


def test_the_files_are_like_the_real_ones(world, facts):
    refs = read_refs(world)
    instances = json.loads((world / "coco/refcocog/instances.json").read_text())
    assert (world / "coco/refcocog/refs(umd).p").read_bytes()[:2] == b"\x80\x02"
    keys = {
        "sent_ids",
        "file_name",
        "ann_id",
        "ref_id",
        "image_id",
        "split",
        "sentences",
        "category_id",
    }
    for ref in refs:
        assert set(ref) == keys
        assert re.fullmatch(r"COCO_train2014_\d{12}_\d+\.jpg", ref["file_name"])
        assert ref["sent_ids"] == [s["sent_id"] for s in ref["sentences"]]
        for sentence in ref["sentences"]:
            assert set(sentence) == {"raw", "sent", "tokens", "sent_id"}
            assert " ".join(sentence["tokens"]) == sentence["sent"]
    assert len({sent_id for ref in refs for sent_id in ref["sent_ids"]}) == sum(
        len(ref["sentences"]) for ref in refs
    )
    known = by_id(instances["annotations"])
    planted = facts["broken"]["refcocog"]
    strangers = [ref for ref in refs if ref["ann_id"] not in known]
    assert len(strangers) == planted["unknown image id"] + planted["unknown annotation id"]
    assert (
        sum(ref["image_id"] not in by_id(instances["images"]) for ref in refs)
        == planted["unknown image id"]
    )
    assert sum(not s["sent"] for ref in refs for s in ref["sentences"]) == planted["empty caption"]
    coco = by_id(annotations(world, "instances_train2017.json")["annotations"])
    assert all(coco[ann_id]["bbox"] == a["bbox"] for ann_id, a in known.items()), (
        "COCO's ids and boxes"
    )
    assert all(
        image["file_name"] == f"COCO_train2014_{image['id']:012d}.jpg"
        for image in instances["images"]
    )
