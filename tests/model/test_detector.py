"""The detector's forward pass on a batch of all streams."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from omnidet.model.detector import Detector, ModelConfig
from omnidet.model.vit import PretrainedConfig
from omnidet.training.loop import autocast
from tests import toys


def test_scores_are_those_of_the_label_space_of_each_image():
    detector, batch = toys.toy_detector(), toys.batch()
    with torch.no_grad():
        predictions = detector(batch)
    weights = toys.dense(batch.phrases, toys.toy_vocabulary().num_tokens)
    logits_BQT = predictions.embeddings_BQD @ detector.tokens.embeddings.T + detector.tokens.biases
    every_BQP = logits_BQT @ weights.T
    for b, names in enumerate(batch.name_BL.tolist()):
        for column, p in enumerate(names):
            if p >= 0:
                torch.testing.assert_close(predictions.scores_BQL[b, :, column], every_BQP[b, :, p], atol=1e-5, rtol=1e-5)


def test_scores_do_not_depend_on_the_other_images_of_the_batch():
    detector, batch = toys.toy_detector(), toys.batch()
    with torch.no_grad():
        together, alone = detector(batch), detector(toys.select(batch, [2]))
    torch.testing.assert_close(together.scores_BQL[2:3], alone.scores_BQL, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.boxes_cxcywh_BQ4[2:3], alone.boxes_cxcywh_BQ4, atol=1e-5, rtol=1e-5)


def test_shapes():
    predictions = toys.toy_detector()(toys.batch())
    assert predictions.embeddings_BQD.shape == (5, 16, 16)
    assert predictions.boxes_cxcywh_BQ4.shape == (5, 16, 4)
    assert predictions.image_embeddings_BD.shape == (5, 16)
    assert predictions.scores_BQL.shape == (5, 16, 3)
    assert predictions.phrase_embeddings_PD.shape == (7, 16)


def test_a_batch_without_a_name_passes():
    batch = toys.select(toys.batch(), [3, 4])
    empty = dataclasses.replace(
        batch,
        name_BL=batch.name_BL[:, :0],
        negative_BL=batch.negative_BL[:, :0],
        boxes_cxcywh_BN4=batch.boxes_cxcywh_BN4[:, :0],
        box_valid_BN=batch.box_valid_BN[:, :0],
        named_BNL=batch.named_BNL[:, :0, :0],
    )
    assert toys.toy_detector()(empty).scores_BQL.shape == (2, 16, 0)


def test_bfloat16_keeps_boxes_and_scores_in_single_precision():
    detector, batch = toys.toy_detector(), toys.batch()
    with torch.no_grad():
        exact = detector(batch)
        with autocast(torch.device("cpu"), "bfloat16"):
            half = detector(batch)
    for field in dataclasses.fields(half):
        assert getattr(half, field.name).dtype == torch.float32, field.name
    # Backbone and embedding are in half precision, what is made of them is not: the difference is small, and there is one.
    torch.testing.assert_close(half.boxes_cxcywh_BQ4, exact.boxes_cxcywh_BQ4, atol=0.02, rtol=0)
    assert not torch.equal(half.embeddings_BQD, exact.embeddings_BQD)
    weights = toys.dense(batch.phrases, toys.toy_vocabulary().num_tokens)
    logits = half.embeddings_BQD[0] @ detector.tokens.embeddings.T + detector.tokens.biases
    torch.testing.assert_close(half.scores_BQL[0], (logits @ weights[batch.name_BL[0]].T).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_vit_b_16_has_86_million_parameters_and_one_query_a_patch():
    detector = Detector(ModelConfig(64, PretrainedConfig(weights="random"), 256), toys.toy_vocabulary().num_tokens)
    assert detector.num_parameters()["backbone"] == pytest.approx(85.8e6, rel=0.01)
    with torch.no_grad():
        predictions = detector.eval()(toys.batch())
    assert predictions.embeddings_BQD.shape == (5, 16, 256)
