"""A transformer that reads phrases: what OWL-ViT and Grounding DINO have for the token table.

It starts from random weights, since no contestant has seen anything before. Its size is to the
image's backbone as that of their text encoders is: a transformer of half the depth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from omnidet.model.heads import TokenTable
from omnidet.schema import LogPartition, PhraseTable

DEPTH = 3
WIDTH_OF_A_HEAD = 64
MOST_TOKENS = 64
"""Of a phrase; further ones are cut off, as in CLIP."""
SHORT = 4
"""Phrases of up to so many tokens are padded among themselves: most names are that short."""
READ_AT_ONCE = 4096
"""Phrases that go through the transformer together: it bounds the memory of a long list."""


@dataclass(frozen=True, eq=False)
class Words:
    """Phrases as they were read."""

    whole_PW: Tensor
    """One embedding for each phrase."""
    states_PTW: Tensor
    """One for each of its tokens."""
    valid_PT: Tensor
    """False for padding."""


class TextEncoder(TokenTable):
    """Token embeddings, positions and transformer blocks.

    What scores a phrase is `phrases`, as for a token table: `rows` makes it of `Words.whole_PW`.
    """

    def __init__(self, num_tokens: int, width: int, embedding_width: int) -> None:
        super().__init__(num_tokens, width)
        del self.biases
        self.register_buffer("biases", torch.zeros(num_tokens))  # it has none to learn
        self.positions = nn.Parameter(torch.randn(MOST_TOKENS + 1, width) * 0.02)
        self.start = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList(block(width) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, embedding_width)

    def read(self, table: PhraseTable) -> Words:
        """Phrases of tokens in their order -> embeddings."""
        ids_PT, valid_PT = _padded(table)
        if not len(table):
            empty = self.positions.new_zeros(0, self.positions.shape[1])
            return Words(empty, empty[:, None].expand(0, 1, -1), valid_PT)
        short_P = valid_PT.sum(1) <= SHORT
        parts, places = [], []
        for group in (short_P, ~short_P):
            place = group.nonzero()[:, 0]
            if len(place):
                longest = int(valid_PT[place].sum(1).max())
                states = self._states(ids_PT[place, :longest], valid_PT[place, :longest])
                missing = ids_PT.shape[1] + 1 - states.shape[1]
                parts.append(functional.pad(states, (0, 0, 0, missing)))
                places.append(place)
        states = torch.cat(parts)[torch.cat(places).argsort()]
        return Words(states[:, 0], states[:, 1:], valid_PT)

    def _states(self, ids_PT: Tensor, valid_PT: Tensor) -> Tensor:
        """The start token and the tokens, (P, 1 + T, W)."""
        start_P1W = self.start.expand(len(ids_PT), 1, -1)
        # As large as in a transformer whose embeddings start with a standard deviation of 1.
        tokens_PTW = self.embeddings[ids_PT] * math.sqrt(self.embeddings.shape[1])
        states = torch.cat([start_P1W, tokens_PTW], 1) + self.positions[: ids_PT.shape[1] + 1]
        padding = functional.pad(~valid_PT, (1, 0))
        for layer in self.blocks:
            states = layer(states, src_key_padding_mask=padding)
        return self.norm(states)

    def phrases(self, table: PhraseTable) -> tuple[Tensor, Tensor]:
        """`rows` and biases of 0."""
        rows_PD = torch.cat([self.rows(self.read(part)) for part in _parts(table)])
        return rows_PD, rows_PD.new_zeros(len(table))

    def rows(self, words: Words) -> Tensor:
        """Phrases as unit vectors (P, D)."""
        return functional.normalize(self.projection(words.whole_PW).float(), dim=-1)

    def in_training(self, table: PhraseTable) -> tuple[Tensor, Tensor, LogPartition]:
        """`phrases`; there is no softmax over tokens."""
        return *self.phrases(table), no_log_partition


def block(width: int, *, crossing: bool = False) -> nn.Module:
    """A transformer block; `crossing` adds attention to another sequence."""
    kind = nn.TransformerDecoderLayer if crossing else nn.TransformerEncoderLayer
    return kind(
        width,
        max(1, width // WIDTH_OF_A_HEAD),
        4 * width,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )


def no_log_partition(*_: object) -> Tensor:
    """Raise: the losses of these heads need no softmax over the vocabulary."""
    raise ValueError("a text encoder has no token logits: leave the loss token_alignment out")


def _parts(table: PhraseTable) -> Iterator[PhraseTable]:
    """At most `READ_AT_ONCE` phrases each; one part if there are none."""
    starts = [*table.offsets_P.tolist(), len(table.token_ids_K)]
    for first in range(0, max(len(table), 1), READ_AT_ONCE):
        last = min(first + READ_AT_ONCE, len(table))
        own = slice(starts[first], starts[last])
        offsets_P = table.offsets_P[first:last] - starts[first]
        yield PhraseTable(table.token_ids_K[own], table.weights_K[own], offsets_P)


def _padded(table: PhraseTable) -> tuple[Tensor, Tensor]:
    """Token ids (P, T), and which of them are there."""
    count, total = len(table), len(table.token_ids_K)
    ends_P = torch.cat([table.offsets_P[1:], table.offsets_P.new_tensor([total])])
    lengths_P = ends_P - table.offsets_P
    phrase_K = torch.repeat_interleave(torch.arange(count, device=ends_P.device), lengths_P)
    place_K = torch.arange(total, device=ends_P.device) - table.offsets_P[phrase_K]
    longest = min(int(lengths_P.max()) if count else 1, MOST_TOKENS)
    kept_K = place_K < longest
    ids_PT = ends_P.new_zeros(count, longest)
    ids_PT[phrase_K[kept_K], place_K[kept_K]] = table.token_ids_K[kept_K]
    return ids_PT, torch.arange(longest, device=ends_P.device) < lengths_P[:, None]
