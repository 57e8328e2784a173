import numpy as np

from omnidet.data import shard_writer, shards
from omnidet.data.sharding import survey as surveys
from omnidet.report import survey
from omnidet.schema import Record
from tests import toys
from tests.report.test_page import Page


def index(folder, count=5):
    records = [
        Record(
            toys.png(64, 48, [(4, 6, 24, 26)], toys.COLOURS[n % 4]),
            64,
            48,
            "coco",
            f"coco:{n}",
            np.array([(4, 6, 24, 26), (30, 8, 50, 28)], np.float32),
            ("<star>", "ring"),
            ((0, 1), ()),
            tuple(f"absent {i}" for i in range(15)),
        )
        for n in range(count)
    ]
    sets = {"train/coco": shard_writer.write_set(records, folder, "train/coco", 2)}
    shards.write_index(folder, sets, {}, {"held_out": {}, "quarantined": {}})
    return shards.read_index(str(folder))


def test_samples_are_at_even_distances(tmp_path):
    made = index(tmp_path)
    ids = [record.image_id for record in survey.samples(made, "train/coco", 2)]
    assert ids == ["coco:0", "coco:2"]
    assert len(list(survey.samples(made, "train/coco", 99))) == 5


def test_the_page_shows_each_sample_with_its_boxes_and_phrases(tmp_path):
    made = index(tmp_path / "shards")
    survey.write(tmp_path / "page.html", surveys.survey(made), made, 2)
    content = (tmp_path / "page.html").read_text()
    page = Page(content)
    assert page.open == []
    assert [tag for tag, _ in page.elements].count("figure") == 2
    boxes = [(a["x"], a["y"], a["width"], a["height"]) for a in page.of("rect")]
    assert boxes == 2 * [("4.0", "6.0", "20.0", "20.0"), ("30.0", "8.0", "20.0", "20.0")]
    assert "&lt;star&gt; × 2" in content
    assert "absent 11 and 3 more" in page.text
    assert "<script" not in content


def _one(folder, *phrases):
    boxes = np.array([(4 * i, 6, 4 * i + 3, 26) for i in range(len(phrases))], np.float32)
    own = tuple((i,) for i in range(len(phrases)))
    return Record(toys.png(64, 48, []), 64, 48, "coco", f"coco:{folder}", boxes, phrases, own)


def test_a_name_has_the_same_colour_in_every_picture(tmp_path):
    records = [_one(0, "ring", "star"), _one(1, "star"), _one(2, "star", "ring", "dog")]
    sets = {"train/coco": shard_writer.write_set(records, tmp_path, "train/coco", 2)}
    shards.write_index(tmp_path, sets, {}, {"held_out": {}, "quarantined": {}})
    made = shards.read_index(str(tmp_path))
    survey.write(tmp_path / "page.html", surveys.survey(made), made, 3, {"1": "a/b.jpg"}, "mine")
    page = Page((tmp_path / "page.html").read_text())
    dog, ring, star = (f"colour{i}" for i in range(3))
    assert [a["class"] for a in page.of("rect")] == [ring, star, star, star, ring, dog]
    assert "a/b.jpg, 64 × 48" in page.text
    assert "coco coco:2" in page.text
    assert "mine" in page.text
    assert "Left out" not in page.text
