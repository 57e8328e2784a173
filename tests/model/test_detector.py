"""The detector's forward pass on a batch of all streams."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from omnidet.losses.caption import caption
from omnidet.losses.token_alignment import token_alignment
from omnidet.model.backbones.timm_vit import TimmVit
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.recipes.recipe import LOSSES
from omnidet.schema import Matches
from omnidet.training import optimizer
from omnidet.training.config import OptimizerConfig
from omnidet.training.loop import autocast
from omnidet.training.objective import resolve
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
                torch.testing.assert_close(
                    predictions.scores_BQL[b, :, column], every_BQP[b, :, p], atol=1e-5, rtol=1e-5
                )


def test_scores_do_not_depend_on_the_other_images_of_the_batch():
    detector, batch = toys.toy_detector(), toys.batch()
    with torch.no_grad():
        together, alone = detector(batch), detector(toys.select(batch, [2]))
    torch.testing.assert_close(together.scores_BQL[2:3], alone.scores_BQL, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        together.boxes_cxcywh_BQ4[2:3], alone.boxes_cxcywh_BQ4, atol=1e-5, rtol=1e-5
    )


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
        value = getattr(half, field.name)
        assert not isinstance(value, torch.Tensor) or value.dtype == torch.float32, field.name
    # Backbone and embedding layer are in half precision and what follows is not, so the difference
    # is small but not zero.
    torch.testing.assert_close(half.boxes_cxcywh_BQ4, exact.boxes_cxcywh_BQ4, atol=0.02, rtol=0)
    assert not torch.equal(half.embeddings_BQD, exact.embeddings_BQD)
    weights = toys.dense(batch.phrases, toys.toy_vocabulary().num_tokens)
    logits = half.embeddings_BQD[0] @ detector.tokens.embeddings.T + detector.tokens.biases
    torch.testing.assert_close(
        half.scores_BQL[0], (logits @ weights[batch.name_BL[0]].T).detach(), atol=1e-5, rtol=1e-5
    )


def _calibrated() -> Detector:
    torch.manual_seed(0)
    detector = Detector(
        dataclasses.replace(toys.MODEL, calibrated_streams=3), toys.toy_vocabulary().num_tokens
    )
    detector.load_state_dict(toys.toy_detector().state_dict(), strict=False)
    return detector.eval()


def test_before_training_calibration_changes_nothing():
    plain, calibrated = toys.toy_detector()(toys.batch()), _calibrated()(toys.batch())
    assert torch.equal(plain.scores_BQL, calibrated.scores_BQL)
    matches = Matches(*(torch.tensor(part) for part in ([0, 2], [3, 5], [0, 0])))
    for weighted in resolve(LOSSES):
        terms = [weighted.function(of, toys.batch(), matches).total_S for of in (plain, calibrated)]
        assert torch.equal(*terms), weighted.name


def test_each_stream_has_a_temperature_and_a_bias_and_inference_uses_the_first():
    plain, calibrated, batch = toys.toy_detector(), _calibrated(), toys.batch()
    with torch.no_grad():
        calibrated.head.calibration.log_temperatures.copy_(torch.tensor([2.0, 0.5, 3.0]).log())
        calibrated.head.calibration.biases.copy_(torch.tensor([0.3, -0.2, 0.1]))
        temperature, bias = (
            batch.stream_BS @ torch.tensor([[2.0, 0.3], [0.5, -0.2], [3.0, 0.1]])
        ).T[..., None, None]
        torch.testing.assert_close(
            calibrated(batch).scores_BQL, plain(batch).scores_BQL * temperature + bias
        )
        rows, biases = plain.phrases(batch.phrases)
        own_rows, own_biases = calibrated.phrases(batch.phrases)
    torch.testing.assert_close(own_rows, 2 * rows)
    torch.testing.assert_close(own_biases, 2 * biases + 0.3)


def test_token_losses_are_cross_entropies_of_the_scaled_token_logits():
    """A common temperature keeps the losses' floor at 0, and a common bias changes nothing."""
    detector, batch = _calibrated(), toys.batch()
    matches = Matches(*(torch.tensor(part) for part in ([2], [5], [0])))
    with torch.no_grad():
        detector.head.calibration.biases.fill_(5.0)
        plain, biased = toys.toy_detector()(batch), detector(batch)
        for loss in (token_alignment, caption):
            torch.testing.assert_close(
                loss(plain, batch, matches).total_S, loss(biased, batch, matches).total_S
            )
        # All tokens get the same share: the loss is the log of their number less the entropy.
        detector.head.calibration.log_temperatures.fill_(-50.0)
        flat = detector(batch)
        tokens, entropy = torch.tensor(float(len(detector.tokens.biases))), batch.phrases.entropy()
        share = batch.named_BNL[2, 0].float()
        expected = (
            tokens.log() - (share * entropy[batch.name_BL[2].clamp(min=0)]).sum() / share.sum()
        )
        torch.testing.assert_close(token_alignment(flat, batch, matches).total_S.sum(), expected)
        captions = batch.caption_B[batch.caption_B >= 0]
        torch.testing.assert_close(
            caption(flat, batch, matches).total_S.sum(), (tokens.log() - entropy[captions]).sum()
        )


def test_calibration_is_trained_and_refuses_another_number_of_streams():
    detector, batch = _calibrated(), toys.batch()
    detector(batch).scores_BQL.square().sum().backward()
    assert (detector.head.calibration.biases.grad[:2] != 0).all()
    trained = {
        id(p)
        for group in optimizer.build(detector, OptimizerConfig()).param_groups
        for p in group["params"]
    }
    assert trained == {id(p) for p in detector.parameters()}
    with pytest.raises(ValueError, match=r"model\.calibrated_streams=3.*2 streams"):
        detector(dataclasses.replace(batch, stream_BS=batch.stream_BS[:, :2]))


@pytest.mark.slow
def test_vit_b_16_has_86_million_parameters_and_one_region_per_patch():
    detector = Detector(
        ModelConfig(64, TimmVit(weights="random"), 256), toys.toy_vocabulary().num_tokens
    )
    assert detector.num_parameters()["backbone"] == pytest.approx(85.8e6, rel=0.01)
    with torch.no_grad():
        predictions = detector.eval()(toys.batch())
    assert predictions.embeddings_BQD.shape == (5, 16, 256)
