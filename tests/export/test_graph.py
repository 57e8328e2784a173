from __future__ import annotations

import numpy as np
import pytest
import torch

from omnidet.export.graph import AnyWords, FoldedWords, program
from omnidet.inference.detector import OmniDet
from tests import toys

PHRASES = ("red star", "blue circle")


@pytest.fixture(scope="module")
def asked():
    detector = toys.toy_detector()
    omnidet = OmniDet(detector, toys.toy_vocabulary(), {"names": list(toys.NAMES)})
    prompt = omnidet.prompt(PHRASES)
    return omnidet, prompt.rows_PD.clone(), prompt.biases_P.clone()


@torch.no_grad()
def test_both_graphs_score_as_the_detector_does(asked):
    omnidet, rows, biases = asked
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    images = torch.from_numpy(picture).permute(2, 0, 1)[None]
    any_words = AnyWords(omnidet.detector)(images, rows, biases)
    folded = FoldedWords(omnidet.detector, rows, biases)(images)
    torch.testing.assert_close(any_words[:2], folded)
    found = omnidet.detect(picture, PHRASES, 32)
    best = np.sort(folded[1].numpy().ravel())[::-1]
    np.testing.assert_allclose(found.scores, best, atol=1e-6)
    corners = folded[0][0].numpy() * 64
    nearest = np.abs(corners[:, None] - found.boxes_xyxy).max(2).min(0)
    assert (nearest < 2e-3).all() or (found.boxes_xyxy % 64 == 0).any()  # clipped at the border


def test_folded_words_leave_the_token_table_behind(asked):
    omnidet, rows, biases = asked
    keys = FoldedWords(omnidet.detector, rows, biases).state_dict()
    assert not [key for key in keys if key.startswith("tokens")]
    assert "rows_PD" in keys


def test_a_program_takes_other_numbers_of_images_and_words(asked):
    omnidet, rows, biases = asked
    graph = AnyWords(omnidet.detector).eval()
    module = program(graph, (64, 64), any_size=False).module()
    images = torch.zeros(5, 3, 64, 64, dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(
            module(images, rows[:1], biases[:1]), graph(images, rows[:1], biases[:1])
        )
