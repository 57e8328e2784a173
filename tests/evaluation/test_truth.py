import json

import numpy as np
import pytest

from omnidet.evaluation import lvis
from omnidet.evaluation.truth import contains, in_columns, read
from tests.evaluation.worlds import world


def write(folder, dataset):
    path = folder / "truth.json"
    path.write_text(json.dumps(dataset))
    return path


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d["images"].append(d["images"][0]), "13 images but 12 ids"),
        (lambda d: d["categories"].append(d["categories"][0]), "7 categories but 6 ids"),
        (lambda d: d["annotations"].append(d["annotations"][0]), "annotations but"),
        (lambda d: d["annotations"][0].update(id=0), "id 0"),
        (lambda d: d["annotations"][3].pop("area"), "entry 3 of 'annotations' has no 'area'"),
        (lambda d: d["annotations"][3].update(bbox=[1, 2]), r"has bbox \[1, 2\]"),
        (
            lambda d: d["annotations"][3].update(bbox=[1, 2, "3", 4]),
            r"entry 3 of 'annotations' has bbox \[1, 2, '3', 4\]",
        ),
        (lambda d: d["annotations"][3].update(bbox=[1, 2, -3, 4]), "has bbox"),
        (lambda d: d["annotations"][3].update(bbox=[1, float("nan"), 3, 4]), "has bbox"),
        (lambda d: d["annotations"][3].update(area=None), "has area None"),
        (lambda d: d["annotations"][3].update(area=float("nan")), "has area nan"),
        (
            lambda d: d["annotations"][3].update(image_id=[1]),
            r"has image_id \[1\]",
        ),
        (
            lambda d: d["images"][3].update(id="7"),
            "entry 3 of 'images' has id 7",
        ),
        (
            lambda d: d["images"][3].update(neg_category_ids=None),
            "has neg_category_ids None",
        ),
        (
            lambda d: d["images"][3].update(not_exhaustive_category_ids=[None]),
            "not_exhaustive_category_ids",
        ),
        (lambda d: d["categories"][1].update(name=["a"]), "has name"),
        (lambda d: d.pop("annotations"), "has no 'annotations'"),
        (lambda d: d["images"][2].pop("neg_category_ids"), "without neg_category_ids"),
        (lambda d: d["categories"][1].pop("frequency"), "has no frequency r, c or f"),
    ],
)
def test_a_file_that_would_be_miscounted_is_refused(tmp_path, spoil, message):
    dataset, _ = world(0, federated=True)
    spoil(dataset)
    with pytest.raises(ValueError, match=message) as caught:
        read(write(tmp_path, dataset), federated=True)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path, world(0)[0])
    path.write_text(path.read_text()[:500])
    with pytest.raises(ValueError, match="is not valid JSON"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_other_systems_write_is_read(tmp_path, encoding):
    """Shards are built from it, so it would be refused after the training."""
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(world(0)[0]), encoding=encoding)
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(world(0)[0]))
    assert read(path).counts() == read(plain).counts()


def test_a_file_that_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json.*give a JSON file"):
        read(tmp_path / "none.json")


def test_some_of_the_images_count_like_a_file_of_those_alone(tmp_path):
    """LVIS minival, for example, is 5,000 of the images of val."""
    dataset, found = world(4, images=24, federated=True)
    chosen = [image["id"] for image in dataset["images"]][:10]
    of_part = lvis.evaluate(write(tmp_path, dataset), found, only_images=chosen)
    alone = {**dataset, "images": [i for i in dataset["images"] if i["id"] in chosen]}
    own = [d for d in found if d["image_id"] in chosen]
    of_file = lvis.evaluate(write(tmp_path, alone), own)
    assert of_part.values == of_file.values
    assert of_part.details["counts"]["detections_left_out"] == len(found) - len(own)
    assert "10 of 24 images" in of_part.protocol
    with pytest.raises(ValueError, match="has no image 999"):
        lvis.evaluate(write(tmp_path, dataset), found, only_images=[999])


def test_a_federated_file_is_recognised_and_knows_what_was_judged(tmp_path):
    dataset, _ = world(1, federated=True)
    truth = read(write(tmp_path, dataset), federated=None)
    assert truth.is_federated
    assert not read(write(tmp_path, world(1)[0]), federated=None).is_federated
    assert set(truth.frequencies) == {"r", "c", "f"}
    image = next(i for i in dataset["images"] if i["neg_category_ids"])
    absent = image["neg_category_ids"][0]
    pair = truth.image_ids.index(image["id"]) * len(truth.category_ids)
    assert contains(truth.judged_pairs, np.array([pair + truth.category_ids.index(absent)])).all()
    assert not contains(truth.judged_pairs, np.array([10**9, -1])).any()


def test_names_that_categories_share_are_told_apart_by_id():
    categories = [{"id": 7, "name": "bat"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "bat"}]
    truth = in_columns({"images": [{"id": 1}], "annotations": [], "categories": categories})
    assert truth.names == ("cat", "bat (3)", "bat (7)")
