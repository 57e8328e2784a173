"""Ground truth and results of RefCOCOg and Flickr30K Entities in files: what `omnidet score` reads (docs/evaluation.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnidet.data.sources import flickr30k as flickr30k_source
from omnidet.data.sources.refcocog import load_plain_pickle
from omnidet.data.vocabulary import is_relational
from omnidet.evaluation.detections import is_number
from omnidet.evaluation.flickr30k import PhraseTruth
from omnidet.evaluation.refcocog import Expression
from omnidet.evaluation.truth import are_four, is_box, read_json
from omnidet.schema import FloatArray

GOOGLE = "google"
"""RefCOCOg's other split, whose val shares images with its train."""
EXPRESSION_SPLITS = ("umd/train", "umd/val", "umd/test", "google/train", "google/val")


def read_expressions(location: str, split: str) -> dict[Any, Expression]:
    """Expressions by the id of their sentence.

    Args:
        location: `refs(umd).p` with `instances.json` beside it, or a JSON list of objects
            `{"id": 7, "image_id": 1, "sentence": "red ball", "bbox": [x, y, width, height]}`.
        split: as `umd/val`; of a JSON file everything is read, so it has to be right.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for one of another kind, or for Google's split where it is not asked for.
    """
    by, _, part = split.partition("/")
    if split not in EXPRESSION_SPLITS:
        raise ValueError(
            f"RefCOCOg has no split {split!r}: give one of {', '.join(EXPRESSION_SPLITS)}"
        )
    if f"({GOOGLE})" in Path(location).name and by != GOOGLE:
        raise ValueError(
            f"{location} is Google's split, whose val shares images with its train: report refs(umd).p, or ask for "
            "--split google/val and say so"
        )
    rows = (
        _pickled(Path(location), by, part) if Path(location).suffix == ".p" else _objects(location)
    )
    if by != GOOGLE and any(
        GOOGLE in str(row.get("split_by", row.get("splitBy", ""))).lower() for row in rows
    ):
        raise ValueError(
            f"{location} holds expressions of Google's split: leave them out, or ask for --split google/val"
        )
    expressions: dict[Any, Expression] = {}
    for number, row in enumerate(rows):
        _require(row, ("id", "image_id", "sentence", "bbox"), f"{location}: entry {number}")
        _require_id(row, "id", f"{location}: entry {number}")
        if row["id"] in expressions:
            raise ValueError(
                f"{location}: two expressions have the id {row['id']!r}: give each its own"
            )
        box = _corners(row["bbox"], f"{location}: entry {number}")
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
    """The box (E, 4) of the highest score for each expression in their order, and how many have none, which are misses.

    Args:
        rows: `{"id": 7, "bbox": [x, y, width, height], "score": 0.9}`; several of an expression need scores, one does not.

    Raises:
        ValueError: for a row that cannot be judged, named by its index.
    """
    best: dict[Any, tuple[float, FloatArray]] = {}
    for index, row in enumerate(rows):
        _require(row, ("id", "bbox"), f"result {index}")
        _require_id(row, "id", f"result {index}")
        if row["id"] not in expressions:
            raise ValueError(
                f"result {index}: id {row['id']!r} is not in the ground truth: evaluate the same split"
            )
        if row["id"] in best and "score" not in row:
            raise ValueError(
                f"result {index}: id {row['id']!r} has several boxes and no score: give scores or the best box"
            )
        score = row.get("score", 0.0)
        if not is_number(score):
            raise ValueError(f"result {index}: score is {str(score)[:60]}: give a finite number")
        box = _corners(row["bbox"], f"result {index}")
        if row["id"] not in best or score > best[row["id"]][0]:
            best[row["id"]] = (float(score), box)
    nowhere = np.full(4, -1e9, np.float32)  # meets nothing
    boxes = np.array(
        [best[key][1] if key in best else nowhere for key in expressions], np.float32
    ).reshape(-1, 4)
    return boxes, len(expressions) - len(best)


def read_phrases(location: str, split: str) -> dict[tuple[str, int], list[PhraseTruth]]:
    """The phrases of each (image id, sentence number from 0), those with boxes, in their order: as MDETR's `flickr_eval.py`.

    Args:
        location: the folder of Flickr30K Entities with `Sentences`, `Annotations` and lists of ids, or a JSON list of objects
            `{"image_id": 1, "sentence_id": 0, "phrases": [{"phrase": "two dogs", "boxes": [[x0, y0, x1, y1]]}]}`.
        split: the list of ids in the folder, as `test`.
    """
    if Path(location).is_dir():
        return _entities(Path(location), split)
    if not location.startswith("s3://") and not Path(location).exists():
        raise FileNotFoundError(
            f"{location} does not exist: give Flickr30K's folder, or a JSON list of phrases"
        )
    found: dict[tuple[str, int], list[PhraseTruth]] = {}
    for number, row in enumerate(_objects(location)):
        where = f"{location}: entry {number}"
        _require(row, ("image_id", "sentence_id", "phrases"), where)
        key = _sentence(row, where)
        if not isinstance(row["phrases"], list):
            raise ValueError(f"{where} has phrases {str(row['phrases'])[:60]}: give a list of them")
        if key in found:
            raise ValueError(
                f"{where}: image {key[0]} has two sentences {key[1]}: give each its own number"
            )
        found[key] = []
        for phrase in row["phrases"]:
            _require(phrase, ("phrase", "boxes"), where)
            boxes = _boxes(phrase["boxes"], where)
            if len(boxes):
                found[key].append(PhraseTruth(f"flickr30k:{key[0]}", str(phrase["phrase"]), boxes))
    return {key: phrases for key, phrases in found.items() if phrases}


