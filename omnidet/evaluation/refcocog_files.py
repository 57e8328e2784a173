"""RefCOCOg in files, for `omnidet score`: its expressions, and a detector's boxes for them.

docs/evaluation.md shows the formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omnidet.data.relations import is_relational
from omnidet.data.sources.refcocog import SPLITS, load_plain_pickle
from omnidet.evaluation.detections import is_number
from omnidet.evaluation.refcocog import Expression
from omnidet.evaluation.row_checks import corners, read_objects, require_fields, require_id
from omnidet.evaluation.truth import read_json
from omnidet.schema import FloatArray

GOOGLE = "google"
"""RefCOCOg's other partition, whose val shares images with its train."""


def read_expressions(location: str, split: str) -> dict[Any, Expression]:
    """Expressions by the id of their sentence.

    Args:
        location: `refs(umd).p` with `instances.json` next to it, or a JSON list of objects
            `{"id": 7, "image_id": 1, "sentence": "red ball", "bbox": [x, y, width, height]}`.
        split: such as `umd/val`. A JSON file is read whole, whatever split it holds.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the format is another, or the partition is Google's and `split` is not.
    """
    by, _, part = split.partition("/")
    if split not in SPLITS:
        raise ValueError(f"RefCOCOg has no split {split!r}: give one of {', '.join(SPLITS)}")
    if f"({GOOGLE})" in Path(location).name and by != GOOGLE:
        raise ValueError(
            f"{location} is Google's partition, whose val shares images with its train: report "
            "refs(umd).p, or ask for --split google/val and say so"
        )
    rows = (
        _pickled(Path(location), by, part)
        if Path(location).suffix == ".p"
        else read_objects(location)
    )
    if by != GOOGLE and any(
        GOOGLE in str(row.get("split_by", row.get("splitBy", ""))).lower() for row in rows
    ):
        raise ValueError(
            f"{location} holds expressions of Google's partition: leave them out, or ask for "
            "--split google/val"
        )
    expressions: dict[Any, Expression] = {}
    for number, row in enumerate(rows):
        require_fields(row, ("id", "image_id", "sentence", "bbox"), f"{location}: entry {number}")
        require_id(row, "id", f"{location}: entry {number}")
        if row["id"] in expressions:
            raise ValueError(
                f"{location}: two expressions have the id {row['id']!r}: give each its own"
            )
        box = corners(row["bbox"], f"{location}: entry {number}")
        text = str(row["sentence"])
        expressions[row["id"]] = Expression(
            f"coco:{row['image_id']}", text, box[None], is_relational(text)
        )
    return expressions


def _pickled(path: Path, by: str, part: str) -> list[dict[str, Any]]:
    if f"({by})" not in path.name:
        raise ValueError(
            f"{path} is not refs({by}).p: give the file of that split, or another --split"
        )
    instances_path = path.parent / "instances.json"
    for needed in (path, instances_path):
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed} does not exist: unpack RefCOCOg with its refs and instances.json"
            )
    refs = [ref for ref in load_plain_pickle(path) if ref["split"] == part]
    if not refs:
        raise ValueError(f"{path} has no split {part!r}: give --split {by}/val or the like")
    boxes = {
        annotation["id"]: annotation["bbox"]
        for annotation in read_json(instances_path)["annotations"]
    }
    return [
        {
            "id": s["sent_id"],
            "image_id": ref["image_id"],
            "sentence": s["sent"],
            "bbox": boxes.get(ref["ann_id"]),
        }
        for ref in refs
        for s in ref["sentences"]
    ]


def best_boxes(
    expressions: Mapping[Any, Expression], rows: Iterable[Mapping[str, Any]]
) -> tuple[FloatArray, int]:
    """The best box (E, 4) of each expression, in their order, and how many have no box: misses.

    Args:
        rows: `{"id": 7, "bbox": [x, y, width, height], "score": 0.9}`. The score may be left out
            where an expression has one box only.

    Raises:
        ValueError: if a row cannot be judged; it is named by its index.
    """
    best: dict[Any, tuple[float, FloatArray]] = {}
    has_score: dict[Any, bool] = {}
    for index, row in enumerate(rows):
        require_fields(row, ("id", "bbox"), f"result {index}")
        require_id(row, "id", f"result {index}")
        if row["id"] not in expressions:
            raise ValueError(
                f"result {index}: id {row['id']!r} is not in the ground truth: "
                "evaluate the same split"
            )
        if row["id"] in best and not (has_score[row["id"]] and "score" in row):
            raise ValueError(
                f"result {index}: id {row['id']!r} has several boxes and no score: "
                "give scores or the best box"
            )
        has_score[row["id"]] = "score" in row
        score = row.get("score", 0.0)
        if not is_number(score):
            raise ValueError(f"result {index}: score is {str(score)[:60]}: give a finite number")
        box = corners(row["bbox"], f"result {index}")
        if row["id"] not in best or score > best[row["id"]][0]:
            best[row["id"]] = (float(score), box)
    nowhere = np.full(4, -1e9, np.float32)  # overlaps nothing
    boxes = np.array(
        [best[key][1] if key in best else nowhere for key in expressions], np.float32
    ).reshape(-1, 4)
    return boxes, len(expressions) - len(best)
