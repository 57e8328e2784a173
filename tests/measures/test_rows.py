import json

import numpy as np

from omnidet.measures import rows
from omnidet.schema import Record


def test_numbers_are_short_and_read_back_as_the_same_float32():
    values = np.random.default_rng(0).uniform(0, 640, 200).astype(np.float32)
    short = [rows.short(value) for value in values]
    assert np.array_equal(np.array(json.loads(json.dumps(short)), np.float32), values)
    assert max(len(str(value)) for value in short) <= 10
    assert rows.short(np.float32(0.1)) == 0.1


def test_the_row_of_a_phrase():
    record = Record(b"", 8, 8, "coco", "coco:7")
    boxes, scores = np.array([[0.1, 0, 5, 5]], np.float32), np.array([0.3], np.float32)
    assert rows.phrase_row(record, "red ball", boxes, scores) == {
        "image_id": "coco:7",
        "phrase": "red ball",
        "boxes_xyxy": [[0.1, 0.0, 5.0, 5.0]],
        "scores": [0.3],
    }
