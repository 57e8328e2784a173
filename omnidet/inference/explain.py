"""Why a region got its score: the weight and the logit of each token of the phrase."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.pieces import pieces
from omnidet.inference.search import exact_logits, probabilities
from omnidet.model.confidence import Line, shapes
from omnidet.model.detector import Detector
from omnidet.schema import PhraseTable


@dataclass(frozen=True)
class Token:
    """A token of a phrase, and what a region says of it."""

    text: str
    word: str
    """The word that it is, or is a part of."""
    weight: float
    """Share of the phrase's score; the weights of a phrase sum to 1. That of a word which training
    never had is 0 beside others."""
    logit: float
    score: float
    """Sigmoid of the logit: how sure the region is of this token alone."""
    is_context: bool
    """It names what the thing is next to, not the thing: "circle" in "star left of circle"."""
    is_known: bool
    """The vocabulary has the word as a whole, and training had it. A word that it has only in parts
    was rare or absent in training, and its score means little."""


@dataclass(frozen=True)
class Explanation:
    """Why a phrase got its score on a box."""

    phrase: str
    box: tuple[float, float, float, float]
    """Corners in pixels."""
    score: float
    logit: float
    """The sum of weight x logit over the tokens."""
    tokens: tuple[Token, ...]
    """In the order of the phrase."""

    @property
    def unknown_words(self) -> tuple[str, ...]:
        """Words of the phrase that the vocabulary has only in parts, or that training never had."""
        return tuple(dict.fromkeys(t.word for t in self.tokens if not t.is_known))

    def to_dict(self) -> dict[str, Any]:
        """Plain objects that JSON can hold."""
        tokens = [
            {
                "text": token.text,
                "word": token.word,
                "weight": round(token.weight, 4),
                "logit": round(token.logit, 4),
                "score": round(token.score, 6),
                "context": token.is_context,
                "known": token.is_known,
            }
            for token in self.tokens
        ]
        return {
            "phrase": self.phrase,
            "box": [round(value, 2) for value in self.box],
            "score": round(self.score, 6),
            "logit": round(self.logit, 4),
            "tokens": tokens,
            "unknown_words": list(self.unknown_words),
        }

    def lines(self) -> list[str]:
        """A line for each word, for people; what a word has in parts is added up."""
        words: dict[tuple[str, bool], list[Token]] = {}
        for token in self.tokens:
            words.setdefault((token.word, token.is_context), []).append(token)
        shown = {key: f"{key[0]}{' (context)' if key[1] else ''}" for key in words}
        width = max(map(len, shown.values()), default=0)
        lines = []
        for key, parts in words.items():
            weight = sum(part.weight for part in parts)
            own = [part.weight / weight if weight else 1 / len(parts) for part in parts]
            logit = sum(share * part.logit for share, part in zip(own, parts, strict=True))
            known = "" if parts[0].is_known else "  unknown word"
            known += "" if weight else ", left out"
            lines.append(
                f"{shown[key]:{width}}  weight {weight:.2f}  logit {logit:+6.2f}  "
                f"score {1 / (1 + math.exp(-logit)):.3f}{known}"
            )
        return lines


@torch.inference_mode()
def explain(
    detector: Detector,
    vocabulary: Vocabulary,
    line: Line,
    embeddings_KD: Tensor,
    phrases: Sequence[str],
    boxes: Sequence[tuple[float, float, float, float]],
) -> list[Explanation]:
    """Why the k-th region has its score for the k-th phrase, as probabilities by this line."""
    found = []
    offsets = line.offsets(shapes(vocabulary, tuple(phrases))).tolist()
    asked = zip(embeddings_KD, phrases, boxes, offsets, strict=True)
    for embedding_D, phrase, box, offset in asked:
        ids, weights = vocabulary.encode(phrase)
        weight_of = dict(zip(ids.tolist(), weights.tolist(), strict=True))
        read = [
            piece
            for piece in pieces(vocabulary, phrase)
            if piece.place in weight_of or not piece.is_heard
        ]
        places = torch.tensor([piece.place for piece in read], dtype=torch.int64)
        single = PhraseTable(places, torch.ones(len(places)), torch.arange(len(places)))
        rows_TD, biases_T = detector.phrases(single.to(detector.tokens.biases.device))
        logits_T = exact_logits(embedding_D.expand(len(places), -1), rows_TD, biases_T)
        logits_T = logits_T * line.scale + offset
        whole = vocabulary.table([phrase]).to(detector.tokens.biases.device)
        rows_1D, biases_1 = detector.phrases(whole)
        logit = exact_logits(
            embedding_D[None], rows_1D * line.scale, biases_1 * line.scale + offset
        )
        tokens = tuple(
            Token(
                piece.text,
                piece.word,
                weight_of.get(piece.place, 0.0),
                float(own),
                float(score),
                piece.is_context,
                piece.is_known,
            )
            for piece, own, score in zip(read, logits_T, probabilities(logits_T), strict=True)
        )
        score = float(probabilities(logit)[0])
        found.append(Explanation(phrase, box, score, float(logit[0]), tokens))
    return found
