"""Results that `omnidet predict` numbered itself, on ground truth with other numbers."""

import json

import pytest

from omnidet import cli
from omnidet.data.label_files import coco
from omnidet.data.label_files.labelled import Labelled
from omnidet.evaluation import own_ids

BOXES = {"b.jpg": ("soda can", (0, 0, 9, 9)), "a.jpg": ("hammer", (5, 5, 20, 30))}


@pytest.fixture
def files(tmp_path):
    """Results in which all ids are others than in the truth, and all boxes right."""
    pictures = [
        Labelled(f"/photos/{name}", 50, 40, (box,), (label,), (0.9,))
        for name, (label, box) in BOXES.items()
    ]
    names, ids = ["soda can", "hammer"], [1, 2]
    (tmp_path / coco.BESIDE).write_text("".join(coco.whole(pictures, names, ids)))
    (tmp_path / "results.json").write_text("".join(coco.results(pictures, names, ids)))
    _truth(tmp_path, {"a.jpg": 1, "b.jpg": 2}, {"hammer": 1, "SodaCan": 2})
    return tmp_path


def _truth(folder, images, categories):
    labels = dict(zip(("hammer", "soda can"), categories.values(), strict=True))
    rows = [
        {"id": 1 + number, "image_id": image, "category_id": labels[label], "area": 81}
        | {"bbox": [x0, y0, x1 - x0, y1 - y0]}
        for number, (image, (label, (x0, y0, x1, y1))) in enumerate(
            (image, box)
            for name, box in BOXES.items()
            for file, image in images.items()
            if file.endswith(name)
        )
    ]
    content = {
        "images": [{"id": image, "file_name": name} for name, image in images.items()],
        "annotations": rows,
        "categories": [{"id": id_, "name": name} for name, id_ in categories.items()],
    }
    (folder / "truth.json").write_text(json.dumps(content))


def _score(folder):
    places = ("--ground-truth", folder / "truth.json", "--detections", folder / "results.json")
    numbers = folder / "numbers.json"
    code = cli.main(["score", "coco", *map(str, places), "--json", str(numbers)])
    return json.loads(numbers.read_text())["AP"] if code == 0 else code


def test_pictures_and_names_are_those_of_the_truth_by_what_they_are_called(files):
    assert _score(files) == pytest.approx(1)


@pytest.mark.parametrize("name", ["photos/a.jpg", "train\\a.jpg", "./a.jpg", "/photos/a.jpg"])
def test_paths_may_begin_elsewhere(files, name):
    _truth(files, {name: 1, "b.jpg": 2}, {"hammer": 1, "SodaCan": 2})
    assert _score(files) == pytest.approx(1)


@pytest.mark.parametrize(
    ("images", "categories", "said"),
    [
        ({"a.jpg": 1, "c.jpg": 2}, {"hammer": 1, "SodaCan": 2}, "/photos/b.jpg is not in"),
        ({"a.jpg": 1, "b.jpg": 2}, {"hammer": 1, "bottle": 2}, "soda can is not in"),
        ({"x/b.jpg": 1, "y/b.jpg": 2, "a.jpg": 3}, {"hammer": 1, "SodaCan": 2}, "/photos/b.jpg"),
    ],
)
def test_what_the_truth_does_not_have_is_refused(files, capsys, images, categories, said):
    _truth(files, images, categories)
    assert _score(files) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "truth.json" in line


def test_lvis_names_its_pictures_by_their_addresses(files):
    truth = json.loads((files / "truth.json").read_text())
    for image in truth["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/val2017/{image.pop('file_name')}"
    (files / "truth.json").write_text(json.dumps(truth))
    rows = [{"image_id": own, "category_id": own} for own in (1, 2)]
    found = own_ids.as_in_truth(rows, str(files / "results.json"), str(files / "truth.json"))
    assert [row["image_id"] for row in found] == [2, 1]  # b.jpg, a.jpg


@pytest.mark.parametrize(("name", "number"), [("a.jpg", 1), ("000000000007.jpg", 7)])
def test_a_truth_that_names_no_files_takes_only_numbers_that_the_files_are_called_by(
    files, capsys, name, number
):
    pictures = [Labelled(f"/photos/{name}", 50, 40, ((0, 0, 9, 9),), ("hammer",), (0.9,))]
    (files / coco.BESIDE).write_text("".join(coco.whole(pictures, ["hammer"], [number])))
    (files / "results.json").write_text("".join(coco.results(pictures, ["hammer"], [number])))
    truth = json.loads((files / "truth.json").read_text())
    truth["images"] = [{"id": 1}, {"id": 2}, {"id": 7}]
    (files / "truth.json").write_text(json.dumps(truth))
    if number == 7:
        assert _score(files) == 0
        return
    assert _score(files) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for part in ("/photos/a.jpg", "file_name", "truth.json"):
        assert part in line


def test_two_pictures_of_one_file_name_are_not_taken_for_one(files):
    content = json.loads((files / coco.BESIDE).read_text())
    content["images"][0]["file_name"] = "/others/a.jpg"
    (files / coco.BESIDE).write_text(json.dumps(content))
    assert _score(files) == 2


def test_a_dataset_of_somebody_else_is_no_key_to_the_ids(files):
    content = json.loads((files / coco.BESIDE).read_text()) | {"info": {}}
    (files / coco.BESIDE).write_text(json.dumps(content))
    rows = [{"image_id": 1, "category_id": 2}]
    found = own_ids.as_in_truth(rows, str(files / "results.json"), str(files / "truth.json"))
    assert list(found) == rows
