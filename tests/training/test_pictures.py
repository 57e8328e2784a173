"""Pictures of a batch: true boxes in white, predictions in colour with their words."""

from __future__ import annotations

import dataclasses

import torch
from PIL import ImageColor

from omnidet.data.vocabulary_growth import extend
from omnidet.schema import Record
from omnidet.training import pictures
from tests import toys


def test_predictions_and_true_boxes_are_drawn():
    batch = toys.batch()
    batch = dataclasses.replace(batch, images_BCHW=torch.full_like(batch.images_BCHW, 100))
    predictions = toys.predictions(batch, toys.leaves())
    scores_BQL = torch.full_like(predictions.scores_BQL, -9.0)
    scores_BQL[0, 4, 1] = 3.0
    boxes_BQ4 = predictions.boxes_cxcywh_BQ4.detach().clone()
    boxes_BQ4[0, 4] = torch.tensor([0.5, 0.5, 0.5, 0.5])
    predictions = dataclasses.replace(
        predictions, scores_BQL=scores_BQL, boxes_cxcywh_BQ4=boxes_BQ4
    )
    drawn = pictures.draw(batch, predictions, toys.toy_vocabulary(), count=2)
    assert [picture.shape for picture in drawn] == [(320, 320, 3)] * 2
    colour = list(ImageColor.getrgb("hsl(137, 90%, 45%)"))  # of phrase 1
    assert drawn[0][160, 80].tolist() == colour
    assert drawn[0][96, 64].tolist() == [255, 255, 255]  # left side of the first true box
    assert not (drawn[1] == colour).all(-1).any()
    assert (drawn[1][40:280] == 255).all(-1).any()


def test_without_true_boxes_nothing_is_drawn():
    batch = toys.select(toys.batch(), [3, 4])
    predictions, vocabulary = toys.predictions(batch, toys.leaves(2)), toys.toy_vocabulary()
    assert pictures.draw(batch, predictions, vocabulary) == []
    batch = dataclasses.replace(batch, box_valid_BN=batch.box_valid_BN[:, :0])
    assert pictures.draw(batch, predictions, vocabulary) == []


def test_words_of_a_phrase():
    batch, vocabulary = toys.batch(), toys.toy_vocabulary()
    assert sorted(pictures.words(batch.phrases, 0, vocabulary).split()) == ["red", "star"]
    assert "(circle)" in pictures.words(batch.phrases, 3, vocabulary)


def test_words_of_a_vocabulary_that_has_grown():
    record = Record(b"", 9, 9, source="", image_id="", phrases=("xylophone",))
    grown, new = extend(toys.toy_vocabulary(), [record])
    assert new == ("xylophone",)
    table = grown.table(["xylophone left of circle"])
    assert sorted(pictures.words(table, 0, grown).split()) == ["(circle)", "left", "xylophone"]
