"""One gradient for all uses of the token table equals the sum that autograd makes of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from omnidet.model import token_gradients
from omnidet.schema import PhraseTable
from tests import toys

WIDTH = 8
PHRASES = ("red star", "star left of circle", "red ring", "ring")


def _phrases() -> PhraseTable:
    table = toys.toy_vocabulary().table(PHRASES)
    return dataclasses.replace(table, weights_K=table.weights_K.double())


@pytest.fixture
def leaves() -> dict[str, Tensor]:
    """In double precision, so that only a wrong formula makes a difference."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "table": (toys.toy_vocabulary().num_tokens, WIDTH),
        "biases": (toys.toy_vocabulary().num_tokens,),
        "regions": (5, WIDTH),
        "temperatures": (2,),
    }
    drawn = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    drawn["temperatures"] = drawn["temperatures"].exp()
    return {name: value.requires_grad_() for name, value in drawn.items()}


def _values(leaves: dict[str, Tensor], uses: int, plain: bool) -> list[Tensor]:
    """The rows, and what `uses` calls of the log-partition give."""
    arguments = (leaves["table"], leaves["biases"], _phrases())
    if plain:
        rows, log_partition = token_gradients.plain(*arguments)
    else:
        rows, log_partition = token_gradients.shared(*arguments, [])
    regions, temperatures = leaves["regions"], leaves["temperatures"]
    asked = [log_partition(regions), log_partition(regions[:2], temperatures)]
    return [rows, *asked[:uses]]


@pytest.mark.parametrize("uses", [0, 1, 2])
def test_forward_equals_the_plain_version(leaves, uses):
    for value, expected in zip(
        _values(leaves, uses, plain=False), _values(leaves, uses, plain=True), strict=True
    ):
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("rows_used", [True, False])
@pytest.mark.parametrize("uses", [0, 1, 2])
def test_backward_equals_the_plain_version(leaves, uses, rows_used):
    def gradients(plain: bool) -> list[tuple[Tensor, ...]]:
        rows, *logs = _values(leaves, uses, plain)
        total = sum((value.square().sum() for value in logs), leaves["regions"].sum())
        if rows_used:
            total = total + rows.sin().sum()
        # Twice through one graph: nothing may be left over from the first time.
        return [
            torch.autograd.grad(
                total, list(leaves.values()), retain_graph=True, materialize_grads=True
            )
            for _ in range(2)
        ]

    torch.testing.assert_close(gradients(plain=False), gradients(plain=True))


def test_large_logits_do_not_overflow(leaves):
    table, biases = leaves["table"], leaves["biases"]
    _, expected = token_gradients.plain(table, biases, _phrases())
    _, log_partition = token_gradients.shared(table, biases, _phrases(), [])
    found = log_partition(1000 * leaves["regions"])
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected(1000 * leaves["regions"]))


def test_the_gradient_takes_spare_memory(leaves):
    table, spare = leaves["table"], torch.full_like(leaves["table"], torch.nan)
    expected = torch.autograd.grad(_values(leaves, 1, plain=True)[1].sum(), table)[0]
    memory = [spare]
    _, log_partition = token_gradients.shared(table, leaves["biases"], _phrases(), memory)
    (gradient,) = torch.autograd.grad(log_partition(leaves["regions"]).sum(), table)
    assert gradient.data_ptr() == spare.data_ptr()
    assert memory == []
    torch.testing.assert_close(gradient, expected)


def test_weighted_sums_by_hand():
    num_tokens = toys.toy_vocabulary().num_tokens
    values, phrases = torch.randn(num_tokens, 3), toys.toy_vocabulary().table(PHRASES)
    found = token_gradients.weighted_sums(values, phrases)
    torch.testing.assert_close(found, toys.dense(phrases, num_tokens) @ values)
