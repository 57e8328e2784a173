"""What the sources share: annotation files with clear errors, boxes, captions, image sizes."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from omnidet.data.reading import annotations
from omnidet.data.reading.annotations import Regions
from omnidet.data.reading.dataset_folder import DataFolder
from omnidet.data.reading.quarantine import Quarantine
from tests.data.sources.handmade import jpeg
from tests.data.web_images.pictures import png_of

FIELDS = {"id": int, "name": str, "box": (list, tuple)}


def test_a_box_is_kept_once_and_named_by_several_phrases():
    regions = Regions()
    regions.add("dog", "one", [0, 0, 1, 1])
    regions.add("cat", "two", [1, 1, 2, 2])
    regions.add("animal", "one", [9, 9, 9, 9])  # the same key is the same box
    regions.add("animal", "two", [1, 1, 2, 2])
    regions.add("dog", "one", [0, 0, 1, 1])
    assert regions.boxes_xyxy.tolist() == [[0, 0, 1, 1], [1, 1, 2, 2]]
    assert regions.boxes_xyxy.dtype == np.float32
    assert regions.phrases == ("dog", "cat", "animal")
    assert regions.phrase_boxes == ((0,), (1,), (0, 1))


def test_no_boxes_and_huge_numbers():
    assert Regions().boxes_xyxy.shape == (0, 4)
    regions = Regions()
    regions.add("dog", 1, [0.0, 0.0, 1e300, 1.0])
    assert np.isinf(regions.boxes_xyxy[0, 2])


@pytest.mark.parametrize(
    ("content", "error", "problem"),
    [
        (None, FileNotFoundError, r"a\.json does not exist: get it here"),
        (b"{", ValueError, r"a\.json is not JSON"),
        (b'{"images": ["\xff"]}', ValueError, r"a\.json is not JSON"),
        (b"[" * 100_000, ValueError, r"a\.json is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, error, problem):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(error, match=problem):
        annotations.load_json(DataFolder(str(tmp_path)), "a.json", "get it here", {"images": ()})


def test_only_the_wanted_fields_are_read(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [{"id": 1, "mask": [1, 2]}], "info": {}}')
    read = annotations.load_json(DataFolder(str(tmp_path)), "a.json", "", {"images": ("id",)})
    assert read == {"images": [{"id": 1}]}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "no list 'dogs'"),
        ({"dogs": 3}, "no list 'dogs'"),
        ({"dogs": [{"id": 1, "name": "x", "box": []}, 7]}, r"dogs\[1\] needs 'id' .* int, got 7"),
        ({"dogs": [{"id": "1"}]}, r"dogs\[0\] needs 'id' of type int, got '1'"),
        ({"dogs": [{"id": 1}]}, r"dogs\[0\] needs 'name' of type str, got 'nothing'"),
        ({"dogs": [{"id": 1, "name": "x", "box": 1}]}, "'box' of type list or tuple, got 1"),
        ({"dogs": [{"id": [[[[[[[[[[]]]]]]]]]] * 99}]}, "needs 'id'"),
    ],
)
def test_a_wrong_entry_is_named(content, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        annotations.entries(content, "dogs", FIELDS, "a.json")
    assert str(caught.value).startswith("a.json")
    assert len(str(caught.value)) < 200


def test_the_first_of_each_id_is_kept():
    quarantine = Quarantine()
    found = [{"id": 1, "n": 0}, {"id": 2, "n": 1}, {"id": 1, "n": 2}]
    kept = annotations.first_of_each(found, "toy", "image", "record", quarantine)
    assert [entry["n"] for entry in kept] == [0, 1]
    assert quarantine.counts == {"toy: record: duplicate image id": 1}
    assert "image 1" in quarantine.lines[0]


def test_entries_are_grouped_by_image_in_order():
    found = [{"image_id": 2, "n": 0}, {"image_id": 1, "n": 1}, {"image_id": 2, "n": 2}]
    groups = annotations.by_image(found)
    assert [(key, [entry["n"] for entry in group]) for key, group in groups.items()] == [
        (2, [0, 2]),
        (1, [1]),
    ]


@pytest.mark.parametrize(
    ("xywh", "xyxy"),
    [
        ([1, 2, 3, 4], [1.0, 2.0, 4.0, 6.0]),
        ((1.5, 0, -1, 2), [1.5, 0.0, 0.5, 2.0]),
        ([1, 2, 3], None),
        ([1, 2, 3, "4"], None),
        ([1, 2, 3, None], None),
        ([1, 2, 3, 10**400], None),
        ("1234", None),
        (None, None),
    ],
)
def test_boxes_of_four_numbers(xywh, xyxy):
    assert annotations.xywh_to_xyxy(xywh) == xyxy


def test_xml_without_a_doctype():
    assert annotations.parse_xml(b"<a><b>1</b></a>").findtext("b") == "1"
    for content, problem in (
        (b"<a>", "not XML"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "not XML"),
        (b"<!DOCTYPE a><a/>", "DOCTYPE"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "DOCTYPE"),
    ):
        with pytest.raises(ValueError, match=problem):
            annotations.parse_xml(content)


def test_texts():
    assert annotations.plain("  a\n\tdog \u2003 runs ") == "a dog runs"
    assert annotations.plain("half \ud83d a pair") == "half ? a pair"
    assert annotations.join_captions(["a dog", "a cat", "a dog"]) == "a dog . a cat"


def test_batches_and_pieces():
    assert list(annotations.batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(annotations.batched([], 2)) == []

    def piece(number, quarantine):
        quarantine.reject("toy", f"{number}", "reason")
        yield from (number, number)

    quarantine = Quarantine()
    pieces = [functools.partial(piece, number) for number in (1, 2)]
    assert list(annotations.chained(pieces, quarantine)) == [1, 1, 2, 2]
    assert quarantine.counts.total() == 2


def test_image_size_is_read_from_the_header():
    content = jpeg(1, 40, 30)
    assert annotations.image_size(content) == (40, 30)
    assert annotations.image_size(content[:-20]) == (40, 30)
    assert annotations.image_size(b"") == "unreadable image"
    assert annotations.image_size(b"<html>") == "unreadable image"
    assert annotations.image_size(png_of(60_000, 60_000)) == "image too large"
