import json

import pytest

from omnidet.evaluation import stored
from tests import evaluations


def test_what_was_written_is_read(tmp_path):
    folder = evaluations.evaluation(tmp_path / "evaluation")
    assert stored.read(folder).values["coco/AP"] == 0.5
    assert stored.read(folder).protocols["refcocog"] == "AIGT"
    assert list(stored.rows(folder, "eval/coco")) == evaluations.detections()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not JSON"),
        ('{"values": {"a"', "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        ("[]", "holds a list"),
        ("{}", "has no values"),
        ('{"values": {}, "protocols": {}}', "has no details"),
        ('{"values": [], "protocols": {}, "details": {}}', "has no values"),
        (
            '{"values": {"coco/AP": null}, "protocols": {}, "details": {}}',
            "coco/AP is None",
        ),
        ("[" * 100_000, "is not JSON"),
        (
            '{"values": {}, "protocols": {}, "details": {"coco": 3}}',
            "details of coco",
        ),
        (
            '{"values": {}, "protocols": {}, "details": {"coco": {"counts": []}}}',
            "details of coco",
        ),
        (
            '{"values": {}, "protocols": {}, "details": {"coco": {"intervals": {"AP": 3}}}}',
            "intervals of coco",
        ),
        (
            '{"values": {}, "protocols": {}, "details": {"coco": {"resamples": {"AP": ["1"]}}}}',
            "resamples of coco",
        ),
    ],
)
def test_a_damaged_index_is_named(tmp_path, content, reason):
    path = tmp_path / "index.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"index.json .*{reason}.*evaluate"):
        stored.read(tmp_path)


def test_one_digit_that_was_changed_is_found(tmp_path):
    folder = evaluations.evaluation(tmp_path / "evaluation")
    index = folder / "index.json"
    content = stored.sealed(json.loads(index.read_text()), folder)
    index.write_text(json.dumps(content, indent=3))  # how it is laid out does not matter
    assert stored.read(folder).values["coco/AP"] == 0.5
    assert list(stored.rows(folder, "eval/coco")) == evaluations.detections()
    predictions = folder / "eval_coco.json"
    predictions.write_text(predictions.read_text().replace("1", "2", 1))
    with pytest.raises(ValueError, match=r"eval_coco\.json is not as it was written"):
        list(stored.rows(folder, "eval/coco"))
    index.write_text(index.read_text().replace('"coco/AP": 0.5', '"coco/AP": 0.6', 1))
    for read in (stored.read, stored.values):
        with pytest.raises(ValueError, match=r"index\.json is not as it was written"):
            read(folder)


@pytest.mark.parametrize("content", ["", "[1]", '["image_id"]', "none", '[{"image_id": 1}'])
def test_damaged_predictions_are_named(tmp_path, content):
    (tmp_path / "eval_coco.json").write_text(content)
    with pytest.raises(ValueError, match=r"eval_coco\.json.*evaluate"):
        list(stored.rows(tmp_path, "eval/coco"))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"index\.json.*`omnidet evaluate --out`"):
        stored.read(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"eval_coco\.json does not exist: evaluate"):
        list(stored.rows(tmp_path, "eval/coco"))


def test_numbers_alone_are_enough_to_compare_with(tmp_path):
    (tmp_path / "index.json").write_text('{"values": {"coco/AP": 0.5}}')
    assert stored.values(tmp_path) == {"coco/AP": 0.5}
    (tmp_path / "index.json").write_text('{"values": {"coco/AP": "high"}}')
    with pytest.raises(ValueError, match=r"coco/AP is 'high'.*evaluate"):
        stored.values(tmp_path)
