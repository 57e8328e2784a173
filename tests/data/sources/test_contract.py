"""What every adapter in `sources/` does. A new one needs a handmade dataset in `handmade.py`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from omnidet.data.reading.quarantine import Quarantine, clean
from omnidet.data.sources import SOURCES, by_name
from tests.data.sources.handmade import WRITERS

NAMES = [module.__name__.rpartition(".")[2] for module in SOURCES]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def written(name: str, tmp_path: Path) -> tuple[str, str, dict[str, bytes]]:
    split, images = WRITERS[name](tmp_path)
    return str(tmp_path), split, images


def test_records_come_in_a_fixed_order_with_the_image_bytes_as_they_are(name, written):
    root, split, images = written
    quarantine = Quarantine()
    records = list(by_name(name).read(root, split, quarantine))
    assert not quarantine.lines
    assert [(r.image_id, r.image) for r in records] == list(images.items())
    again = [r.image_id for r in by_name(name).read(root, split, Quarantine())]
    assert again == list(images)


def test_fields_hold_together(name, written):
    root, split, _ = written
    for record in by_name(name).read(root, split, Quarantine()):
        assert (record.source, record.width, record.height) == (name, 40, 30)
        assert record.boxes_xyxy.dtype == np.float32
        assert record.boxes_xyxy.shape == (len(record.boxes_xyxy), 4)
        assert len(record.phrases) == len(record.phrase_boxes) == len(set(record.phrases))
        assert {i for named in record.phrase_boxes for i in named} == set(
            range(len(record.boxes_xyxy))
        )
        assert not set(record.absent) & set(record.phrases)
        assert set(record.not_exhaustive) <= set(record.phrases)
        quarantine = Quarantine()
        assert clean(record, quarantine) is not None or not (
            record.phrases or record.absent or record.caption
        )


def test_image_ids_are_those_of_the_records(name, written):
    root, split, images = written
    assert by_name(name).image_ids(root, split) == set(images)


def test_ground_truth_has_the_words_of_the_records_or_is_nothing(name, written):
    root, split, _ = written
    truth = by_name(name).ground_truth(root, split)
    assert (truth is not None) == (name in ("coco", "lvis", "annotated", "flickr30k"))
    if truth and truth.content is not None:
        records = {
            record.image_id: record for record in by_name(name).read(root, split, Quarantine())
        }
        for row in json.loads(truth.content):
            assert {phrase["phrase"] for phrase in row["phrases"]} <= set(
                records[f"{name}:{row['image_id']}"].phrases
            )
    elif truth:
        assert Path(truth.path).is_file()
        records = list(by_name(name).read(root, split, Quarantine()))
        assert {p for r in records for p in (*r.phrases, *r.absent)} <= set(truth.names.values())


def test_an_empty_folder_is_named_with_a_remedy(name, written, tmp_path):
    _, split, _ = written
    with pytest.raises(FileNotFoundError, match="does not exist: "):
        list(by_name(name).read(str(tmp_path / "nothing"), split, Quarantine()))
    with pytest.raises(FileNotFoundError, match="does not exist: "):
        by_name(name).image_ids(str(tmp_path / "nothing"), split)


# The images of the others are links and tar members: see their own tests.
@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("laion", "cc12m")])
def test_a_lost_image_is_quarantined_and_stays_an_id(name, written):
    root, split, images = written
    lost = next(iter(images))
    for path in Path(root).rglob("*.jpg"):
        if path.read_bytes() == images[lost]:
            path.unlink()
    quarantine = Quarantine()
    left = [r.image_id for r in by_name(name).read(root, split, quarantine)]
    assert left == list(images)[1:]
    assert dict(quarantine.counts) == {f"{name}: record: missing image file": 1}
    assert lost.partition(":")[2] in quarantine.lines[0]
    assert lost in by_name(name).image_ids(root, split)


def test_unknown_dataset_is_named():
    with pytest.raises(ValueError, match="unknown dataset 'voc': the known ones are coco, lvis"):
        by_name("voc")
