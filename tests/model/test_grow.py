"""A detector that gets new words scores what it knew as before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omnidet import config
from omnidet.data import vocabulary, vocabulary_growth
from omnidet.data.vocabulary import VocabularyConfig
from omnidet.inference.detector import OmniDet
from omnidet.model import grow
from omnidet.model.detector import Detector
from omnidet.model.heads import PRIOR_BIAS
from omnidet.schema import Record
from tests import toys


def test_every_phrase_scores_as_before():
    old, trained = toys.toy_vocabulary(), toys.toy_detector()
    new, words = vocabulary_growth.extend(
        old, [Record(b"", 1, 1, "toy", "toy:1", phrases=("quasar", "zyx cell"))]
    )
    assert words == ("cell", "quasar", "zyx")
    torch.manual_seed(1)
    detector = Detector(trained.config, new.num_tokens)
    grow.load_grown(detector, trained, old, new)
    assert torch.equal(detector.tokens.embeddings[: old.num_tokens], trained.tokens.embeddings)
    image = toys.png(64, 64, [(5, 5, 30, 30)])
    phrases = ["red star", "zyx", "quasar cell", "star left of zyx", "cell zyx", "red circle"]
    for before, now in zip(
        OmniDet(trained, old, {}).locate(image, phrases, 16),
        OmniDet(detector, new, {}).locate(image, phrases, 16),
        strict=True,
    ):
        np.testing.assert_allclose(now[1], before[1], atol=1e-6)


def test_a_word_whose_parts_no_training_text_had_starts_at_the_prior():
    old, trained = toys.toy_vocabulary(), toys.toy_detector()
    new, _ = vocabulary_growth.extend(old, [Record(b"", 1, 1, "toy", "toy:1", phrases=("quasar",))])
    parts = old.own_T[old.tokenizer.encode("quasar").ids]
    with torch.no_grad():
        trained.tokens.biases[parts] = PRIOR_BIAS
    detector = Detector(trained.config, new.num_tokens)
    grow.load_grown(detector, trained, old, new)
    own, context = int(new.own_T[-1]), int(new.context_T[-1])
    assert not detector.tokens.embeddings[own].any()
    assert detector.tokens.biases[own].item() == pytest.approx(PRIOR_BIAS)
    assert detector.tokens.embeddings[context].any()


@pytest.mark.parametrize("count", [1, 4])
def test_a_new_stream_starts_as_the_first(count):
    old, trained = (
        toys.toy_vocabulary(),
        toys.toy_detector(model=config.override(toys.MODEL, "calibrated_streams=2")),
    )
    with torch.no_grad():
        trained.head.calibration.log_temperatures.copy_(torch.tensor([0.5, -1.0]))
        trained.head.calibration.biases.copy_(torch.tensor([0.25, 2.0]))
    detector = Detector(
        config.override(trained.config, f"calibrated_streams={count}"), old.num_tokens
    )
    grow.load_grown(detector, trained, old, old)
    assert detector.head.calibration.log_temperatures.tolist() == [0.5, -1.0, 0.5, 0.5][:count]
    assert detector.head.calibration.biases.tolist() == [0.25, 2.0, 0.25, 0.25][:count]
    assert detector.tokens.embeddings.equal(trained.tokens.embeddings)


def test_another_detector_or_vocabulary_is_refused():
    old, trained = toys.toy_vocabulary(), toys.toy_detector()
    other = vocabulary.build(
        [Record(b"", 1, 1, "toy", "toy:1", phrases=("some", "other words"))],
        VocabularyConfig(size=300),
    )
    with pytest.raises(ValueError, match="does not extend"):
        grow.load_grown(Detector(trained.config, other.num_tokens), trained, old, other)
    wider = Detector(config.override(trained.config, "embedding_width=24"), old.num_tokens)
    with pytest.raises(ValueError, match=r"keep model\.\* as it was"):
        grow.load_grown(wider, trained, old, old)
