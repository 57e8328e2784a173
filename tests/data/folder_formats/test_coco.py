"""COCO json as tools and people write it."""

from __future__ import annotations

import pytest

from omnidet.data.annotated.read import read
from tests.data.annotated import drawing
from tests.data.annotated.drawing import LOSSY, SIZE, Folder, Thing, scenes


def _per_box(content) -> None:
    images = {image["id"]: image for image in content["images"]}
    entries = [{**images[a["image_id"]], "id": a["id"]} for a in content["annotations"]]
    content["images"] = entries
    for annotation in content["annotations"]:
        annotation["image_id"] = annotation["id"]


def test_one_entry_for_each_box_of_a_picture(folder: Folder):
    for split, count in (("train", 8), ("val", 4)):
        own = folder.pictures(scenes(count, per_picture=2, prefix=split), "images")
        content = drawing.coco(own)
        _per_box(content)
        folder.write(f"annotations/{split}.json", content)
    found = folder.read()
    assert sum(len(p.boxes) for p in found.pictures()) == 24
    assert all(not p.unknown for p in found.pictures())


@pytest.mark.parametrize("lists_all", [True, False])
def test_one_json_for_each_class(folder: Folder, lists_all):
    own = folder.pictures(scenes(8, per_picture=2), "images")
    for name in ("cat", "dog"):
        content = drawing.coco(own)
        (category,) = (c for c in content["categories"] if c["name"] == name)
        content["annotations"] = [
            a for a in content["annotations"] if a["category_id"] == category["id"]
        ]
        if not lists_all:
            content["categories"] = [category]
        folder.write(f"annotations/{name}.json", content)
    found = folder.read()
    assert sum(len(p.boxes) for p in found.pictures()) == 16
    assert all(not p.unknown for p in found.pictures())


def test_a_name_is_not_absent_where_its_file_does_not_list_the_picture(folder: Folder):
    own = folder.pictures(scenes(8), "images")
    for name in ("cat", "dog"):
        of_name = [s for s in own if s.things[0].name == name]
        folder.write(f"annotations/{name}.json", drawing.coco(of_name, (name,)))
    found = folder.read()
    for picture in found.pictures():
        assert picture.unknown == {"cat", "dog"} - {box.name for box in picture.boxes}


def test_one_json_for_each_picture(folder: Folder):
    for scene in folder.pictures(scenes(8), "images"):
        folder.write(f"annotations/{scene.stem}.json", drawing.coco([scene]))
    assert folder.num_read() == 8


def _runs(thing: Thing) -> dict:
    x, y, w, h = (int(value) for value in thing.xywh)
    width, height = SIZE
    bits = [int(x <= i < x + w and y <= j < y + h) for i in range(width) for j in range(height)]
    counts, last, run = [], 0, 0
    for bit in bits:
        if bit != last:
            counts.append(run)
            last, run = bit, 0
        run += 1
    return {"size": [height, width], "counts": [*counts, run]}


@pytest.mark.parametrize("kind", ["polygon", "runs", "compressed", "pairs"])
@pytest.mark.parametrize("box", ["missing", [], None, [0, 0, 0, 0]])
def test_masks_give_boxes_where_there_is_none(folder: Folder, kind, box):
    from pycocotools import mask

    def change(content):
        for annotation in content["annotations"][::2]:
            x, y, w, h = annotation["bbox"]
            points = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
            runs = _runs(Thing("", (x, y, w, h)))
            if kind == "compressed":
                runs = mask.frPyObjects(runs, *runs["size"])
                runs["counts"] = runs["counts"].decode()
            flat = [value for point in points for value in point]
            annotation["segmentation"] = {"polygon": [flat], "pairs": [points]}.get(kind, runs)
            if box == "missing":
                del annotation["bbox"]
            else:
                annotation["bbox"] = box

    folder.coco(change=change)
    assert folder.num_read() == 12


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [64, 96], "counts": [1, 2]},
        {"size": [0, 96], "counts": "0"},
        {"size": [64, 96], "counts": "ooo"},
        {"size": [64, 96], "counts": "\u00e9"},
        {"size": "x", "counts": None},
        {"size": [10, 10], "counts": [50, 50]},
        [[1, 2, 3]],
        [["a", "b", "c", "d", "e", "f"]],
        [],
        7,
    ],
)
def test_masks_that_are_none_leave_the_name_unknown(folder: Folder, mask):
    def change(content):
        content["annotations"][0] |= {"bbox": None, "segmentation": mask}

    folder.coco(change=change)
    found = folder.read(LOSSY)
    assert found.account.tallies["boxes"].left_out["box that is not four numbers"].count == 2


def test_boxes_as_text_and_boxes_that_make_no_sense(folder: Folder):
    def change(content):
        for number, annotation in enumerate(content["annotations"]):
            x, y, w, h = annotation["bbox"]
            odd = [[str(v) for v in (x, y, w, h)], [x, y, -w, h], [x, y, 300, 300], [x, y, w]]
            annotation["bbox"] = odd[number % 4]
            annotation["area"] = None

    folder.coco(change=change)
    said = folder.refusal()
    assert "9 of 12 boxes cannot be used" in said
    found = folder.read(LOSSY)
    assert sum(len(p.boxes) for p in found.pictures()) == 3


