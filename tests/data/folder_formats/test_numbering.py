"""Labels that count the classes from another number than their names do."""

from __future__ import annotations

import pytest

from omnidet.data.folder_formats import numbering
from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, Folder, scenes

WORDS = ("class", "data.yaml", "labels")
NAMES = ("cat", "dog", "bird", "fish")


def _labels(folder: Folder, shift: int, shown=NAMES, names=NAMES, names_file="data.yaml") -> None:
    for scene in folder.pictures(scenes(24, shown)):
        row = drawing.yolo(scene, names).split(" ", 1)
        folder.write(f"{scene.stem}.txt", f"{int(row[0]) + shift} {row[1]}")
    content = f"names: [{', '.join(names)}]" if names_file == "data.yaml" else "\n".join(names)
    folder.write(names_file, content)


@pytest.mark.parametrize(
    ("used", "names", "first"),
    [
        ([1, 2, 3], [0, 1, 2], 1),
        ([1, 3], [0, 1, 2], 1),
        ([3], [0, 1, 2], 1),
        ([0, 1, 2], [1, 2, 3], 0),
        ([0, 2], [1, 2, 3], 0),
        ([0, 4, 9], [1, 5, 10], 0),
        ([0, 1, 2, 3], [1, 2, 5, 7], 0),  # places in a list with gaps
        ([1, 2], [2, 3], 1),
        ([0, 1, 2], [0, 1, 2], None),
        ([1, 2], [0, 1, 2], None),  # nothing tells
        ([1, 2], [1, 2, 3], None),
        ([0, 3], [0, 1, 2], None),  # class 3 is only unknown
        ([1, 3, 9], [0, 1, 2], None),
        ([1, 2, 3], [1, 2, 4, 5], None),  # a category that was removed
        ([9], [0], None),
        ([], [0, 1], None),
        ([1], [], None),
    ],
)
def test_the_number_that_labels_count_from(used, names, first):
    named = {number: f"name {number}" for number in names}
    found = numbering.fault(dict.fromkeys(used, 2), named, (), WORDS)
    assert (found and found[0]) == first


def test_a_few_boxes_of_another_fault_do_not_hide_the_numbering():
    names = {0: "nut", 1: "bolt", 2: "cog"}
    for strays in ({99: 1}, {99: 1, -1: 1}):
        found = numbering.fault({1: 200, 2: 100, 3: 100, **strays}, names, (), WORDS)
        assert found is not None
        assert found[0] == 1
    found = numbering.fault({1: 200, 2: 200, 3: 1}, names, (), WORDS)  # the rarest class tells
    assert found is not None
    assert numbering.fault({1: 200, 2: 100, 3: 100, 99: 9}, names, (), WORDS) is None


def test_nobody_counts_from_minus_1():
    assert numbering.fault({-1: 4, 0: 9, 1: 9}, {0: "nut", 1: "bolt", 2: "cog"}, (), WORDS) is None


def test_the_sentence_names_the_class_the_names_and_the_one_without_a_box():
    found = numbering.fault({1: 5, 2: 3}, {0: "nut", 1: "bolt"}, (), WORDS)
    assert found is not None
    for part in ("3 of 8 boxes", "class 2", "data.yaml", "0 to 1", "0 ('nut')", "count from 1"):
        assert part in found[1]


def test_a_number_without_a_name_and_a_first_class_that_stands_for_none_are_no_sign():
    assert numbering.fault({1: 5, 2: 3}, {0: "nut", 1: "bolt"}, {2}, WORDS) is None
    background = {0: "__background__", 1: "bolt"}
    assert numbering.fault({1: 5, 2: 3}, background, (), WORDS) is None


@pytest.mark.parametrize(("used", "is_said"), [([0, 1], True), ([0, 2], False), ([1], False)])
def test_one_name_for_two_numbers_that_have_boxes(used, is_said):
    names = {0: "nut", 1: "nut", 2: "bolt"}
    said = numbering.twice(dict.fromkeys(used, 4), names, WORDS)
    for part in ("class 0", "class 1", "data.yaml", "'nut'", "4 and 4", "--names"):
        assert (part in said) == is_said


