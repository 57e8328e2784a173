"""Which of many upper bounds are not below the bar, that is, not negative once it is subtracted."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 64
"""Neighbouring bounds that are checked together: most blocks hold nothing useful."""
BLOCKS_AT_ONCE = 16_384
_SAME_SIZE = {torch.bfloat16: torch.int16, torch.float32: torch.int32}


def not_negative(bounds: Tensor) -> Iterator[Tensor]:
    """Places in the flat tensor of what is not negative, in parts: one at least.

    Rounding a sum keeps its sign, so the sign bit is enough, and integers are compared fast.
    """
    flat = bounds.flatten()
    if len(flat) % BLOCK:
        flat = functional.pad(flat, (0, -len(flat) % BLOCK), value=-1.0)
    blocks_NB = flat.view(_SAME_SIZE[flat.dtype]).view(-1, BLOCK)
    for some in torch.split((blocks_NB.amax(1) >= 0).nonzero()[:, 0], BLOCKS_AT_ONCE):
        block, column = (blocks_NB[some] >= 0).nonzero(as_tuple=True)
        yield some[block] * BLOCK + column
