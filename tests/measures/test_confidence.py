"""Scores fitted on held-out pictures are the share of regions that are right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from omnidet.evaluation.calibration import calibrate
from omnidet.inference.detector import OmniDet
from omnidet.measures import confidence
from omnidet.model.confidence import Confidence, Line, shapes
from omnidet.schema import Record
from tests import toys

BOX = np.array([[10, 10, 30, 30]], np.float32)
AWAY = np.array([40, 40, 60, 60], np.float32)


class Known(OmniDet):
    """Regions of known logits: the first of a picture is on the box in as many cases as
    sigmoid(3 * logit + 1 + what the kind of phrase adds) says.
    """

    def __init__(self, offset: float = 0.0):
        super().__init__(toys.toy_detector(), toys.toy_vocabulary(), {})
        self.offset = offset

    def regions(self, images):
        found = []
        width = self.detector.tokens.embeddings.shape[1]
        for image in images:
            random = np.random.default_rng(int(image))
            logit = random.normal(0, 1)
            right = random.random() < 1 / (1 + np.exp(-(3 * logit + 1 + self.offset)))
            boxes = np.stack([BOX[0] if right else AWAY, AWAY])
            embedding = torch.zeros(2, width)
            embedding[:, 0] = torch.tensor([logit, -20.0])
            found.append((boxes, embedding))
        return found

    def prompt(self, phrases):
        rows = torch.zeros(len(phrases), self.detector.tokens.embeddings.shape[1])
        rows[:, 0] = 1
        return dataclasses.replace(
            super().prompt(phrases), rows_PD=rows, biases_P=torch.zeros(len(phrases))
        )


def pictures(count, phrase="star", absent=()):
    return [
        Record(str(i).encode(), 64, 64, "toy", f"toy:{i}", BOX, (phrase,), ((0,),), absent)
        for i in range(count)
    ]


def test_the_line_is_the_one_that_the_scores_follow():
    found = confidence.fit(Known(), pictures(3000))
    assert (found.images, found.boxes) == (3000, 3000)
    assert found.asked.scale == pytest.approx(3, abs=0.4)
    assert found.asked.offset == pytest.approx(1, abs=0.25)
    assert found.present == found.asked  # one region of each picture counts in both
    random = np.random.default_rng(7)
    logits = random.normal(0, 1, 20_000)
    right = random.random(20_000) < 1 / (1 + np.exp(-(3 * logits + 1)))
    scores = 1 / (1 + np.exp(-(found.asked.scale * logits + found.asked.offset)))
    before = calibrate(1 / (1 + np.exp(-logits)), right, 0.1).error
    assert calibrate(scores, right, 0.1).error < 0.03 < before


def test_the_threshold_is_where_f1_is_best():
    found = confidence.fit(Known(), pictures(3000))
    # Of a calibrated detector, F1 is best at half of what it reaches there.
    assert 0.25 < found.threshold < 0.5
    assert round(found.threshold, 2) == found.threshold


def test_the_threshold_knows_that_people_ask_for_what_is_not_there():
    """Pictures that list no absent names are asked for what others show; scores stay."""
    alone = confidence.fit(Known(), pictures(2000))
    turns = [pictures(2000), pictures(2000, "ring")]
    both = confidence.fit(Known(), [turns[i % 2][i] for i in range(2000)])
    assert both.asked == alone.asked
    assert both.present == alone.present
    assert both.boxes == alone.boxes
    assert both.threshold > alone.threshold + 0.1


def test_pictures_without_absent_names_count_for_the_threshold():
    """Names with absent ones among them are not all that people ask for."""
    closed = pictures(1500, absent=("moon",))
    opened = [
        dataclasses.replace(one, image=str(i + 9000).encode())
        for i, one in enumerate(pictures(1500))
    ]
    alone, both = (confidence.fit(Mixed(), some) for some in (closed, [*closed, *opened]))
    assert both.threshold < alone.threshold - 0.02


def test_pictures_without_absent_names_have_an_offset_that_is_left_out():
    """They are asked only for what they show: at the same logit more is right."""
    closed = [
        dataclasses.replace(one, absent=("moon",)) for one in pictures(3000, absent=("moon",))
    ]
    alone = confidence.fit(Known(), closed)
    opened = [
        dataclasses.replace(one, image=str(i + 9000).encode())
        for i, one in enumerate(pictures(3000))
    ]
    both = confidence.fit(Mixed(), [*closed, *opened])
    assert both.asked.offset == pytest.approx(alone.asked.offset, abs=0.3)


class Mixed(Known):
    def regions(self, images):
        found = []
        for image in images:
            self.offset = 2.0 if int(image) >= 9000 else 0.0
            found += super().regions([image])
        return found


def test_phrases_with_a_relation_have_an_offset_of_their_own():
    records = pictures(2000)
    for i, one in enumerate(pictures(2000, "star left of circle")):
        records.append(dataclasses.replace(one, image=str(i + 9000).encode()))
    found = confidence.fit(Mixed(), records)
    words = toys.toy_vocabulary()
    plain, relation = found.asked.offsets(shapes(words, ("star", "star left of circle")))
    assert relation - plain == pytest.approx(2, abs=0.5)


def test_relations_are_scored_as_those_that_are_asked_for_in_vain_too():
    """Of both phrases that each picture is asked for one is there: half as many boxes are right."""
    phrases = ("star left of circle", "ring left of circle")
    turns = [pictures(2000, phrase) for phrase in phrases]
    found = confidence.fit(Known(), [turns[i % 2][i] for i in range(2000)])
    (offset, _) = found.asked.offsets(shapes(toys.toy_vocabulary(), phrases))
    logits = np.random.default_rng(3).normal(0, 1, 20_000)
    scores = 1 / (1 + np.exp(-(found.asked.scale * logits + offset)))
    right = 1 / (1 + np.exp(-(3 * logits + 1)))
    assert scores.mean() == pytest.approx(right.mean() / 2, abs=0.03)


def test_a_second_box_on_a_thing_is_wrong():
    boxes = np.array([BOX[0], BOX[0] + 1, AWAY], np.float32)
    assert confidence._right(boxes, BOX).tolist() == [True, False, False]
    assert confidence._right(boxes, np.zeros((0, 4), np.float32)).tolist() == [False] * 3


def test_names_that_are_not_exhaustive_teach_nothing():
    open_names = [dataclasses.replace(r, not_exhaustive=("star",)) for r in pictures(100)]
    assert confidence.fit(Known(), open_names) == Confidence()


def test_too_little_is_no_fit():
    assert confidence.fit(Known(), []) == Confidence()
    assert confidence.fit(Known(), pictures(confidence.LEAST_BOXES - 1)) == Confidence()
    assert confidence.fit(Known(), pictures(confidence.LEAST_BOXES)) != Confidence()


def test_a_real_detector_is_fitted_and_keeps_its_ranking():
    detector, vocabulary = toys.toy_detector(), toys.toy_vocabulary()
    records = toys.records(8) * 6
    found = confidence.fit(OmniDet(detector, vocabulary, {}), records)
    if found == Confidence():  # an untrained detector may have nothing right
        found = Confidence(Line(2.0, 0.5, -1.0, 3.0), Line(1.5, 2.0), 0.42, 1, 1)
    plain, fitted = (OmniDet(detector, vocabulary, c) for c in ({}, found.to_config()))
    image = records[0].image
    for phrase in ("star", "red star left of circle"):
        before, after = (one.detect(image, [phrase], 16) for one in (plain, fitted))
        np.testing.assert_array_equal(before.boxes_xyxy, after.boxes_xyxy)
        assert not np.allclose(before.scores, after.scores)
