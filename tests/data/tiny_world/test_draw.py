"""The whole world: the same bytes every time, and held-out images and pairs are as counted."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow.parquet as pq
import pytest

from omnidet.data.tiny_world.draw import draw
from omnidet.data.tiny_world.sprites import HELD_OUT_PAIRS
from tests.data.tiny_world.reading import (
    SMALL,
    annotations,
    cc12m_samples,
    colour_in_box,
    damage,
    file_hashes,
    held_out_ids,
    is_sound,
    names_held_out_pair,
    read_refs,
)


@pytest.mark.slow
def test_same_bytes_whatever_the_number_of_processes(world, tmp_path):
    draw(SMALL, tmp_path / "again", processes=3)
    assert file_hashes(tmp_path / "again") == file_hashes(world)


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "old").touch()
    with pytest.raises(ValueError, match=f"{tmp_path} is not empty"):
        draw(SMALL, tmp_path)


def test_held_out_images_are_as_counted(world, facts):
    held_out = held_out_ids(world)
    train = {image["id"] for image in annotations(world, "instances_train2017.json")["images"]}
    lvis_train = {image["id"] for image in annotations(world, "lvis_v1_train.json")["images"]}
    lvis_val = {image["id"] for image in annotations(world, "lvis_v1_val.json")["images"]}
    refs = held_out - lvis_val
    leaks = facts["coco"]["leaks"]
    assert leaks["refcocog held out in coco train"] == len(refs & train) == len(refs) == 24
    assert leaks["refcocog held out in lvis train"] == len(refs & lvis_train) == 12
    assert leaks["lvis val in coco train"] == len(lvis_val & train) == 3
    assert not lvis_val & lvis_train
    damaged = sum(
        facts["broken"]["coco"][kind]
        for kind in ("truncated image", "image too large", "missing image")
    )
    assert len(train - held_out) - damaged == facts["coco"]["usable"] == SMALL.train_images
    assert not held_out & {ref["image_id"] for ref in read_refs(world) if ref["split"] == "train"}


def test_held_out_pairs_are_not_named_in_training_texts(world):
    held_out = held_out_ids(world)
    coco = annotations(world, "captions_train2017.json")["annotations"]
    texts = [a["caption"] for a in coco if a["image_id"] not in held_out]
    texts += [
        s["sent"] for ref in read_refs(world) if ref["split"] == "train" for s in ref["sentences"]
    ]
    texts += [c["name"] for c in annotations(world, "lvis_v1_train.json")["categories"]]
    texts += [
        re.sub(r"\[/EN\S+ |\]", "", p.read_text())
        for p in (world / "flickr30k/Sentences").iterdir()
    ]
    texts += [
        text or "" for text in pq.read_table(world / "laion/urls.parquet")["TEXT"].to_pylist()
    ]
    texts += [sample["txt"].decode() for sample in cc12m_samples(world)]
    assert len(texts) > 700
    assert not [text for text in texts if names_held_out_pair(text)]
    # The check can find them: test expressions and the captions of their images name them.
    assert all(
        names_held_out_pair(s["sent"])
        for ref in read_refs(world)
        if ref["split"] == "test"
        for s in ref["sentences"]
    )
    assert any(names_held_out_pair(a["caption"]) for a in coco if a["image_id"] in held_out)


def test_held_out_pairs_are_not_drawn_in_training_images(world):
    """The colours are read from the pixels."""
    held_out = held_out_ids(world)
    content = annotations(world, "instances_train2017.json")
    names = {c["id"]: c["name"] for c in content["categories"]}
    seen = {True: Counter(), False: Counter()}
    for a in filter(is_sound, content["annotations"]):
        path = world / "coco/train2017" / f"{a['image_id']:012d}.jpg"
        if a["iscrowd"] or not path.exists() or damage(path.read_bytes()):
            continue
        colour = colour_in_box(path, a["bbox"])
        seen[a["image_id"] in held_out][colour, names[a["category_id"]]] += 1
    assert sum(seen[False].values()) > 300
    assert not set(seen[False]) & set(HELD_OUT_PAIRS)
    assert set(seen[True]) & set(HELD_OUT_PAIRS)
