import itertools

from omnidet.data import shards
from omnidet.measures import by_name
from tests.measures.truth_teller import TruthTeller


def test_rows_have_the_official_form_and_the_numbers_of_their_images(index, monkeypatch):
    monkeypatch.setattr(by_name, "IMAGES_AT_ONCE", 3)
    records = list(shards.records(index, "eval/lvis"))
    numbered = list(itertools.islice(enumerate(records), 1, None, 2))
    predict = by_name.predict_names(10)
    found = list(predict(TruthTeller(records), index, "eval/lvis", iter(numbered)))
    assert [number for number, _ in found] == [number for number, _ in numbered]
    names = index.ground_truth["eval/lvis"]["names"]
    for (_, record), (_, rows) in zip(numbered, found, strict=True):
        assert {row["image_id"] for row in rows} <= {int(record.image_id.partition(":")[2])}
        expected = [
            phrase
            for phrase, own in zip(record.phrases, record.phrase_boxes, strict=True)
            for _ in own
        ]
        assert [names[str(row["category_id"])] for row in rows] == expected
        for row in rows:
            assert set(row) == {"image_id", "category_id", "bbox", "score"}
            assert row["bbox"][2] > 0


def test_images_that_the_annotation_file_does_not_list_are_skipped(index):
    records = list(shards.records(index, "eval/refcocog"))
    predict = by_name.predict_names(10)
    listed = {r.image_id for r in shards.records(index, "eval/lvis")}
    found = predict(TruthTeller(records), index, "eval/lvis", enumerate(records))
    assert len(list(found)) == sum(record.image_id in listed for record in records)
