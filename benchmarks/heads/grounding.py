"""Grounding DINO style (Liu et al., arXiv 2303.05499): image and text attend to each other first.

    tokens of an image ─┐                       ┌─▶ regions ──┐
                        ├─▶ Fusion, DEPTH times ┤             ├─▶ a logit for each (region, token)
    tokens of its names ┘                       └─▶ tokens  ──┘

Names of an image are one prompt, in whose text they do not attend to each other. Trained are the
logits of single tokens (sigmoid focal loss with a positive map); a phrase's score is the mean of
its tokens' probabilities. Regions depend on what is asked, so another question is another pass:
names are asked 40 at a time, as MM-Grounding-DINO does on LVIS, expressions one by one.

Its captions are learned by contrast, before the fusion: its own way, boxes that a teacher found for
the captions' phrases, needs a trained teacher.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from heads.contrast import ImageScale
from heads.text import TextEncoder, Words, block, no_log_partition
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.detector import OmniDet
from omnidet.inference.names import Wanted, wanted
from omnidet.inference.prompt import Prompt
from omnidet.losses.names import ALPHA, GAMMA
from omnidet.model.confidence import Line
from omnidet.model.config import ModelConfig
from omnidet.model.detector import Detector
from omnidet.model.heads import PRIOR_SCORE, RegionHead
from omnidet.schema import Batch, LossTerm, Matches, Predictions

VERSION = 1
"""Changes with what is trained: results of another version are not reused."""
DEPTH = 2
NAMES_A_PASS = 40
LEAST = 1e-6
"""Least probability of a phrase; its logit must be finite."""
NOT_ASKED = -30.0
"""Logit of a name on regions of a pass in which it was not asked."""


@dataclass(frozen=True, eq=False)
class Question:
    """The tokens of the names of each image, padded; the first is one that is always there."""

    states_BKW: Tensor
    name_BK: Tensor
    """Which of the image's names the token belongs to; -1 for the first and for padding."""
    valid_BK: Tensor

    def of_names(self, num_names: int) -> Tensor:
        """1 where a token belongs to a name, (B, K, L)."""
        names_L = torch.arange(num_names, device=self.name_BK.device)
        return (self.name_BK[..., None] == names_L).float()


@dataclass(frozen=True, eq=False)
class FusedPredictions(Predictions):
    """With the logits of single tokens, which are what is trained."""

    token_logits_BQK: Tensor | None = None
    token_of_BKL: Tensor | None = None
    """1 where the token belongs to the name."""


class Fusion(nn.Module):
    """Attention within each side, from each side to the other, and a network for each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.image, self.text = block(width, crossing=True), block(width, crossing=True)

    def forward(
        self, image_BQW: Tensor, text_BKW: Tensor, valid_BK: Tensor, apart_BKK: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Image and text tokens; `apart_BKK`: which text tokens do not see each other."""
        heads = self.text.self_attn.num_heads
        new_image = self.image(image_BQW, text_BKW, memory_key_padding_mask=~valid_BK)
        new_text = self.text(text_BKW, image_BQW, tgt_mask=apart_BKK.repeat_interleave(heads, 0))
        return new_image, new_text


