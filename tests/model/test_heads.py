"""The head: the score of a phrase, the prior boxes, independence from what else is asked."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from omnidet.model.heads import RegionHead, TokenTable
from tests import toys


def test_the_score_of_a_phrase_is_the_weighted_mean_of_its_token_logits():
    vocabulary = toys.toy_vocabulary()
    table = TokenTable(vocabulary.num_tokens, 8)
    torch.nn.init.normal_(table.biases)
    phrases = ("red star", "star left of circle", "ring")
    table.requires_grad_(False)
    rows, biases = table.phrases(vocabulary.table(phrases))
    region = torch.randn(8)
    for p, phrase in enumerate(phrases):
        ids, weights = vocabulary.encode(phrase)
        logits = [float(region @ table.embeddings[token] + table.biases[token]) for token in ids]
        by_hand = sum(w * logit for w, logit in zip(weights.tolist(), logits, strict=True))
        assert float(region @ rows[p] + biases[p]) == pytest.approx(by_hand, abs=1e-5)


def test_a_phrase_has_the_same_row_to_the_bit_alone_and_among_a_thousand():
    vocabulary = toys.toy_vocabulary()
    table = TokenTable(vocabulary.num_tokens, 192)
    thousand = [f"{a} {b} {c}" for a in toys.COLOURS for b in toys.SHAPES for c in range(63)][:1000]
    rows, biases = table.phrases(vocabulary.table(thousand))
    for p in (0, 1, 499, 999):
        row, bias = table.phrases(vocabulary.table([thousand[p]]))
        assert torch.equal(row[0], rows[p])
        assert torch.equal(bias[0], biases[p])


def test_the_next_gradient_reuses_the_memory_of_the_last_one():
    vocabulary = toys.toy_vocabulary()
    table, regions = TokenTable(vocabulary.num_tokens, 8), torch.randn(5, 8)

    def backward(phrases):
        rows, biases, log_partition = table.in_training(vocabulary.table(phrases))
        (rows.sin().sum() + biases.sum() + log_partition(regions).sum()).backward()
        return table.embeddings.grad.data_ptr()

    backward(["green ring"])
    table.zero_grad()
    backward(["red star"])
    expected = table.embeddings.grad.clone()
    table.zero_grad()
    place = backward(["green ring"])
    table.reuse_gradient()
    table.zero_grad()
    assert backward(["red star"]) == place
    assert torch.equal(table.embeddings.grad, expected)


def test_before_training_every_name_has_the_prior_score():
    table = TokenTable(toys.toy_vocabulary().num_tokens, 8)
    _, biases = table.phrases(toys.toy_vocabulary().table(["red star", "green ring"]))
    torch.testing.assert_close(biases.sigmoid(), torch.full((2,), 0.01))


def test_before_training_every_patch_predicts_a_box_around_itself():
    rows, columns = 2, 4
    _, boxes, _ = RegionHead(16, 8)(torch.randn(3, rows * columns, 16), (rows, columns))
    for b in range(3):
        for row in range(rows):
            for column in range(columns):
                box = boxes[b, row * columns + column]
                expected = torch.tensor(
                    [(column + 0.5) / columns, (row + 0.5) / rows, 2 / columns, min(2 / rows, 0.9)]
                )
                torch.testing.assert_close(box, expected)


def test_boxes_have_a_minimum_side_and_stay_in_the_unit_square():
    head = RegionHead(16, 8)
    with torch.no_grad():
        head.box[-1].bias.copy_(torch.tensor([50.0, -50.0, -50.0, 50.0]))
    _, boxes, _ = head(torch.randn(1, 4, 16), (2, 2))
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    torch.testing.assert_close(boxes[0, :, 2], torch.full((4,), 1e-4))


def test_half_precision_moves_no_box():
    torch.manual_seed(0)
    head = RegionHead(16, 8)
    torch.nn.init.normal_(head.box[-1].weight)
    tokens = torch.randn(2, 4, 16)
    _, exact, _ = head(tokens, (2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        embeddings, boxes, image = head(tokens, (2, 2))
    assert {embeddings.dtype, boxes.dtype, image.dtype} == {torch.float32}
    torch.testing.assert_close(boxes, exact, atol=1e-6, rtol=0)


def test_the_image_embedding_is_that_of_the_mean_patch():
    head = RegionHead(16, 8)
    tokens = torch.randn(2, 4, 16)
    embeddings, _, image = head(tokens, (2, 2))
    torch.testing.assert_close(image, embeddings.mean(1))  # the layer is linear
    assert math.prod(image.shape) == 16


def test_an_offset_is_the_same_number_of_patches_on_every_grid():
    head = RegionHead(16, 8, side=4)
    head.box = nn.Sequential(nn.Flatten(2), _Constant(torch.tensor([0.4, -0.2, 0.3, 0.1])))
    offsets = []
    for columns in (4, 8):
        _, boxes, _ = head(torch.randn(1, columns * columns, 16), (columns, columns))
        # The box of the patch whose upper left corner is the middle of the image.
        middle = boxes[0, columns * columns // 2 + columns // 2]
        offset = (middle[:2] - (columns / 2 + 0.5) / columns) * columns
        offsets.append([*offset.tolist(), *(middle[2:] * columns).tolist()])
    assert offsets[1] == pytest.approx(offsets[0], rel=0.2)


class _Constant(nn.Module):
    """Predicts the same offsets at every patch."""

    def __init__(self, offsets: torch.Tensor) -> None:
        super().__init__()
        self.offsets = offsets

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.offsets.expand(*tokens.shape[:2], 4)
