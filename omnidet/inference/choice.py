"""Which of the pairs (region, phrase) of an image are shown: the best, or one for each thing.

A name may have several phrases, the best of which counts, and a threshold of its own. Where boxes
must not overlap, the better one of two under the same name is kept. All of this is exact: as many
pairs are searched as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from omnidet.inference.overlaps import one_each, overlaps
from omnidet.inference.pictures import Picture
from omnidet.inference.prompt import Prompt
from omnidet.inference.question import shown
from omnidet.inference.search import best_pairs
from omnidet.schema import FloatArray, IntArray

_NONE = -1.0
"""Below every score: nothing that reaches its threshold was left out."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The pairs that are shown, best first."""

    scores: FloatArray
    region: IntArray
    label: IntArray
    """Index into the prompt's labels."""
    phrase: IntArray
    """Index into its phrases."""


def choose(
    boxes_Q4: FloatArray,
    embeddings_QD: Tensor,
    prompt: Prompt,
    count: int,
    threshold: float,
    same_thing: float | None,
) -> Chosen:
    """The best pairs.

    Args:
        count: most pairs.
        threshold: least score of names without one of their own.
        same_thing: intersection over union above which only the better of two boxes of a name is
            kept; None keeps all.
    """
    if prompt.is_plain and same_thing is None:
        found = _pairs(embeddings_QD, prompt, range(len(prompt.phrases)), count, threshold)[0]
        return Chosen(found.scores, found.region, found.phrase, found.phrase)
    name_of = np.array(prompt.name_of_P or range(len(prompt.phrases)), np.int64)
    most_phrases = int(np.bincount(name_of).max()) if len(name_of) else 1
    asked = count * most_phrases
    while True:
        parts, unseen = _by_threshold(embeddings_QD, prompt, name_of, asked, threshold)
        kept = one_each(boxes_Q4, parts.region, name_of[parts.phrase], same_thing)
        # Below that, a pair of one group may not be known yet that is better than another group's.
        sure = [place for place in kept[:count] if parts.scores[place] >= unseen]
        if unseen < 0 or len(sure) == count:
            kept = kept[:count]
            return Chosen(
                parts.scores[kept],
                parts.region[kept],
                name_of[parts.phrase[kept]],
                parts.phrase[kept],
            )
        asked *= 4


@dataclass(frozen=True, eq=False)
class _Pairs:
    scores: FloatArray
    region: IntArray
    phrase: IntArray


def _by_threshold(
    embeddings_QD: Tensor, prompt: Prompt, name_of: IntArray, asked: int, threshold: float
) -> tuple[_Pairs, float]:
    """The best pairs of each group of phrases with one threshold, together; and what no other pair
    that reaches its threshold scores more than.
    """
    own = prompt.thresholds or (None,) * (int(name_of.max(initial=-1)) + 1)
    groups: dict[float, list[int]] = {}
    for phrase, name in enumerate(name_of.tolist()):
        value = own[name]
        groups.setdefault(threshold if value is None else value, []).append(phrase)
    found = [
        _pairs(embeddings_QD, prompt, members, asked, least) for least, members in groups.items()
    ]
    if not found:
        nothing = np.zeros(0, np.int64)
        return _Pairs(np.zeros(0, np.float32), nothing, nothing), _NONE
    scores = np.concatenate([pairs.scores for pairs, _ in found])
    order = np.argsort(-scores, kind="stable")
    together = _Pairs(
        scores[order],
        np.concatenate([pairs.region for pairs, _ in found])[order],
        np.concatenate([pairs.phrase for pairs, _ in found])[order],
    )
    return together, max(unseen for _, unseen in found)


def _pairs(
    embeddings_QD: Tensor,
    prompt: Prompt,
    members: range | list[int],
    asked: int,
    threshold: float,
) -> tuple[_Pairs, float]:
    rows_PD, biases_P, shared = prompt.rows_PD, prompt.biases_P, prompt.shared
    if len(members) != len(rows_PD):
        rows_PD, biases_P, shared = rows_PD[list(members)], biases_P[list(members)], None
    # Of few numbers: torch's operators take longer to be called than to compute.
    found = best_pairs(embeddings_QD, rows_PD, biases_P, asked, shared)
    scores, region, phrase = (values.cpu().numpy() for values in found)
    keep = scores >= threshold
    is_all = len(scores) < asked or not bool(keep.all())
    unseen = _NONE if is_all else float(scores[-1])
    pairs = _Pairs(scores[keep], region[keep], np.array(members, np.int64)[phrase[keep]])
    return pairs, unseen


def checked_box(given: Sequence[float]) -> FloatArray:
    """Corners (4,) of a box.

    Raises ValueError unless they are finite numbers, not text or truth values, and enclose an area.
    """
    try:
        with np.errstate(over="ignore"):  # to infinity, which is refused
            box = np.array([_number(value) for value in given], np.float32)
    except (TypeError, ValueError, OverflowError):
        box = np.zeros(0, np.float32)
    if box.shape != (4,) or not np.isfinite(box).all() or not (box[:2] < box[2:]).all():
        raise ValueError(
            f"box {shown(given)}: give four numbers, x0, y0, x1 and y1 in pixels, "
            "x0 < x1 and y0 < y1"
        )
    return box


def _number(value: float) -> float:
    if isinstance(value, str | bytes | bool | np.bool_):  # `float` takes them
        raise TypeError
    return float(value)


def box_in(picture: Picture, given: Sequence[float]) -> FloatArray:
    """Corners (4,) of the part of a box that lies in the picture.

    Raises ValueError for what is not a box, and for one outside of the picture.
    """
    limits = np.array([picture.width, picture.height] * 2, np.float32)
    inside: FloatArray = np.clip(checked_box(given), 0, limits)
    if not (inside[:2] < inside[2:]).all():
        raise ValueError(
            f"box {shown(given)} lies outside of {picture.name}, which is {picture.width} x "
            f"{picture.height}: give a box in it"
        )
    return inside


def shares_of(box: FloatArray, boxes_Q4: FloatArray, picture: Picture) -> FloatArray:
    """Intersection over union (Q,) of a box with the regions of the picture.

    Raises ValueError if it overlaps none of them: there is nothing to say about it.
    """
    shares_Q = overlaps(box, boxes_Q4)
    if not float(shares_Q.max(initial=0)) > 0:
        raise ValueError(
            f"box {shown(box.tolist())} overlaps none of the {len(boxes_Q4)} regions that are "
            f"looked at in {picture.name}, which is {picture.width} x {picture.height}: give a "
            "larger box"
        )
    return shares_Q
