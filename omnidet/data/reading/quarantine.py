"""Bad records: counted by reason and listed in a file. They are fatal only above a stated share."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from omnidet.data.reading import jpeg_markers, picture_files
from omnidet.data.reading.upright import upright
from omnidet.schema import FloatArray, Record

MIN_BOX_SIDE = 1.0
"""In pixels. Boxes with a shorter side cannot be seen or matched."""
MAX_OVERSHOOT = 2.0
"""In pixels. Annotators round: a box that leaves the image by no more than this is clipped."""


class Quarantine:
    """What was refused and why, in the order of appearance."""

    def __init__(self, max_share: float = 0.1) -> None:
        """`max_share`: above this share of refused records, reading a source is an error."""
        self.max_share = max_share
        self.counts: Counter[str] = Counter()
        self.lines: list[str] = []

    def reject(self, source: str, item: str, reason: str, kind: str = "record") -> None:
        """Record one refusal.

        Args:
            source: name of the dataset.
            item: what was refused, so that a person can find it, such as "image 391895",
                "annotation 17" or "a.tar:000000003".
            reason: one of a few short texts, which are counted, such as "zero-size box".
            kind: "record" if the whole image is lost; "box", "phrase" or "caption" if the image is
                kept without it.
        """
        self.counts[f"{source}: {kind}: {reason}"] += 1
        self.lines.append(
            json.dumps(
                {"source": source, "item": item, "kind": kind, "reason": reason}, ensure_ascii=False
            )
        )

    def check_share(self, source: str, kept: int) -> None:
        """Raise ValueError if too large a share of a source's records was refused."""
        reasons = {
            k.split(": ", 2)[2]: n
            for k, n in self.counts.items()
            if k.startswith(f"{source}: record: ")
        }
        refused = sum(reasons.values())
        if refused > self.max_share * (kept + refused):
            worst = ", ".join(
                f"{n} {reason}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1])
            )
            raise ValueError(
                f"{source}: {refused} of {kept + refused} records are unusable ({worst}), "
                f"more than the allowed share {self.max_share}: "
                "correct the data or raise shards.max_bad_share"
            )


def clean(record: Record, quarantine: Quarantine, decode: bool = False) -> Record | None:
    """The record without its bad boxes and phrases, or None if it cannot be used.

    What is removed goes to the quarantine. An image that would stop the decoder never reaches
    training: a JPEG file is checked for completeness, any other image is decoded here, and with
    `decode` every image is.
    """
    turned = upright(record)
    problem = turned if isinstance(turned, str) else _image_problem(turned, decode)
    if problem or isinstance(turned, str):
        quarantine.reject(record.source, record.image_id, problem or str(turned))
        return None
    record = turned
    record = _without_empty_texts(record, quarantine)
    good, kept = _usable_boxes(record, quarantine)
    new_index = (np.cumsum(good) - 1).tolist()
    phrases, phrase_boxes = [], []
    for phrase, named in zip(record.phrases, record.phrase_boxes, strict=True):
        if not _has_words(phrase):
            quarantine.reject(record.source, record.image_id, "empty phrase", "phrase")
            continue
        left = tuple(new_index[i] for i in named if good[i])
        if left:
            phrases.append(phrase)
            phrase_boxes.append(left)
    lost = set(record.phrases) - set(phrases)
    if not len(kept) and not record.absent and not record.caption and not record.phrases:
        quarantine.reject(record.source, record.image_id, "nothing is known of the image")
        return None
    if record.phrases and not phrases and not record.absent and not record.caption:
        quarantine.reject(record.source, record.image_id, "no usable box or phrase is left")
        return None
    return dataclasses.replace(
        record,
        boxes_xyxy=kept,
        phrases=tuple(phrases),
        phrase_boxes=tuple(phrase_boxes),
        # A name whose boxes were refused is still in the image: it must not become a negative.
        absent=tuple(p for p in record.absent if p not in lost) if lost else record.absent,
        not_exhaustive=tuple(
            dict.fromkeys(
                [
                    *(p for p in record.not_exhaustive if p in phrases),
                    *_partly_lost(record, good, phrases),
                ]
            )
        ),
    )


