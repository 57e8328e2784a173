"""Faults of image files are as counted."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from omnidet.data.tiny_world.config import TinyWorld
from omnidet.data.tiny_world.damage import damaged, damages
from tests.data.tiny_world.reading import (
    annotations,
    damage,
)


def test_broken_image_files_are_as_counted(world, facts):
    folders = {
        "coco": (
            world / "coco/train2017",
            [i["file_name"] for i in annotations(world, "captions_train2017.json")["images"]],
        ),
        "flickr30k": (
            world / "flickr30k/flickr30k-images",
            [f"{i}.jpg" for i in (world / "flickr30k/train.txt").read_text().split()],
        ),
        "laion": (
            world / "laion",
            sorted(set(pq.read_table(world / "laion/urls.parquet")["URL"].to_pylist())),
        ),
    }
    for name, (folder, files) in folders.items():
        found = Counter(
            damage((folder / file).read_bytes() if (folder / file).exists() else None)
            for file in files
        )
        del found[""]
        planted = facts["broken"][name]
        assert found == {
            kind: planted[kind] for kind in ("truncated image", "image too large", "missing image")
        }
    bombs = [p for p in (world / "laion/images").iterdir() if p.read_bytes()[:4] == b"\x89PNG"]
    assert all(p.stat().st_size < 100_000 for p in bombs)
    assert not any(damage(p.read_bytes()) for p in (world / "coco/val2017").iterdir())


def test_each_kind_of_damage():
    jpeg = Path(__file__).read_bytes()
    assert damaged(jpeg, "") == jpeg
    assert damaged(jpeg, "missing image") is None
    assert damaged(jpeg, "truncated image") == jpeg[: len(jpeg) // 2]
    bomb = damaged(jpeg, "image too large")
    assert len(bomb) < 100_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(bomb))


def test_the_first_images_are_the_broken_ones():
    config = TinyWorld(broken=2)
    assert damages(config, ["a", "b"]) == {0: "a", 1: "a", 2: "b", 3: "b"}
    assert damages(TinyWorld(broken=0), ["a", "b"]) == {}