def test_crowds_and_null(folder: Folder):
    def change(content):
        content["annotations"][0]["iscrowd"] = None
        content["annotations"][1]["iscrowd"] = 1
        content["annotations"][2]["ignore"] = 1

    folder.coco(change=change)
    found = folder.read()
    assert sum(box.is_crowd for p in found.pictures() for box in p.boxes) == 4


@pytest.mark.parametrize("kind", [str, float, lambda i: f" {i} "])
def test_ids_as_text_or_with_a_point(folder: Folder, kind):
    def change(content):
        for annotation in content["annotations"]:
            annotation["image_id"] = kind(annotation["image_id"])
            annotation["category_id"] = kind(annotation["category_id"])

    folder.coco(change=change)
    assert folder.num_read() == 12


def test_a_category_named_by_a_number(folder: Folder):
    def change(content):
        content["categories"][0]["name"] = 7

    for scene in folder.coco(change=change):
        for place, thing in enumerate(scene.things):
            if thing.name == "cat":
                scene.things[place] = Thing("7", thing.xywh)
    found = read(folder.root)
    assert set(found.names) == {"7", "dog"}


def test_a_supercategory_without_boxes_is_left_out(folder: Folder):
    def change(content):
        content["categories"].insert(0, {"id": 0, "name": "animals", "supercategory": "none"})

    folder.coco(change=change)
    found = folder.read()
    assert set(found.names) == {"cat", "dog"}
    assert any("'animals'" in note for note in found.account.notes)


def test_other_json_files_beside(folder: Folder):
    own = folder.coco()
    captions = {"images": [], "annotations": [{"id": 1, "image_id": 1, "caption": "x" * 5_000_000}]}
    folder.write("annotations/captions_train.json", captions)
    panoptic = {"images": [], "categories": [], "annotations": [{"segments_info": []}]}
    folder.write("annotations/panoptic_train.json", panoptic)
    folder.write("package.json", {"name": "x"})
    folder.write("empty.json", "")
    people = drawing.coco(own[:8])
    for annotation in people["annotations"]:
        annotation |= {"keypoints": [1, 2, 2], "num_keypoints": 1}
    folder.write("annotations/person_keypoints_train.json", people)
    assert folder.num_read() == 12


def test_a_damaged_json_beside_good_ones(folder: Folder):
    folder.coco()
    folder.write("annotations/old.json", '{"categories": [], "images": [], "annotations": []}]')
    said = folder.refusal()
    assert "old.json" in said
    assert "mend it, or move it out of the folder" in said


def test_lvis_says_what_is_absent(folder: Folder):
    def change(content):
        for image in content["images"]:
            image["coco_url"] = f"http://images.cocodataset.org/val/{image.pop('file_name')}"
            image |= {"neg_category_ids": [2], "not_exhaustive_category_ids": [1]}

    folder.coco(change=change)
    for picture in folder.read().pictures():
        assert picture.unknown == {"cat"}


@pytest.mark.parametrize("end", ['"file_name"', '"annotations"', '"categories"'])
def test_a_json_that_was_cut_off_is_refused(folder: Folder, end):
    folder.coco()
    path = folder.root / "annotations/instances_train.json"
    text = path.read_text()
    path.write_text(text[: text.index(end)])
    assert "instances_train.json" in folder.refusal()
    assert "not JSON" in folder.refusal()


def test_annotations_with_a_score_are_said(folder: Folder):
    def change(content):
        for number, annotation in enumerate(content["annotations"]):
            annotation["score"] = 0.5 if number < 3 else 1.0  # what no detector is sure of

    folder.coco(change=change)
    notes = "".join(folder.read().account.notes)
    assert "3 boxes in annotations/instances_train.json have a score" in notes


def test_a_box_that_cvat_turned_is_the_box_around(folder: Folder):
    """Written unturned, with the angle among the attributes."""

    def change(content):
        for annotation in content["annotations"]:
            x, y, w, h = annotation["bbox"]
            upright = [x + w / 2 - h / 2, y + h / 2 - w / 2, h, w]
            annotation |= {"bbox": upright, "attributes": {"occluded": False, "rotation": 90.0}}

    own = folder.coco(change=change)
    assert folder.num_read() == len(own)


@pytest.mark.parametrize("words", [("train", "test"), ("restval", "Validation")])
def test_the_split_that_a_picture_says(folder: Folder, words):
    content = drawing.coco(folder.pictures(scenes(12)))
    for place, image in enumerate(content["images"]):
        image["split"] = words[place >= 8]
    folder.write("dataset.json", content)
    sizes = {split: len(own) for split, own in folder.read().splits.items()}
    assert sizes == {"train": 8, "test" if words[1] == "test" else "val": 4}
    content["images"][10]["split"] = "tets"
    folder.write("dataset.json", content)
    for part in ("dataset.json", "img_010.png", "'tets'"):
        assert part in folder.refusal()


def test_a_word_that_is_no_split_is_said(folder: Folder):
    content = drawing.coco(folder.pictures(scenes(6)))
    for image in content["images"]:
        image["split"] = "factory"
    folder.write("dataset.json", content)
    found = folder.read()
    assert set(found.splits) == {""}
    assert any("'factory'" in note for note in found.account.notes)