@pytest.mark.parametrize("names_file", ["data.yaml", "classes.txt"])
@pytest.mark.parametrize("config", [None, LOSSY])
def test_yolo_from_1_is_refused_whatever_may_be_lost(folder: Folder, names_file, config):
    _labels(folder, 1, names_file=names_file)
    said = folder.refusal(config)
    written = "{1: cat, ...}" if names_file == "data.yaml" else "`1 cat`"
    for part in ("6 of 24 boxes", "class 4", names_file, "0 ('cat')", "count from 1", written):
        assert part in said
    assert "take its boxes out if they are left over" in said
    assert "max_lost" not in said


@pytest.mark.parametrize("names_file", ["data.yaml", "classes.txt"])
def test_the_remedy_for_yolo_from_1_helps(folder: Folder, names_file):
    _labels(folder, 1, names_file=names_file)
    lines = [f"{number} {name}" for number, name in enumerate(NAMES, start=1)]
    as_yaml = "names: {" + ", ".join(line.replace(" ", ": ") for line in lines) + "}"
    folder.write(names_file, as_yaml if names_file == "data.yaml" else "\n".join(lines))
    assert folder.num_read() == 24


def test_yolo_from_0_under_names_from_1_is_refused(folder: Folder):
    _labels(folder, 0)
    folder.write("data.yaml", "names: {1: cat, 2: dog, 3: bird, 4: fish}")
    said = folder.refusal()
    assert "count from 0" in said
    assert "4 ('fish') has no box" in said


def test_an_unknown_class_beside_the_first_is_only_unknown(folder: Folder):
    _labels(folder, 0)
    folder.write("data.yaml", "names: [cat, dog, bird]")
    assert "max_lost" in folder.refusal()
    assert folder.num_read(LOSSY) == 18


def test_a_first_class_without_a_box_is_said(folder: Folder):
    _labels(folder, 0, shown=("dog", "bird"))
    (note,) = (n for n in folder.read().account.notes if "count from 1" in n)
    assert "class 0" in note
    assert "'cat'" in note


def test_a_first_class_with_a_box_or_for_none_is_not_said(folder: Folder):
    _labels(folder, 0, shown=("cat", "bird"))
    assert not any("count from 1" in note for note in folder.read().account.notes)
    _labels(folder, 1, shown=("cat", "bird"))
    folder.write("data.yaml", "names: [background, cat, dog, bird, fish]")
    assert not any("count from 1" in note for note in folder.read().account.notes)


@pytest.mark.parametrize(
    ("used", "names", "is_said"),
    [
        ([0, 1, 2], ["background", "nut", "bolt", "cog"], True),
        ([0, 1, 2, 3], ["__background__", "nut", "bolt", "cog"], True),
        ([1, 2, 3], ["nut", "bolt", "cog", "Background"], True),
        ([0, 1, 2], ["none", "nut", "bolt", "cog"], True),
        ([1, 2, 3], ["background", "nut", "bolt", "cog"], False),
        ([0, 1, 2, 3], ["none", "nut", "bolt", "cog"], False),  # may be the name of a thing
        ([0, 1, 2], ["nut", "bolt", "cog", "background"], False),
    ],
)
def test_a_background_that_has_boxes(used, names, is_said):
    said = numbering.of_none(dict.fromkeys(used, 4), dict(enumerate(names)), WORDS)
    assert bool(said) == is_said


@pytest.mark.parametrize("config", [None, LOSSY])
def test_a_background_that_yolo_labels_do_not_count_is_refused(folder: Folder, config):
    _labels(folder, 0)
    folder.write("data.yaml", "names: [background, cat, dog, bird, fish]")
    said = folder.refusal(config)
    for part in ("class 0 in data.yaml", "'background'", "6 of 24 boxes", "take it out"):
        assert part in said
    folder.write("data.yaml", "names: [cat, dog, bird, fish]")
    assert folder.num_read() == 24


def test_a_background_that_coco_annotations_do_not_count_is_refused(folder: Folder):
    own = folder.pictures(scenes(24, NAMES), "images")
    content = drawing.coco(own, NAMES, first_id=0)
    names = ("background", *NAMES)
    content["categories"] = [{"id": i, "name": name} for i, name in enumerate(names)]
    folder.write("a.json", content)
    said = folder.refusal()
    for part in ("category 0", "a.json", "'background'", "take it out"):
        assert part in said
    for annotation in content["annotations"]:
        annotation["category_id"] += 1
    folder.write("a.json", content)
    assert folder.num_read() == 24
    assert "background" not in folder.read().names