def _usable_boxes(record: Record, quarantine: Quarantine) -> tuple[list[bool], FloatArray]:
    """Which boxes are good, and the good ones, clipped to the image."""
    boxes = record.boxes_xyxy.astype(np.float64)
    good = [True] * len(boxes)
    for i, box in enumerate(boxes.tolist()):  # plain numbers are faster than numpy's
        problem = _box_problem(box, record.width, record.height)
        if problem:
            quarantine.reject(
                record.source,
                f"{record.image_id} box {i} {[round(x, 2) for x in box]}",
                problem,
                "box",
            )
            good[i] = False
    limits = [record.width, record.height, record.width, record.height]
    kept: FloatArray = np.clip(boxes[np.array(good, bool)], 0, limits).astype(np.float32)
    return good, kept


def _without_empty_texts(record: Record, quarantine: Quarantine) -> Record:
    """The record without a caption or absent names that contain no word.

    An empty caption and an empty list are not faults.
    """
    caption = record.caption
    if caption and not _has_words(caption):
        quarantine.reject(record.source, record.image_id, "empty caption", "caption")
        caption = ""
    absent = tuple(filter(_has_words, record.absent))
    for _ in range(len(record.absent) - len(absent)):
        quarantine.reject(record.source, record.image_id, "empty phrase", "phrase")
    return dataclasses.replace(record, caption=caption, absent=absent)


@functools.lru_cache(maxsize=1 << 16)  # the absent names of every image are the same thousand
def _has_words(text: str) -> bool:
    """Whether the text has a letter, digit or symbol: other characters have no token."""
    return any(unicodedata.category(c)[0] in "LMNS" for c in unicodedata.normalize("NFKC", text))


def _partly_lost(record: Record, good: Sequence[bool], phrases: list[str]) -> list[str]:
    """Phrases that lost some of their boxes, and so are no longer exhaustive."""
    if all(good):
        return []
    pairs = zip(record.phrases, record.phrase_boxes, strict=True)
    return [p for p, named in pairs if p in phrases and not all(good[i] for i in named)]


def _image_problem(record: Record, decode: bool) -> str | None:
    size = None if decode else jpeg_markers.size_if_whole(record.image)
    return _decoding_problem(record) if size is None else _size_problem(size, record)


def _size_problem(size: tuple[int, int], record: Record) -> str | None:
    problem = picture_files.STANDARD.problem(*size)
    if problem:
        return problem
    return (
        "image size differs from the annotation" if size != (record.width, record.height) else None
    )


def _decoding_problem(record: Record) -> str | None:
    try:
        with picture_files.opened(record.image) as image:
            problem = _size_problem(image.size, record)
            if problem not in (picture_files.TOO_LARGE, picture_files.TOO_LONG):
                image.load()
            return problem
    except Image.DecompressionBombError:
        return picture_files.TOO_LARGE
    # What Pillow's decoders raise.
    except picture_files.DAMAGED as error:
        return "truncated image" if "truncated" in str(error).lower() else "unreadable image"


def _box_problem(box: Sequence[float], width: int, height: int) -> str | None:
    if not all(map(math.isfinite, box)):
        return "box with a number that is not finite"
    x0, y0, x1, y1 = box
    if x1 - x0 <= 0 or y1 - y0 <= 0:
        return "zero-size box"
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        return "box outside the image"
    if (
        x0 < -MAX_OVERSHOOT
        or y0 < -MAX_OVERSHOOT
        or x1 > width + MAX_OVERSHOOT
        or y1 > height + MAX_OVERSHOOT
    ):
        return "box larger than the image"
    if min(x1, width) - max(x0, 0) < MIN_BOX_SIDE or min(y1, height) - max(y0, 0) < MIN_BOX_SIDE:
        return "zero-size box"
    return None
