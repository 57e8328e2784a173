"""Each detection beside the true boxes: right or wrong, and of which kind it is wrong.

    annotation file + detections --judge--> Verdicts --precision--> precision at each recall, by category

The official tools keep only sums; here every single detection stays known, so that mistakes can be counted and shown.
Matching is that of pycocotools and, where the file is federated, of lvis; tests hold it to their numbers.

Shape suffixes: D judged detections by falling score, T overlaps, G true boxes, C categories, R recalls.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
BACKGROUND = 0.1
"""Overlap up to which a detection lies on nothing that is annotated."""
KINDS = ("localisation", "confusion", "duplicate", "background", "both")
"""Why a detection is wrong at overlap .5, asked in this order: it overlaps a box of its category by at least .1 and less than
.5 (localisation); a box of another category by at least .5 (confusion); a box of its category that a better detection has
(duplicate); no box by more than .1 (background); else it is wrong in name and place (both).
The kinds and their order are those of TIDE: Bolya et al., ECCV 2020, github.com/dbolya/tide, `quantify.py`."""
MAX_DETECTIONS = {False: 100, True: 300}
"""How many count: of an image and category (COCO), of an image (a federated file)."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What became of every detection and of every true box."""

    categories: tuple[Mapping[str, Any], ...]
    """(C) as the annotation file has them, by id."""
    num_true_C: Ints
    """True boxes that count."""
    score_D: Floats
    image_D: Ints
    """Image ids."""
    category_D: Ints
    """Index into `categories`, as everywhere here."""
    boxes_D4: Floats
    """x, y, width, height in pixels."""
    found_TD: Bools
    """Whether the detection found a true box."""
    ignored_TD: Bools
    """Whether it counts neither for nor against: on a crowd, or of a category that the image does not list in full."""
    kind_D: npt.NDArray[np.int8]
    """Index into `KINDS`; -1 where it is right or ignored at overlap .5."""
    meant_D: Ints
    """Index (G) of the true box that a better box (localisation) or another name (confusion) would have found, else -1."""
    true_image_G: Ints
    true_category_G: Ints
    true_size_G: Floats
    """Area in pixels as the file has it."""
    true_score_G: Floats
    """Score of the detection that found the box at overlap .5, -inf where none did."""


@dataclass(frozen=True, eq=False)
class _Image:
    """The true boxes of an image and what is known of its categories."""

    boxes_G4: Floats
    category_G: Ints
    size_G: Floats
    crowd_G: Bools
    ignored_G: Bools
    judged: frozenset[int] | None
    """Categories of which presence or absence is known; None if of all."""
    not_exhaustive: frozenset[int]


def judge(dataset: Mapping[str, Any], detections: Iterable[Mapping[str, Any]]) -> Verdicts:
    """Judge detections as the official tools do.

    Args:
        dataset: content of a COCO or LVIS annotation file; federated if its images list `neg_category_ids`.
        detections: rows of `image_id`, `category_id`, `bbox` and `score`, of any number; the best 100 of an image and
            category count, or 300 of an image in a federated file.

    Raises:
        ValueError: for a row that is no detection, or whose image or category is not in the file.
    """
    categories = sorted(dataset["categories"], key=lambda c: c["id"])
    index = {c["id"]: i for i, c in enumerate(categories)}
    images = _images(dataset, index)
    federated = any("neg_category_ids" in image for image in dataset["images"])
    found = _Columns.of(detections, images, index).best(federated)
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    true_parts: list[tuple[npt.NDArray[Any], ...]] = []
    num_counted = 0
    for image_id in sorted(images):
        truth, own = images[image_id], found.of_image(image_id)
        if truth.judged is not None:
            own = own.where(np.isin(own.category_D, list(truth.judged)))
        overlap_DG = _overlaps(own.boxes_D4, truth)
        same_DG = own.category_D[:, None] == truth.category_G
        found_TD, ignored_TD, finder_G = _match(overlap_DG, same_DG, truth)
        ignored_TD |= ~found_TD & np.isin(own.category_D, list(truth.not_exhaustive))
        kind_D, meant_D = _kinds(overlap_DG, same_DG, truth)
        kind_D[found_TD[0] | ignored_TD[0]] = -1
        counted = ~truth.ignored_G
        is_near_D = (kind_D == KINDS.index("localisation")) | (kind_D == KINDS.index("confusion"))
        meant_D = np.where(
            is_near_D, np.append(num_counted + np.cumsum(counted) - 1, -1)[meant_D], -1
        )
        num_counted += int(counted.sum())
        parts.append(
            (
                own.score_D,
                own.image_D,
                own.category_D,
                own.boxes_D4,
                found_TD.T,
                ignored_TD.T,
                kind_D,
                meant_D,
            )
        )
        true_score_G = np.where(finder_G >= 0, np.append(own.score_D, 0.0)[finder_G], -np.inf)
        ids_G = np.full(len(counted), image_id)
        true_parts.append(
            tuple(v[counted] for v in (ids_G, truth.category_G, truth.size_G, true_score_G))
        )
    score, image, category, boxes, found_DT, ignored_DT, kind, meant = (
        np.concatenate(v) for v in zip(*parts, strict=True)
    )
    true_image, true_category, true_size, true_score = (
        np.concatenate(v) for v in zip(*true_parts, strict=True)
    )
    order = np.argsort(
        -score, kind="stable"
    )  # of equal scores the first image stands first, as in the official tools
    return Verdicts(
        categories=tuple(categories),
        num_true_C=np.bincount(true_category, minlength=len(categories)),
        score_D=score[order],
        image_D=image[order],
        category_D=category[order],
        boxes_D4=boxes[order],
        found_TD=found_DT[order].T & ~ignored_DT[order].T,
        ignored_TD=ignored_DT[order].T,
        kind_D=kind[order],
        meant_D=meant[order],
        true_image_G=true_image,
        true_category_G=true_category,
        true_size_G=true_size,
        true_score_G=true_score,
    )


