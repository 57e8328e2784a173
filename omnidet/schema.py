"""The types that cross a stage boundary: read this first.

    sources --Record--> shards --Record--> mixing --Batch--> model --Predictions--> matching
    matching --Matches--> losses --LossTerm--> training
    model --Predictions--> evaluation --Metrics--> registry

Shape suffixes used everywhere in the package:

    B images in the batch          Q regions (queries: one for each patch) of an image
    L names in an image's label space, padded to the longest of the batch
    N boxes of an image, padded    P distinct phrases of the batch
    K (phrase, token) pairs        T tokens of the vocabulary
    D width of an embedding        S streams
    C, H, W channels, height, width of an image

The name of a box says its format: `xyxy` pixel corners, `cxcywh` centre and size as shares of the
square input.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # steps that only read records need no torch
    import torch
    from torch import Tensor

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
LogPartition: TypeAlias = "Callable[..., Tensor]"
"""Embeddings (M, D), and temperatures (M,) if there are any, ->
`logsumexp(temperature * (z . E_t + b_t))` (M,) over all tokens t of the vocabulary."""
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Record:
    """One image and what is known about it, in the same form for every dataset.

    The label space of the image is `phrases` and `absent`. Anything else is unknown and gives no
    loss. COCO lists the rest of its 80 names as absent, LVIS its `neg_category_ids`, a grounding
    dataset nothing.
    """

    image: bytes
    """The encoded image as it came from the dataset."""
    width: int
    height: int
    source: str
    """Name of the dataset, for provenance only: nothing downstream of `sources/` decides by it."""
    image_id: str
    """`<collection>:<id>`. A picture has the same id in every dataset: `coco:391895` in COCO, LVIS
    and RefCOCOg."""
    boxes_xyxy: FloatArray = dataclasses.field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """(N, 4) in pixels."""
    phrases: tuple[str, ...] = ()
    """The distinct words that name something in the image."""
    phrase_boxes: tuple[tuple[int, ...], ...] = ()
    """The boxes that each phrase names. A phrase may name several boxes, a box have several."""
    absent: tuple[str, ...] = ()
    """Phrases that verifiably name nothing in the image."""
    not_exhaustive: tuple[str, ...] = ()
    """Those of `phrases` that may name more than their boxes: they give no negatives."""
    caption: str = ""


@dataclass(frozen=True, eq=False)
class PhraseTable:
    """Distinct phrases as weighted sets of tokens, in the row form that `embedding_bag` takes."""

    token_ids_K: Tensor
    """(K,) int64."""
    weights_K: Tensor
    """(K,) float32; the weights of one phrase sum to 1."""
    offsets_P: Tensor
    """(P,) int64: where each phrase begins in the two tensors above."""

    def __len__(self) -> int:
        return self.offsets_P.shape[0]

    def entropy(self) -> Tensor:
        """Entropy (P,) of each phrase's weights in nats: the least cross-entropy with them."""
        import torch

        ends_P = torch.cat([self.offsets_P[1:], self.offsets_P.new_tensor([len(self.weights_K)])])
        # With the length of the result, which a GPU would otherwise have to report first.
        row_K = torch.repeat_interleave(
            ends_P - self.offsets_P, output_size=self.weights_K.shape[0]
        )
        negative_K = -torch.xlogy(self.weights_K, self.weights_K)
        return negative_K.new_zeros(len(self)).index_add(0, row_K, negative_K)

    def with_tokens(self, token_ids_N: Tensor) -> PhraseTable:
        """The phrases, and after them N single tokens as phrases of their own."""
        import torch

        first, count = len(self.token_ids_K), len(token_ids_N)
        places_N = torch.arange(first, first + count, device=self.offsets_P.device)
        return PhraseTable(
            torch.cat([self.token_ids_K, token_ids_N]),
            torch.cat([self.weights_K, self.weights_K.new_ones(count)]),
            torch.cat([self.offsets_P, places_N]),
        )

    def to(self, device: torch.device) -> PhraseTable:
        return _to(self, device)


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's input, all streams together. Masks say what is supervised; no field is optional.

    Streams with another image size are batches of their own in `more`: each goes through the model,
    and all their losses are summed before the one backward pass.
    """

    images_BCHW: Tensor
    """uint8 RGB, letterboxed into a square: the picture is in the upper left corner."""
    sizes_B2: Tensor
    """(height, width) of the picture inside the square as shares of the side, float32."""
    stream_BS: Tensor
    """float32, 1 in the column of the image's stream: sums over a stream are matrix products."""
    phrases: PhraseTable
    name_BL: Tensor
    """Label space of each image: indices into `phrases`, -1 where padded, int64."""
    negative_BL: Tensor
    """Whether regions that the name does not describe are negatives for it, bool. False for padding
    and for names that are not exhaustive."""
    boxes_cxcywh_BN4: Tensor
    """True boxes as shares of the square, float32."""
    box_valid_BN: Tensor
    """False where padded, bool."""
    named_BNL: Tensor
    """Whether name l describes box n, bool."""
    describes_B: Tensor
    """Whether the phrases of a box describe all of it, bool: the token softmax is trained on it."""
    caption_B: Tensor
    """Index of the caption in `phrases`, -1 if there is none, int64."""
    caption_token_BT: Tensor
    """The tokens of a caption whose words are looked for (`Stream.asked_names`), at most
    `mixing.max_caption_tokens`; 0 where padded, int64."""
    caption_weight_BT: Tensor
    """Their weights in the caption, less for what many boxes are named; 0 where padded, float32."""
    more: tuple[Batch, ...] = ()
    """The images of other sizes."""

    def groups(self) -> tuple[Batch, ...]:
        """The step as batches of one image size each."""
        return dataclasses.replace(self, more=()), *self.more

    def to(self, device: torch.device) -> Batch:
        return _to(self, device)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The model's output for a batch."""

    embeddings_BQD: Tensor
    boxes_cxcywh_BQ4: Tensor
    image_embeddings_BD: Tensor
    scores_BQL: Tensor
    """Logit of each name of the label space on each region, float32; undefined for padding."""
    phrase_embeddings_PD: Tensor
    """One row `w E` per phrase: the logit of phrase p on embedding z is `z . row_p + bias_p`."""
    phrase_biases_P: Tensor
    log_partition: LogPartition
    """For few matched regions and images: its cost grows with the size of the vocabulary."""
    calibration_B2: Tensor | None = None
    """Temperature and bias of each image's stream, already in `scores_BQL`; None without them."""
    caption_rows_BTD: Tensor | None = None
    """The row of each token of the captions; None where nobody learns from single tokens."""
    caption_biases_BT: Tensor | None = None
    early: Predictions | None = None
    """Those before the last blocks, where regions do not know about each other; in training only,
    if asked for."""
    more: tuple[Predictions, ...] = ()
    """Those for images of other sizes, one per batch in `Batch.more`."""

    def groups(self) -> tuple[Predictions, ...]:
        """One per image size, in the order of the batch."""
        return dataclasses.replace(self, more=()), *self.more


