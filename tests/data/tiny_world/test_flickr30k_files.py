"""Flickr30K Entities: tags and boxes agree."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

from omnidet.data.tiny_world.flickr30k_files import box_file
from omnidet.data.tiny_world.scenes import Scene, Thing
from omnidet.data.tiny_world.words import Chain


def test_flickr30k_tags_and_boxes_agree(world, facts):
    root = world / "flickr30k"
    splits = {
        split: (root / f"{split}.txt").read_text().split() for split in ("train", "val", "test")
    }
    assert {split: len(ids) for split, ids in splits.items()} == facts["flickr30k"]["images"]
    assert len({i for ids in splits.values() for i in ids}) == 32
    shared = several = multi_type = 0
    bad = Counter()
    for image_id in (i for ids in splits.values() for i in ids):
        text = (root / "Sentences" / f"{image_id}.txt").read_text()
        assert len(text.splitlines()) == 5
        tags = re.findall(r"\[/EN#(\d+)/(\S+) ([^\]]+)\]", text)
        assert all(
            re.sub(r"\[/EN#\d+(/[a-z]+)+ [^\[\]]+\]", "", line).find("[") < 0
            for line in text.splitlines()
        )
        multi_type += any("/" in types for _, types, _ in tags)
        boxes, unboxed = {}, set()
        for element in (
            ElementTree.parse(root / "Annotations" / f"{image_id}.xml").getroot().iter("object")
        ):
            chains = [name.text for name in element.iter("name")]
            if element.find("bndbox") is None:
                unboxed |= set(chains)
                assert {element.findtext("scene"), element.findtext("nobndbox")} == {"0", "1"}
                continue
            shared += len(chains) > 1
            xyxy = [
                int(element.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
            ]
            bad["zero-size box"] += xyxy[2] < xyxy[0]
            bad["box outside the image"] += xyxy[0] > 128
            bad["box larger than the image"] += xyxy[2] - xyxy[0] > 1000
            for chain in chains:
                boxes.setdefault(chain, []).append(xyxy)
        assert {chain for chain, _, _ in tags} - {"0"} == set(boxes) | unboxed
        for chain, types, words in tags:
            if chain == "0":
                assert types == "notvisual"
            elif chain in boxes:
                number = ("a", "two", "three", "four", "five", "six").index(
                    words.split()[0].lower().replace("an", "a")
                )
                assert len(boxes[chain]) == number + 1, words
                several += number > 0
    assert shared
    assert several
    assert multi_type
    assert bad == {kind: facts["broken"]["flickr30k"][kind] for kind in bad}


def test_flickr30k_boxes_count_pixels_from_one():
    scene = Scene(128, (Thing("red", "star", "small", (10, 20, 30, 45), 400),))
    xml = box_file(7, scene, [Chain(5, "other", (0,))], damage="")
    box = ElementTree.fromstring(xml).find("object/bndbox")
    assert [(side.tag, side.text) for side in box] == [
        ("xmin", "11"),
        ("ymin", "21"),
        ("xmax", "30"),
        ("ymax", "45"),
    ]