def _entities(root: Path, split: str) -> dict[tuple[str, int], list[PhraseTruth]]:
    found: dict[tuple[str, int], list[PhraseTruth]] = {}
    for image_id in sorted(
        i.partition(":")[2] for i in flickr30k_source.image_ids(str(root), split)
    ):
        sentences, boxes = (
            root / "Sentences" / f"{image_id}.txt",
            root / "Annotations" / f"{image_id}.xml",
        )
        for path in (sentences, boxes):
            if not path.is_file():
                raise FileNotFoundError(f"{path} does not exist: unpack all of Flickr30K Entities")
        of_chain = flickr30k_source.parse_boxes(boxes.read_bytes()).of_chain
        lines = [line for line in sentences.read_text(encoding="utf-8").split("\n") if line]
        for number, line in enumerate(lines):
            tags = [
                (chain, words)
                for chain, words in flickr30k_source.parse_sentence(line)[1]
                if chain in of_chain
            ]
            phrases = [
                PhraseTruth(
                    f"flickr30k:{image_id}",
                    words,
                    np.array([box for _, box in of_chain[chain]], np.float32),
                )
                for chain, words in tags
            ]
            if phrases:
                found[image_id, number] = phrases
    return found


def ranked_boxes(
    truth: Mapping[tuple[str, int], Sequence[PhraseTruth]], rows: Iterable[Mapping[str, Any]]
) -> tuple[list[FloatArray], int]:
    """Boxes (K, 4) of each phrase in the order of the truth, and how many sentences have none, whose phrases are misses.

    Args:
        rows: as MDETR writes them: `{"image_id": 1, "sentence_id": 0, "boxes": [[[x0, y0, x1, y1], ...], ...]}`, for each
            phrase with boxes of the sentence its boxes, best first.
    """
    found: dict[tuple[str, int], list[FloatArray]] = {}
    for index, row in enumerate(rows):
        where = f"result {index}"
        _require(row, ("image_id", "sentence_id", "boxes"), where)
        key = _sentence(row, where)
        if not isinstance(row["boxes"], list):
            raise ValueError(
                f"{where} has boxes {str(row['boxes'])[:60]}: give a list of boxes for each phrase"
            )
        if key not in truth:
            if not row["boxes"]:
                continue
            raise ValueError(
                f"{where}: sentence {key[1]} of image {key[0]} has no phrase with boxes in the ground truth"
            )
        if key in found:
            raise ValueError(
                f"{where}: image {key[0]} sentence {key[1]} comes a second time: give each sentence once"
            )
        if len(row["boxes"]) != len(truth[key]):
            raise ValueError(
                f"{where}: {len(row['boxes'])} lists of boxes for {len(truth[key])} phrases of image {key[0]} sentence {key[1]}"
                ": give one for each phrase that has boxes"
            )
        found[key] = [_boxes(boxes, where) for boxes in row["boxes"]]
    empty = np.zeros((0, 4), np.float32)
    predictions = [
        boxes for key, phrases in truth.items() for boxes in found.get(key, [empty] * len(phrases))
    ]
    return predictions, len(truth) - len(found)


def _objects(location: str) -> list[dict[str, Any]]:
    content = read_json(location)
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError(
            f"{location} is no JSON list of objects: docs/evaluation.md shows the format"
        )
    return content


def _sentence(row: Mapping[str, Any], where: str) -> tuple[str, int]:
    """Image id and number of a sentence, either of them perhaps written as text."""
    for field in ("image_id", "sentence_id"):
        _require_id(row, field, where)
    if not str(row["sentence_id"]).isdecimal():
        raise ValueError(
            f"{where} has sentence_id {row['sentence_id']!r}: give its number in the image, from 0"
        )
    return str(row["image_id"]), int(row["sentence_id"])


def _require_id(row: Mapping[str, Any], field: str, where: str) -> None:
    if not isinstance(row[field], int | str):
        raise ValueError(
            f"{where} has {field} {str(row[field])[:60]}: give a whole number or a text"
        )


def _require(row: Any, fields: Sequence[str], where: str) -> None:
    lacking = [field for field in fields if not isinstance(row, Mapping) or field not in row]
    if lacking:
        raise ValueError(f"{where} has no {lacking[0]!r}: give {', '.join(fields)}")


def _corners(xywh: Any, where: str) -> FloatArray:
    """xywh -> xyxy (4,)."""
    if not is_box(xywh):
        raise ValueError(
            f"{where}: bbox is {str(xywh)[:60]}: give finite [x, y, width, height] in pixels"
        )
    x, y, width, height = xywh
    return np.array([x, y, x + width, y + height], np.float32)


def _boxes(boxes: Any, where: str) -> FloatArray:
    """xyxy (n, 4)."""
    rows = boxes if isinstance(boxes, list) else [boxes]
    for box in rows:
        if not are_four(box) or box[2] < box[0] or box[3] < box[1]:
            raise ValueError(
                f"{where}: {str(box)[:60]} is no box: give finite [x0, y0, x1, y1] in pixels"
            )
    return np.array(rows, np.float32).reshape(-1, 4)
