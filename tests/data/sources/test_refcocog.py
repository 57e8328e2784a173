"""RefCOCOg: sentences and boxes, and pickles that try to run something."""

from __future__ import annotations

import collections
import os
import pickle

import pytest

from omnidet.data.reading.quarantine import Quarantine
from omnidet.data.sources import refcocog
from tests.data.sources.handmade import box, jpeg, ref, refcocog_files, write


def read(root, split="umd/val"):
    quarantine = Quarantine()
    return list(refcocog.read(str(root), split, quarantine)), quarantine


def test_one_record_an_image_with_all_its_sentences(tmp_path):
    refs = [
        ref(1, 11, 8, ["car", " red  car ", "car"]),
        ref(2, 12, 8, ["car", "blue car"]),
        ref(3, 11, 8, ["test"], "test"),
    ]
    refcocog_files(tmp_path, refs, [box(11, 8, 3, (1, 2, 3, 4)), box(12, 8, 3, (5, 5, 5, 5))], [8])
    (record,), quarantine = read(tmp_path)
    assert not quarantine.lines
    assert record.phrases == ("car", "red car", "blue car")
    assert record.phrase_boxes == ((0, 1), (0,), (1,))
    assert record.boxes_xyxy.tolist() == [[1, 2, 4, 6], [5, 5, 10, 10]]
    assert record.absent == ()


@pytest.mark.parametrize(
    "name", ["train2014/COCO_train2014_000000000008.jpg", "images/train2017/000000000008.jpg"]
)
def test_images_of_2014_are_found_under_their_2017_names(tmp_path, name):
    refcocog_files(tmp_path, [ref(1, 11, 8, ["car"])], [box(11, 8, 3)], [8])
    (tmp_path / "images/train2014/COCO_train2014_000000000008.jpg").unlink()
    write(tmp_path / name, jpeg(8))
    assert [r.image_id for r in read(tmp_path)[0]] == ["coco:8"]


def test_faults_are_counted(tmp_path):
    refs = [
        ref(1, 11, 8, ["car", " "]),
        ref(1, 11, 8, ["twice"]),
        ref(2, 99, 8, ["gone"]),
        ref(3, 12, 8, ["elsewhere"]),
    ]
    refs += [ref(4, 13, 8, ["no box"]), ref(5, 99, 6, ["gone"]), ref(6, 11, 77, ["nowhere"])]
    refcocog_files(tmp_path, refs, [box(11, 8, 3), box(12, 5, 1), box(13, 8, 1, ())], [8, 5, 6])
    (record,), quarantine = read(tmp_path)
    assert record.phrases == ("car",)
    assert dict(quarantine.counts) == {
        "refcocog: phrase: empty phrase": 1,
        "refcocog: phrase: duplicate ref id": 1,
        "refcocog: phrase: unknown annotation id": 2,
        "refcocog: phrase: unknown image id": 1,
        "refcocog: phrase: annotation of another image": 1,
        "refcocog: box: malformed box": 1,
    }
    assert refcocog.image_ids(str(tmp_path), "umd/val") == {
        "coco:8",
        "coco:6",
        "coco:77",
    }  # held out all the same


def test_python_2_strings_are_read(tmp_path):
    # What Python 2 writes for [{'sent': 'caf\xe9'}]: protocol 2 with the string opcode of bytes.
    path = write(tmp_path / "refs.p", b"\x80\x02]q\x00}q\x01U\x04sentq\x02U\x04caf\xe9q\x03sa.")
    assert refcocog.load_plain_pickle(path) == [{"sent": "café"}]


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path, protocol):
    target = tmp_path / "was_here"
    refcocog_files(tmp_path, pickle.dumps([Malicious(target)], protocol), [], [])
    with pytest.raises(ValueError, match=r"refs\(umd\)\.p .*system"):
        read(tmp_path)
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a pickle"),
        (b"not a pickle at all", "not a pickle"),
        (pickle.dumps([ref(1, 11, 8, ["car"])], 2)[:-9], "not a pickle"),
        (b"\x80\x02cos\nsystem\n.", "os.system"),
        (b"\x80\x02}(U\x01aU\x01bu}b.", "not a pickle"),
        (b"\x80\x02\x82\x01.", "not a pickle"),
        (b"Pabc\n.", "'abc'"),
        (pickle.dumps([collections.OrderedDict()], 2), "collections.OrderedDict"),
        (pickle.dumps({}, 2), "holds a dict"),
        (pickle.dumps([3], 2), r"ref\[0\] .*'ref_id'.* int.* 3"),
        (
            pickle.dumps([{**ref(1, 11, 8, []), "sentences": [{}]}], 2),
            r"sentences of ref 1\[0\] .*'sent'.* str",
        ),
    ],
)
def test_garbage_is_one_clear_error(tmp_path, content, problem):
    refcocog_files(tmp_path, content, [], [])
    with pytest.raises(ValueError, match=problem):
        read(tmp_path)


def test_every_cut_of_a_pickle_is_a_clear_error(tmp_path):
    whole = pickle.dumps([ref(1, 11, 8, ["car"])], 2)
    for end in range(len(whole)):
        path = write(tmp_path / "refs.p", whole[:end])
        with pytest.raises(ValueError, match="not a pickle"):
            refcocog.load_plain_pickle(path)


def test_unknown_split_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'val'.*umd/train"):
        read(tmp_path, "val")


def test_the_excerpt_of_the_sample(samples):
    root = samples.root / "coco_sample"
    records, quarantine = read(root, "google/val")
    # Boxes that the excerpt does not have are null.
    assert dict(quarantine.counts) == {"refcocog: box: malformed box": 3 if samples.is_real else 1}
    counts = (
        len(records),
        sum(len(r.phrases) for r in records),
        sum(len(r.boxes_xyxy) for r in records),
        len(refcocog.image_ids(str(root), "google/val")),
    )
    assert counts == ((5, 6, 6, 8) if samples.is_real else (3, 4, 4, 4))


def test_the_pickle_of_the_sample(drawn_samples):
    root = drawn_samples.root / "coco_sample"
    found = {split: read(root, f"umd/{split}") for split in ("train", "val", "test")}
    assert not any(quarantine.lines for _, quarantine in found.values())
    assert {split: [r.image_id for r in records] for split, (records, _) in found.items()} == {
        "train": [f"coco:{i}" for i in (9, 10, 11, 13)],
        "val": ["coco:14", "coco:15"],
        "test": [],
    }
    assert found["val"][0][0].phrases == ("the chair on the left", "chair of image 14")
