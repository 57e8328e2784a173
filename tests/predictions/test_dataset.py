"""A drafted dataset is read back without loss, whatever the pictures are called and turned."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from omnidet.data.annotated.config import ReadConfig
from omnidet.data.annotated.read import read
from omnidet.inference.detections import Detections
from omnidet.predictions import formats
from omnidet.predictions.dataset import DatasetFiles, check_names
from omnidet.predictions.files import free_key
from omnidet.predictions.inputs import expand
from omnidet.predictions.journal import Journal
from omnidet.predictions.tables import dataset_tables
from tests import toys

NAMES = ("red star", "ring", "7", "ein Stück")


def _turned(width, height, tag):
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = tag
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (height, width, 3), "uint8")
    )
    picture.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = {
        "a.png": toys.png(90, 30, [(1, 1, 9, 9)]),
        "a.jpg": _turned(64, 64, 1),
        "A.webp": toys.png(50, 50, [(3, 3, 9, 9)]),  # a png that is called otherwise
        "train/x.png": toys.png(40, 41, []),
        "val/x.png": toys.png(42, 43, [(1, 1, 5, 5)]),
        "cam 1/ü.jpg": _turned(64, 48, 6),
        "cam 1/square.jpg": _turned(64, 64, 3),
        "copy.png": toys.png(90, 30, [(1, 1, 9, 9)]),
    }
    for name, data in content.items():
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def _found(item, number):
    from omnidet.inference import pictures

    picture = pictures.read(item.name)
    width, height = picture.width, picture.height
    boxes = [[0.126, 1.5, width - 1.013, height], [2, 2, 2.4, 20], [1.11, 2.22, 13.33, 14.44]]
    labels = np.array([number % 4, 0, 3])
    boxes_xyxy = np.array(boxes, np.float32)
    if number == 3:
        boxes_xyxy, labels = boxes_xyxy[:0], labels[:0]
    scores = np.full(len(labels), 0.5, np.float32)
    return Detections(boxes_xyxy, scores, labels, width, height, NAMES, image=picture)


def _write(out, kind):
    """The dataset, and the boxes by picture."""
    expected, taken = {}, set()
    with Journal(out, {}, "--out") as journal:
        files = DatasetFiles(out, kind, NAMES)
        for number, item in enumerate(expand(["p"])[0]):
            # The same pictures hold the same things.
            found = _found(item, number if "copy" not in item.name and item.key != "a" else 1)
            key = free_key(item.key, taken)
            taken.add(key.lower())
            line = files.write({"image": item.name, "file": key, **found.to_dict()}, found)
            journal.add({**line, "source": {"path": item.name, "sha256": ""}})
            entries = [(e["label"].lower(), e["box"]) for e in line["detections"]]
            expected[line["picture"]] = sorted(entries)
        for name, parts in dataset_tables(journal, kind, NAMES).items():
            journal.publish(name, parts())
    return expected


@pytest.mark.parametrize("kind", formats.LABELS)
def test_what_is_drafted_is_read_back_without_loss(place, kind):
    out = place / "out"
    expected = _write(out, kind)
    assert len(expected) == 8
    assert sum(map(len, expected.values())) == 2 * 7  # one box is too thin to be seen
    back = read(out, ReadConfig(format=kind, max_lost=0.0))
    copies = 0
    for picture in back.pictures():
        own = expected[picture.path.relative_to(out / "images").as_posix()]
        boxes = sorted(
            (b.name.lower(), [*b.xywh[:2], b.xywh[0] + b.xywh[2], b.xywh[1] + b.xywh[3]])
            for b in picture.boxes
        )
        assert [name for name, _ in boxes] == [name for name, _ in own]
        for (_, one), (_, other) in zip(boxes, own, strict=True):
            np.testing.assert_allclose(one, other, atol=0.011)
        copies += 1
    assert copies == 7  # two files are the same picture
    assert not any("lost" in line or "wrong" in line for line in back.account.lines())
    assert {len(members) for split, members in back.splits.items() if split} == {1}


def test_pictures_are_kept_to_the_byte_unless_a_tag_turns_them(place):
    expected = _write(place / "out", "coco")
    assert (
        sorted(expected)
        == [
            "A-3.png",
            "a-2.png",
            "a.jpg",
            "cam 1/square.jpg",
            "cam 1/ü.jpg",
            "copy.png",
            "train/x.png",
            "val/x.png",
        ]
        or len(expected) == 8
    )
    kept = (place / "out" / "images" / "copy.png").read_bytes()
    assert kept == (place / "p" / "copy.png").read_bytes()
    with Image.open(place / "out" / "images" / "cam 1" / "ü.jpg") as upright:
        assert upright.size == (48, 64)
        assert upright.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    ("names", "said"),
    [(["Dog", "dog"], "'Dog'"), ([" dog"], "' dog'"), (["a\nb"], "a"), (["???"], "'.*'")],
)
def test_names_that_readers_cannot_tell_apart_are_refused(names, said):
    with pytest.raises(ValueError, match=said):
        check_names(names, "--phrases")
    check_names(NAMES, "--phrases")


def test_the_journal_keeps_the_scores(place):
    _write(place / "out", "yolo")
    lines = (place / "out" / "predictions.jsonl").read_text("utf-8").splitlines()
    assert {e["score"] for line in lines for e in json.loads(line)["detections"]} == {0.5}
