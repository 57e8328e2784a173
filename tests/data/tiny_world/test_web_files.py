"""Images of the web: formats open, and copies of evaluation images are as counted."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tests.data.tiny_world.reading import (
    cc12m_samples,
    damage,
)


def small_grey(image: Image.Image) -> np.ndarray:
    grey = np.asarray(image.convert("L").resize((16, 16), Image.Resampling.BOX), float)
    return (grey - grey.mean()).ravel() / grey.std()


def test_cc12m_opens_with_webdataset(world, facts):
    samples = cc12m_samples(world)
    assert len(samples) == len({s["__key__"] for s in samples}) == facts["cc12m"]["samples"] == 27
    keys = [s["__key__"] for s in samples]
    assert keys != sorted(keys)
    for sample in samples:
        about = json.loads(sample["json"])
        assert about["key"] == sample["__key__"]
        assert about["caption"] == sample["txt"].decode()
        assert (about["status"] == "success") == ("jpg" in sample)
    planted = dict(facts["broken"]["cc12m"])
    assert sum(not s["txt"] for s in samples) == planted.pop("empty caption")
    found = Counter(damage(s.get("jpg")) for s in samples)
    del found[""]
    assert found == planted
    for tar in (world / "cc12m").glob("*.tar"):
        with tarfile.open(tar) as members:
            assert {(m.mtime, m.uid, m.uname) for m in members} == {(0, 0, "")}


def test_web_images_hold_copies_of_evaluation_images(world, facts):
    val = np.stack([small_grey(Image.open(p)) for p in sorted((world / "coco/val2017").iterdir())])
    bytes_of_val = {p.read_bytes() for p in (world / "coco/val2017").iterdir()}
    web = {
        p.relative_to(world / "laion").as_posix(): p.read_bytes()
        for p in (world / "laion/images").iterdir()
    }
    web |= {s["__key__"]: s["jpg"] for s in cc12m_samples(world) if "jpg" in s}
    sound = {name: image for name, image in web.items() if not damage(image)}
    likeness = {
        name: (val @ small_grey(Image.open(io.BytesIO(i))) / 256).max() for name, i in sound.items()
    }
    copies = {name for name, best in likeness.items() if best > 0.97}
    assert copies == {*facts["laion"]["copies of coco val"], *facts["cc12m"]["copies of coco val"]}
    assert len(copies) == 6
    assert not any(sound[name] in bytes_of_val for name in copies), "encoded again"
    assert {Image.open(io.BytesIO(sound[name])).width for name in copies} == {128, 160}


def test_laion_list(world, facts):
    table = pq.read_table(world / "laion/urls.parquet")
    assert table.column_names == ["URL", "TEXT"]
    rows = list(zip(table["URL"].to_pylist(), table["TEXT"].to_pylist(), strict=True))
    assert len(rows) == facts["laion"]["rows"]
    assert len(rows) - len(set(rows)) == facts["laion"]["duplicate rows"]
    assert (
        sum(not (text or "").strip() for _, text in rows)
        == facts["broken"]["laion"]["empty caption"]
    )
    assert (
        sum(not (world / "laion" / url).exists() for url, _ in rows)
        == facts["broken"]["laion"]["missing image"]
    )
    assert [url for url, _ in rows] != sorted(url for url, _ in rows)
