"""A Record as the `.json` member of a sample, and back: exact, short, and sound or refused."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from omnidet.schema import FloatArray, Record

SCHEMA_VERSION = 1
"""Version of the member and of the index over shards. A reader refuses any other."""


def encode(record: Record) -> bytes:
    """The record without its image."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "source": record.source,
        "image_id": record.image_id,
        "width": record.width,
        "height": record.height,
        "boxes_xyxy": _short(record.boxes_xyxy.astype(np.float32)),
        "phrases": record.phrases,
        "phrase_boxes": record.phrase_boxes,
        "absent": record.absent,
        "not_exhaustive": record.not_exhaustive,
        "caption": record.caption,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def decode(annotation: bytes, image: bytes, shard: str) -> Record:
    """The record that `encode` wrote. Raises ValueError that names the shard for anything else."""
    with refused(f"{shard}: the annotation of a sample is damaged", "build it again"):
        content = json.loads(annotation)
        version = content.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        name = str(content.get("image_id"))[:80]
        raise ValueError(
            f"{shard}: sample {name} has another schema version than {SCHEMA_VERSION}: "
            "build it again"
        )
    with refused(f"{shard}: the annotation of a sample is damaged", "build it again"):
        boxes = np.asarray(content.pop("boxes_xyxy"), np.float32).reshape(-1, 4)
        phrase_boxes = tuple(tuple(named) for named in content.pop("phrase_boxes"))
        words: dict[str, Any] = {
            key: tuple(content.pop(key)) for key in ("phrases", "absent", "not_exhaustive")
        }
        record = Record(
            image=image, boxes_xyxy=boxes, phrase_boxes=phrase_boxes, **words, **content
        )
        require(_is_sound(record), annotation)
        return record


@contextmanager
def refused(problem: str, remedy: str) -> Iterator[None]:
    """Turn what reading damaged JSON raises into a ValueError of one line."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{problem} ({error!r:.200}): {remedy}") from error


def require(holds: bool, what: object) -> None:
    """Raise TypeError, for `refused`, with an excerpt of `what` unless the condition holds."""
    if not holds:
        raise TypeError(reprlib.repr(what))


def _short(boxes: FloatArray) -> list[list[float]]:
    """Numbers whose shortest text reads back as the same float32: the member is small and exact."""
    hundredths = np.round(boxes.astype(np.float64), 2)
    # Datasets hold hundredths. The other way takes longer than all the rest.
    if (hundredths.astype(np.float32) == boxes).all():
        return hundredths.tolist()  # type: ignore[no-any-return]
    return [[float(str(x)) for x in box] for box in boxes]


def _is_sound(record: Record) -> bool:
    """Whether every field is of its type, and phrases name only boxes that exist."""
    numbers = [i for named in record.phrase_boxes for i in named]
    texts = (
        record.source,
        record.image_id,
        record.caption,
        *record.phrases,
        *record.absent,
        *record.not_exhaustive,
    )
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(record.width, int)
        and isinstance(record.height, int)
        and min(record.width, record.height) > 0
        and len(record.phrases) == len(record.phrase_boxes)
        and all(isinstance(i, int) and 0 <= i < len(record.boxes_xyxy) for i in numbers)
    )
