"""The best boxes of each image for a list of names: how COCO and LVIS ask a detector."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

from omnidet.data import shards
from omnidet.inference.detector import OmniDet
from omnidet.measures.ground_truth import ground_truth
from omnidet.measures.measure import ImageRows, NumberedRecords
from omnidet.schema import Record

IMAGES_AT_ONCE = 16


def predict_names(count: int) -> Callable[[OmniDet, shards.Index, str, NumberedRecords], ImageRows]:
    """A `predict` that finds the `count` best boxes of each image over all names of the set.

    Its rows are in the official result format.
    """

    def predict(
        detector: OmniDet, index: shards.Index, set_name: str, images: NumberedRecords
    ) -> ImageRows:
        # A set may hold images that are not in its annotation file, such as those of COCO that only
        # have captions. They are not evaluated.
        path, names = ground_truth(index, set_name)
        listed = json.loads(path.read_bytes())["images"]
        judged = {int(image["id"]) for image in listed}
        detector.vocabulary.check_names(list(names.values()))
        prompt = detector.prompt(list(names.values()))
        category_ids = [int(number) for number in names]
        known = (pair for pair in images if _number_of(pair[1]) in judged)
        while batch := list(itertools.islice(known, IMAGES_AT_ONCE)):
            found = detector.detect([record.image for _, record in batch], prompt, count)
            for (number, record), detections in zip(batch, found, strict=True):
                rows = []
                for box, score, phrase in zip(
                    detections.boxes_xyxy, detections.scores, detections.phrase, strict=True
                ):
                    x0, y0, x1, y1 = (float(v) for v in box)
                    row = {"image_id": _number_of(record), "category_id": category_ids[phrase]}
                    rows.append(row | {"bbox": [x0, y0, x1 - x0, y1 - y0], "score": float(score)})
                yield number, rows

    return predict


def _number_of(record: Record) -> int:
    return int(record.image_id.partition(":")[2])