def precision(verdicts: Verdicts, overlap: int) -> Floats:
    """Precision (R, C) at each of `RECALLS`, by category, as the official tools interpolate it; nan without a true box.

    Args:
        overlap: index into `OVERLAPS`.
    """
    counts_D = ~verdicts.ignored_TD[overlap]
    return curves(
        verdicts.category_D[counts_D], verdicts.found_TD[overlap][counts_D], verdicts.num_true_C
    )


def curves(category_D: Ints, found_D: Bools, num_true_C: Ints) -> Floats:
    """The same of any detections, by falling score."""
    by_category = np.argsort(category_D, kind="stable")
    ends = np.searchsorted(category_D[by_category], np.arange(len(num_true_C) + 1))
    precision_RC = np.full((len(RECALLS), len(num_true_C)), np.nan)
    for c, num_true in enumerate(num_true_C):
        if num_true:
            right = np.cumsum(found_D[by_category[ends[c] : ends[c + 1]]])
            shares = right / np.arange(1, len(right) + 1)
            best = np.maximum.accumulate(shares[::-1])[::-1]
            place = np.searchsorted(right / num_true, RECALLS, side="left")
            precision_RC[:, c] = np.append(best, 0.0)[np.minimum(place, len(best))]
    return precision_RC


@dataclass(frozen=True, eq=False)
class _Columns:
    """Detections as arrays, by image and falling score."""

    image_D: Ints
    category_D: Ints
    boxes_D4: Floats
    score_D: Floats

    @classmethod
    def of(
        cls,
        rows: Iterable[Mapping[str, Any]],
        images: Mapping[int, _Image],
        index: Mapping[int, int],
    ) -> _Columns:
        image, category, box, score = array("q"), array("q"), array("d"), array("d")
        for number, row in enumerate(
            rows
        ):  # one by one: millions of rows are small as columns and large as dictionaries
            try:
                if row["image_id"] not in images or row["category_id"] not in index:
                    raise ValueError(
                        f"its image {row['image_id']} or category {row['category_id']} is not in the ground truth"
                    )
                x, y, width, height = row["bbox"]
                image.append(row["image_id"])
                category.append(index[row["category_id"]])
                box.extend((x, y, width, height))
                score.append(row["score"])
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"detection {number} cannot be judged ({_reason(error)}): evaluate the model again"
                ) from error
        columns = cls(
            np.array(image), np.array(category), np.array(box).reshape(-1, 4), np.array(score)
        )
        if not (np.isfinite(columns.score_D).all() and np.isfinite(columns.boxes_D4).all()):
            raise ValueError(
                "a score or box of the detections is not finite: the model diverged, use an earlier checkpoint"
            )
        return columns.where(np.lexsort([-columns.score_D, columns.image_D]))

    def where(self, chosen: npt.NDArray[Any]) -> _Columns:
        return _Columns(
            self.image_D[chosen],
            self.category_D[chosen],
            self.boxes_D4[chosen],
            self.score_D[chosen],
        )

    def best(self, federated: bool) -> _Columns:
        """Those that count: so many of an image, or of an image and category."""
        group_D = (
            self.image_D
            if federated
            else self.image_D * (int(self.category_D.max(initial=0)) + 1) + self.category_D
        )
        order = np.argsort(group_D, kind="stable")
        starts = np.flatnonzero(np.diff(group_D[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        return self.where(np.sort(order[rank < MAX_DETECTIONS[federated]]))

    def of_image(self, image_id: int) -> _Columns:
        first, last = np.searchsorted(self.image_D, [image_id, image_id + 1])
        return self.where(np.arange(first, last))


def _reason(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def _images(dataset: Mapping[str, Any], index: Mapping[int, int]) -> dict[int, _Image]:
    annotations: dict[int, list[Mapping[str, Any]]] = {
        image["id"]: [] for image in dataset["images"]
    }
    for annotation in dataset["annotations"]:
        if annotation["image_id"] in annotations:
            annotations[annotation["image_id"]].append(annotation)
    images = {}
    for image in dataset["images"]:
        own = annotations[image["id"]]
        crowd = np.array([bool(a.get("iscrowd", 0)) for a in own], np.bool_)
        judged = None
        if "neg_category_ids" in image:
            judged = frozenset(
                index[i] for i in (*image["neg_category_ids"], *(a["category_id"] for a in own))
            )
        images[image["id"]] = _Image(
            boxes_G4=np.array([a["bbox"] for a in own], np.float64).reshape(-1, 4),
            category_G=np.array([index[a["category_id"]] for a in own], np.int64),
            size_G=np.array([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in own], np.float64),
            crowd_G=crowd,
            ignored_G=crowd | np.array([bool(a.get("ignore", 0)) for a in own], np.bool_)
            if judged is not None
            else crowd,
            judged=judged,
            not_exhaustive=frozenset(
                index[i] for i in image.get("not_exhaustive_category_ids", ())
            ),
        )
    return images


def _overlaps(boxes_D4: Floats, truth: _Image) -> Floats:
    """IoU (D, G); with a crowd the share of the detection that lies on it."""
    if not len(boxes_D4) or not len(truth.boxes_G4):
        return np.zeros((len(boxes_D4), len(truth.boxes_G4)))
    return np.asarray(
        mask.iou(boxes_D4, truth.boxes_G4, truth.crowd_G.astype(np.uint8)), np.float64
    )


def _match(overlap_DG: Floats, same_DG: Bools, truth: _Image) -> tuple[Bools, Bools, Ints]:
    """Greedy matching by falling score: found (T, D), ignored (T, D), and which detection found each box at overlap .5."""
    num_found, num_true = overlap_DG.shape
    found_TD = np.zeros((len(OVERLAPS), num_found), np.bool_)
    ignored_TD = np.zeros_like(found_TD)
    taken_TG = np.zeros((len(OVERLAPS), num_true), np.bool_)
    finder_G = np.full(num_true, -1)
    near_DG = same_DG & (overlap_DG >= OVERLAPS[0])
    for d in np.flatnonzero(near_DG.any(1)):
        near = np.flatnonzero(near_DG[d])[
            ::-1
        ]  # of equal overlaps the last box is taken, as in the official tools
        overlap_N = overlap_DG[d, near]
        free_TN = (~taken_TG[:, near] | truth.crowd_G[near]) & (overlap_N >= OVERLAPS[:, None])
        for ignored in (False, True):  # an ignored box is taken only where no other is left
            fits_TN = free_TN & (truth.ignored_G[near] == ignored)
            hit = np.flatnonzero(fits_TN.any(1) & ~found_TD[:, d])
            chosen = (
                near[np.where(fits_TN[hit], overlap_N, -1.0).argmax(1)] if len(hit) else near[:0]
            )
            taken_TG[hit, chosen] = True
            found_TD[hit, d] = True
            ignored_TD[hit, d] = ignored
            if len(hit) and hit[0] == 0 and finder_G[chosen[0]] < 0:
                finder_G[chosen[0]] = d
    return found_TD, ignored_TD, finder_G


def _kinds(overlap_DG: Floats, same_DG: Bools, truth: _Image) -> tuple[npt.NDArray[np.int8], Ints]:
    """What kind each detection is if it is wrong, and which true box it was meant for if that is localisation or confusion."""
    if not (~truth.ignored_G).any():
        nothing = len(overlap_DG)
        return np.full(nothing, KINDS.index("background"), np.int8), np.full(nothing, -1)
    overlap_DG = np.where(truth.ignored_G, 0.0, overlap_DG)
    own_DG, others_DG = np.where(same_DG, overlap_DG, 0.0), np.where(same_DG, 0.0, overlap_DG)
    own_D, other_D = own_DG.max(1), others_DG.max(1)
    conditions = [
        (own_D >= BACKGROUND) & (own_D < OVERLAPS[0]),
        other_D >= OVERLAPS[0],
        own_D >= OVERLAPS[0],
        np.maximum(own_D, other_D) <= BACKGROUND,
    ]
    kind_D = np.select(conditions, range(len(conditions)), len(conditions)).astype(np.int8)
    return kind_D, np.where(conditions[0], own_DG.argmax(1), others_DG.argmax(1))