class FusedHead(RegionHead):
    """The product's embeddings and boxes, of regions that have seen the text."""

    def __init__(self, like: RegionHead, width: int, embedding_width: int) -> None:
        super().__init__(width, embedding_width, like.side)
        self.load_state_dict(like.state_dict())  # the same weights to start from
        self.fusions = nn.ModuleList(Fusion(width) for _ in range(DEPTH))
        self.text_norm = nn.LayerNorm(width)
        self.text_embedding = nn.Linear(width, embedding_width)
        self.first = nn.Parameter(torch.randn(width) * 0.02)
        self.bias = nn.Parameter(torch.tensor(math.log(PRIOR_SCORE / (1 - PRIOR_SCORE))))
        self.image_scale = ImageScale()

    def ask(
        self, tokens_BQW: Tensor, grid: tuple[int, int], question: Question
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Embeddings (B, Q, D), boxes (B, Q, 4) and token logits (B, Q, K)."""
        text_BKW = question.states_BKW
        same_BKK = question.name_BK[:, :, None] == question.name_BK[:, None]
        for fusion in self.fusions:
            tokens_BQW, text_BKW = fusion(tokens_BQW, text_BKW, question.valid_BK, ~same_BKK)
        embeddings_BQD, boxes_BQ4, _ = self(tokens_BQW, grid)
        text_BKD = self.text_embedding(self.text_norm(text_BKW)).float()
        logits_BQK = embeddings_BQD @ text_BKD.mT / math.sqrt(text_BKD.shape[-1]) + self.bias
        return embeddings_BQD, boxes_BQ4, logits_BQK


class Fused(Detector):
    """Images and their names in; regions that depend on both out."""

    head: FusedHead
    tokens: TextEncoder

    def __init__(self, config: ModelConfig, num_tokens: int) -> None:
        super().__init__(config, num_tokens)
        width = self.backbone.width
        self.head = FusedHead(self.head, width, config.embedding_width)
        self.tokens = TextEncoder(num_tokens, width, config.embedding_width)
        self.asked: tuple[Words, int] | None = None
        """What `regions` is asked: the words, and how many phrases go into a pass."""

    def predict(self, batch: Batch) -> Predictions:
        """Images without names, those of captions, go through the backbone alone."""
        tokens_BQW = self.backbone(batch.images_BCHW)
        grid = self.backbone.grid(batch.images_BCHW)
        words = self.tokens.read(batch.phrases)
        rows_PD = self.tokens.rows(words)
        _, _, image_BD = self.head(tokens_BQW, grid)
        named = (batch.name_BL >= 0).any(1).nonzero()[:, 0]
        question = self.question(words, batch.name_BL[named])
        parts = self.head.ask(tokens_BQW[named], grid, question)
        embeddings_BQD, boxes_BQ4, logits_BQK = (
            part.new_zeros(len(tokens_BQW), *part.shape[1:]).index_copy(0, named, part)
            for part in parts
        )
        num_names = batch.name_BL.shape[1]
        of_NKL = question.of_names(num_names)
        of_BKL = of_NKL.new_zeros(len(tokens_BQW), *of_NKL.shape[1:]).index_copy(0, named, of_NKL)
        return FusedPredictions(
            embeddings_BQD=embeddings_BQD,
            boxes_cxcywh_BQ4=boxes_BQ4,
            image_embeddings_BD=self.head.image_scale(image_BD),
            scores_BQL=phrase_logits(logits_BQK, of_BKL),
            phrase_embeddings_PD=rows_PD,
            phrase_biases_P=rows_PD.new_zeros(len(rows_PD)),
            log_partition=no_log_partition,
            token_logits_BQK=logits_BQK,
            token_of_BKL=of_BKL,
        )

    def question(self, words: Words, name_BL: Tensor) -> Question:
        """The tokens of the names that each image is asked for."""
        own_BL = name_BL.clamp(min=0)
        valid_BT = (words.valid_PT[own_BL] & (name_BL >= 0)[..., None]).flatten(1)
        longest = int(valid_BT.sum(1).max()) if valid_BT.numel() else 0
        order_BK = valid_BT.byte().argsort(stable=True, dim=1, descending=True)[:, :longest]
        valid_BK = valid_BT.gather(1, order_BK)
        place_BK = order_BK // words.valid_PT.shape[1]
        name_BK = torch.where(valid_BK, place_BK, -1)
        states_BKW = words.states_PTW[
            own_BL.gather(1, place_BK), order_BK % words.valid_PT.shape[1]
        ]
        first_B1W = self.head.first.expand(len(name_BL), 1, -1)
        return Question(
            torch.cat([first_B1W, states_BKW], 1),
            functional.pad(name_BK, (1, 0), value=-1),
            functional.pad(valid_BK, (1, 0), value=True),
        )

    def regions(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The regions of all passes of `asked`, one pass after the other.

        What stands for the embedding of a region are the logits of all phrases on it, so that the
        row that scores a phrase is a unit vector.
        """
        assert self.asked is not None, "prompt first: regions depend on what is asked"
        tokens_BQW, grid = self.backbone(images_BCHW), self.backbone.grid(images_BCHW)
        count = len(self.asked[0].whole_PW)
        boxes, logits = [], []
        for first, boxes_BQ4, scores_BQL in self.passes(tokens_BQW, grid):
            last = first + scores_BQL.shape[2]
            boxes.append(boxes_BQ4)
            logits.append(functional.pad(scores_BQL, (first, count - last), value=NOT_ASKED))
        return torch.cat(logits, 1), torch.cat(boxes, 1), tokens_BQW.mean(1)

    def passes(
        self, tokens_BQW: Tensor, grid: tuple[int, int]
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """For each pass the first phrase, boxes (B, Q, 4) and logits of its phrases (B, Q, L)."""
        words, at_once = self.asked
        for first in range(0, len(words.whole_PW), at_once):
            names_L = torch.arange(first, min(first + at_once, len(words.whole_PW)))
            name_BL = names_L.to(tokens_BQW.device).expand(len(tokens_BQW), -1)
            question = self.question(words, name_BL)
            _, boxes_BQ4, logits_BQK = self.head.ask(tokens_BQW, grid, question)
            yield first, boxes_BQ4, phrase_logits(logits_BQK, question.of_names(len(names_L)))


def phrase_logits(logits_BQK: Tensor, token_of_BKL: Tensor) -> Tensor:
    """The logit of the mean probability of each phrase's tokens (B, Q, L)."""
    share_BKL = token_of_BKL / token_of_BKL.sum(1, keepdim=True).clamp(min=1)
    return (logits_BQK.sigmoid() @ share_BKL).logit(eps=LEAST)


def token_names(predictions: Predictions, batch: Batch, matches: Matches) -> LossTerm:
    """Sigmoid focal loss on single tokens: positive if the matched box has the token's name.

    The count is the number of matched boxes, as in the paper. Names that give no negatives give
    none here.
    """
    assert isinstance(predictions, FusedPredictions)
    logits_BQK, of_BKL = predictions.token_logits_BQK, predictions.token_of_BKL
    named_ML = batch.named_BNL[matches.image_M, matches.box_M].float()
    positive_MK = torch.einsum("ml,mkl->mk", named_ML, of_BKL[matches.image_M])
    target_BQK = torch.zeros_like(logits_BQK)
    target_BQK[matches.image_M, matches.region_M] = positive_MK.clamp(max=1)
    negative_BK = torch.einsum("bl,bkl->bk", batch.negative_BL.float(), of_BKL) > 0
    supervised_BQK = negative_BK[:, None] | (target_BQK > 0)
    signed_BQK = torch.where(target_BQK > 0, logits_BQK, -logits_BQK)
    weight_BQK = ALPHA * target_BQK + (1 - ALPHA) * (1 - target_BQK)
    loss_BQK = weight_BQK * (-signed_BQK).sigmoid() ** GAMMA * -functional.logsigmoid(signed_BQK)
    total_B = torch.where(supervised_BQK, loss_BQK, 0.0).sum((1, 2))
    return LossTerm(total_B @ batch.stream_BS, batch.stream_BS[matches.image_M].sum(0))


@dataclass(frozen=True, eq=False)
class FusedPrompt(Prompt):
    """Phrases that were read, and the unit vectors that pick their logits."""

    words: Words | None = None


class Asked(OmniDet):
    """The detector as the benchmarks ask it: names in passes."""

    def __init__(self, detector: Fused, vocabulary: Vocabulary, names_a_pass: int) -> None:
        super().__init__(detector, vocabulary, {})
        self.names_a_pass = names_a_pass

    @torch.inference_mode()
    def _prompt(self, phrases: Wanted, line: Line) -> Prompt:  # noqa: ARG002
        """Read the phrases; images are asked for them from now on. Scores are as trained."""
        flat = tuple(phrase for name in wanted(phrases) for phrase in name.phrases)
        device = self.detector.tokens.biases.device
        words = self.detector.tokens.read(self.vocabulary.table(flat).to(device))
        prompt = FusedPrompt(
            flat, torch.eye(len(flat), device=device), torch.zeros(len(flat), device=device)
        )
        prompt = dataclasses.replace(prompt, words=words)
        self._ask(prompt)
        return prompt

    def detect(self, images: object, prompt: Prompt, *given: object, **how: object) -> object:
        """`OmniDet.detect` with this prompt."""
        self._ask(prompt)
        return super().detect(images, prompt, *given, **how)

    def _ask(self, prompt: FusedPrompt) -> None:
        self.detector.asked = (prompt.words, self.names_a_pass)


def build(config: ModelConfig, num_tokens: int) -> Detector:
    """The detector, its backbone and box head with the weights of ours of the same seed."""
    return Fused(config, num_tokens)