@dataclass(frozen=True, eq=False)
class Matches:
    """Which region is responsible for which box: M pairs over the whole batch."""

    image_M: Tensor
    region_M: Tensor
    box_M: Tensor
    described_R: Tensor | None = None
    """Indices of the pairs in images whose phrases describe all of a box, or None if nobody has
    looked. Matching has, on the CPU: a GPU would have to be waited for."""
    more: tuple[Matches, ...] = ()
    """Those for images of other sizes, one per batch in `Batch.more`."""

    def groups(self) -> tuple[Matches, ...]:
        """One per image size, in the order of the batch."""
        return dataclasses.replace(self, more=()), *self.more


@dataclass(frozen=True, eq=False)
class LossTerm:
    """A sum and its divisor per stream, so that any split over ranks gives the same gradient."""

    total_S: Tensor
    """(S,) float32, part of the graph even if nothing is supervised."""
    count_S: Tensor
    """(S,) float32, the number of positives, without gradient."""


@dataclass(frozen=True)
class Metrics:
    """Result of one evaluation."""

    benchmark: str
    protocol: str
    """How the numbers were made, to be printed with them."""
    values: Mapping[str, float]
    """Flat names such as `AP50`, shares from 0 to 1."""
    details: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Per-category numbers, counts and the like, in JSON types."""


def _to(value: _T, device: torch.device) -> _T:
    """Copy of a dataclass with its tensors on `device`, page-locked ones sent asynchronously."""
    names = [f.name for f in dataclasses.fields(value)]  # type: ignore[arg-type]
    fields = {name: getattr(value, name) for name in names}
    moved = {
        k: tuple(part.to(device) for part in v) if isinstance(v, tuple) else _sent(v, device)
        for k, v in fields.items()
    }
    return dataclasses.replace(value, **moved)  # type: ignore[type-var]


def _sent(value: Any, device: torch.device) -> Any:
    from torch import Tensor

    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value.to(device)
