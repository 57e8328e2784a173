"""Flickr30K Entities in files, for `omnidet score`: its phrases, and a detector's boxes for them.

docs/evaluation.md shows the formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnidet.data.sources import flickr30k as flickr30k_source
from omnidet.evaluation.flickr30k import PhraseTruth
from omnidet.evaluation.row_checks import corner_boxes, read_objects, require_fields, require_id
from omnidet.schema import FloatArray


def read_phrases(location: str, split: str) -> dict[tuple[str, int], list[PhraseTruth]]:
    """The phrases with boxes of each (image id, sentence number from 0).

    Numbered as in MDETR's `flickr_eval.py`.

    Args:
        location: the folder of Flickr30K Entities with `Sentences`, `Annotations` and lists of ids,
            or a JSON list of objects `{"image_id": 1, "sentence_id": 0, "phrases":
            [{"phrase": "two dogs", "boxes": [[x0, y0, x1, y1]]}]}`.
        split: the list of ids in the folder, such as `test`.
    """
    if Path(location).is_dir():
        return _entities(Path(location), split)
    if not location.startswith("s3://") and not Path(location).exists():
        raise FileNotFoundError(
            f"{location} does not exist: give Flickr30K's folder, or a JSON list of phrases"
        )
    found: dict[tuple[str, int], list[PhraseTruth]] = {}
    for number, row in enumerate(read_objects(location)):
        where = f"{location}: entry {number}"
        require_fields(row, ("image_id", "sentence_id", "phrases"), where)
        key = _sentence(row, where)
        if not isinstance(row["phrases"], list):
            raise ValueError(f"{where} has phrases {str(row['phrases'])[:60]}: give a list of them")
        if key in found:
            raise ValueError(
                f"{where}: image {key[0]} has two sentences {key[1]}: give each its own number"
            )
        found[key] = []
        for phrase in row["phrases"]:
            require_fields(phrase, ("phrase", "boxes"), where)
            boxes = corner_boxes(phrase["boxes"], where)
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
    """Boxes (K, 4) of each phrase in the order of the truth, and how many sentences have no row.

    The phrases of a sentence without a row are misses.

    Args:
        rows: as MDETR writes them: `{"image_id": 1, "sentence_id": 0, "boxes":
            [[[x0, y0, x1, y1], ...], ...]}`: for each phrase of the sentence that has boxes in the
            ground truth, the boxes found, best first.
    """
    found: dict[tuple[str, int], list[FloatArray]] = {}
    for index, row in enumerate(rows):
        where = f"result {index}"
        require_fields(row, ("image_id", "sentence_id", "boxes"), where)
        key = _sentence(row, where)
        if not isinstance(row["boxes"], list):
            raise ValueError(
                f"{where} has boxes {str(row['boxes'])[:60]}: give a list of boxes for each phrase"
            )
        if key not in truth:
            if not row["boxes"]:
                continue
            raise ValueError(
                f"{where}: sentence {key[1]} of image {key[0]} has no phrase with boxes in the "
                "ground truth: evaluate the same split"
            )
        if key in found:
            raise ValueError(
                f"{where}: image {key[0]} sentence {key[1]} comes a second time: "
                "give each sentence once"
            )
        if len(row["boxes"]) != len(truth[key]):
            raise ValueError(
                f"{where}: {len(row['boxes'])} lists of boxes for {len(truth[key])} phrases of "
                f"image {key[0]} sentence {key[1]}: give one for each phrase that has boxes"
            )
        found[key] = [corner_boxes(boxes, where) for boxes in row["boxes"]]
    empty = np.zeros((0, 4), np.float32)
    predictions = [
        boxes for key, phrases in truth.items() for boxes in found.get(key, [empty] * len(phrases))
    ]
    return predictions, len(truth) - len(found)


def _sentence(row: Mapping[str, Any], where: str) -> tuple[str, int]:
    """Image id and number of a sentence; a file may hold either as text."""
    for field in ("image_id", "sentence_id"):
        require_id(row, field, where)
    if not str(row["sentence_id"]).isdecimal():
        raise ValueError(
            f"{where} has sentence_id {row['sentence_id']!r}: give its number in the image, from 0"
        )
    return str(row["image_id"]), int(row["sentence_id"])
