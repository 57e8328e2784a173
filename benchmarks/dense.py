"""A dense detector with NMS to compare with: torchvision's FCOS on the network of a recipe.

Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, ICCV 2019. It gets what OmniDet's
recipe gets: the same network and weights with the same frozen batch norms, the same batches with
the same augmentations, AdamW with the same schedule, a moving average of the weights. A feature
pyramid and FCOS's heads take the place of the transformer blocks and OmniDet's head.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSClassificationHead, FCOSHead
from torchvision.models.detection.fcos import FCOSRegressionHead as RegressionHead
from torchvision.ops import FeaturePyramidNetwork

from omnidet import boxes
from omnidet.data import shards
from omnidet.data.mixing.mixture import Loader, Mixture
from omnidet.data.vocabulary import Vocabulary
from omnidet.evaluation import coco
from omnidet.inference import pictures
from omnidet.measures.ground_truth import ground_truth
from omnidet.model import folding, weights
from omnidet.recipes.recipe import Recipe
from omnidet.schema import Batch
from omnidet.training import optimizer
from omnidet.training.average import Average

IMAGES_AT_ONCE = 16


@dataclass(frozen=True)
class Dense:
    """Settings found by short tries (benchmarks/README.md)."""

    strides: tuple[int, ...] = (16, 32)
    width: int = 128
    num_convs: int = 2
    """Layers of each head before its last."""
    learning_rate: float = 2e-3
    network_rate: float = 0.3
    max_gradient_norm: float = 10.0
    score_threshold: float = 0.01
    nms_threshold: float = 0.6


class Pyramid(nn.Module):
    """A timm network with pretrained weights and a feature pyramid."""

    def __init__(
        self, name: str, source: str, dense: Dense, side: int, *, frozen_norms: bool
    ) -> None:
        super().__init__()
        network: Any = weights.create(name, source)[0]
        known = [int(stage["reduction"]) for stage in network.feature_info]
        self.indices = [known.index(stride) for stride in dense.strides]
        channels = [int(network.feature_info[i]["num_chs"]) for i in self.indices]
        network.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)
        self.network = network.to(memory_format=torch.channels_last)
        self.pyramid = FeaturePyramidNetwork(channels, dense.width)
        self.out_channels, self.frozen_norms = dense.width, frozen_norms
        if frozen_norms:
            folding.fold_batch_norms(self.network, side)
            for module in self._norms():
                module.requires_grad_(False)

    def _norms(self) -> Iterator[nn.Module]:
        return (m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d))

    def train(self, mode: bool = True) -> Pyramid:
        super().train(mode)
        if self.frozen_norms:
            for module in self._norms():
                module.eval()
        return self

    def forward(self, images_BCHW: Tensor) -> OrderedDict[str, Tensor]:
        stages = self.network.forward_intermediates(
            images_BCHW.contiguous(memory_format=torch.channels_last),
            indices=self.indices,
            intermediates_only=True,
        )
        found: OrderedDict[str, Tensor] = self.pyramid(
            OrderedDict((str(i), stage) for i, stage in enumerate(stages))
        )
        return found


class Head(FCOSHead):
    """FCOS's heads, without a loss for names that a region may show unmarked."""

    def __init__(self, width: int, num_names: int, num_convs: int) -> None:
        nn.Module.__init__(self)
        self.box_coder = FCOSHead(32, 1, 1, 1).box_coder
        self.classification_head = FCOSClassificationHead(width, 1, num_names, num_convs)
        self.regression_head = RegressionHead(width, 1, num_convs)

    def compute_loss(
        self,
        targets: list[dict[str, Tensor]],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """What the jitter cut off may still be seen: no region is a negative for its name."""
        unknown_BQC = torch.stack([t["unknown"] for t in targets])[:, None]
        found_BQ1 = torch.stack(matched_idxs)[..., None] >= 0
        logits = head_outputs["cls_logits"].masked_fill(unknown_BQC & ~found_BQ1, -30.0)
        outputs = {**head_outputs, "cls_logits": logits}
        losses: dict[str, Tensor] = super().compute_loss(targets, outputs, anchors, matched_idxs)
        return losses


def build(recipe: Recipe, num_names: int, dense: Dense) -> FCOS:
    """The detector for images of the recipe's size."""
    backbone: Any = recipe.model.backbone
    side = recipe.model.image_size
    pyramid = Pyramid(
        backbone.name, backbone.weights, dense, side, frozen_norms=backbone.frozen_norms
    )
    own: Any = pyramid.network.pretrained_cfg
    return FCOS(
        pyramid,
        num_names,
        min_size=side,
        max_size=side,
        image_mean=list(own["mean"]),
        image_std=list(own["std"]),
        anchor_generator=AnchorGenerator(
            tuple((s,) for s in dense.strides), ((1.0,),) * len(dense.strides)
        ),
        head=Head(dense.width, num_names, dense.num_convs),
        score_thresh=dense.score_threshold,
        nms_thresh=dense.nms_threshold,
        _skip_resize=True,
    )


def train(
    index: shards.Index, vocabulary: Vocabulary, names: list[str], recipe: Recipe, dense: Dense
) -> FCOS:
    """Train for the recipe's steps on its stream; gives the averaged detector."""
    torch.manual_seed(recipe.train.seed)
    detector = build(recipe, len(names), dense).train()
    config = dataclasses.replace(
        recipe.train.optimizer,
        learning_rate=dense.learning_rate,
        max_gradient_norm=dense.max_gradient_norm,
    )
    adamw = _optimizer(detector, dense, config.weight_decay)
    average = Average(detector, recipe.train.average_decay)
    mixture = Mixture(
        index,
        vocabulary,
        recipe.streams,
        recipe.mixing,
        image_size=recipe.model.image_size,
        seed=recipe.train.seed,
    )
    columns = {_key(*vocabulary.encode(name, True, True)): i for i, name in enumerate(names)}
    for step, batch in enumerate(Loader(mixture, recipe.train.steps)):
        optimizer.set_learning_rate(adamw, config, step, recipe.train.steps)
        losses = detector(list(batch.images_BCHW / 255), _targets(batch, columns))
        total = sum(losses.values())
        if not torch.isfinite(total):
            raise FloatingPointError(f"step {step}: the loss is {float(total)}")
        adamw.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), config.max_gradient_norm)
        adamw.step()
        average.update(detector)
        if step % 50 == 49:
            loss = float(total.detach())
            print(f"step {step + 1}/{recipe.train.steps}  loss {loss:.3f}", flush=True)
    detector.load_state_dict(average.whole())
    return detector.eval()


def _optimizer(detector: FCOS, dense: Dense, weight_decay: float) -> torch.optim.AdamW:
    network = set(detector.backbone.network.parameters())
    groups = []
    for is_network, is_matrix in itertools.product((True, False), repeat=2):
        own = [
            p
            for p in detector.parameters()
            if p.requires_grad and (p in network) == is_network and (p.ndim > 1) == is_matrix
        ]
        decay = weight_decay if is_matrix else 0.0
        scale = dense.network_rate if is_network else 1.0
        groups.append({"params": own, "weight_decay": decay, "scale": scale})
    return torch.optim.AdamW(groups, lr=dense.learning_rate, fused=True)


def _key(ids: Any, weights_of: Any) -> tuple[Any, ...]:
    return (*ids.tolist(), *(round(float(w), 5) for w in weights_of))


def _targets(batch: Batch, columns: dict[tuple[Any, ...], int]) -> list[dict[str, Tensor]]:
    """Boxes, the numbers of their names, and which names are unknown, for each image."""
    table = batch.phrases
    ends = [*table.offsets_P.tolist()[1:], len(table.weights_K)]
    spans = zip(table.offsets_P.tolist(), ends, strict=True)
    of_phrase = [columns[_key(table.token_ids_K[a:b], table.weights_K[a:b])] for a, b in spans]
    side = batch.images_BCHW.shape[-1]
    targets = []
    for b in range(len(batch.images_BCHW)):
        labels_L = torch.tensor([of_phrase[i] for i in batch.name_BL[b].tolist() if i >= 0])
        valid_N = batch.box_valid_BN[b]
        corners = boxes.cxcywh_to_xyxy(batch.boxes_cxcywh_BN4[b][valid_N]) * side
        named_NL = batch.named_BNL[b][valid_N][:, : len(labels_L)]
        unknown_C = torch.ones(len(columns), dtype=torch.bool)
        unknown_C[labels_L[batch.negative_BL[b][: len(labels_L)]]] = False
        own = labels_L[named_NL.int().argmax(1)] if len(corners) else labels_L[:0].long()
        targets.append({"boxes": corners, "labels": own.long(), "unknown": unknown_C})
    return targets


@torch.inference_mode()
def measure(detector: FCOS, index: shards.Index, set_name: str, side: int) -> dict[str, float]:
    """AP and AP50 by the protocol of OmniDet's own numbers."""
    path, names = ground_truth(index, set_name)
    ids = [int(number) for number in names]
    rows: list[dict[str, Any]] = []
    records = iter(shards.records(index, set_name))
    while batch := list(itertools.islice(records, IMAGES_AT_ONCE)):
        opened = [pictures.read(record.image) for record in batch]
        squares = [picture.letterboxed(side) for picture in opened]
        found = detector([torch.from_numpy(s.pixels).permute(2, 0, 1) / 255 for s in squares])
        for record, picture, square, own in zip(batch, opened, squares, found, strict=True):
            factor = torch.tensor(
                [picture.width / square.record.width, picture.height / square.record.height] * 2
            )
            limit = torch.tensor([picture.width, picture.height] * 2)
            corners = (own["boxes"] * factor).minimum(limit).clamp(min=0).tolist()
            number = int(record.image_id.partition(":")[2])
            for (x0, y0, x1, y1), score, label in zip(
                corners, own["scores"].tolist(), own["labels"].tolist(), strict=True
            ):
                row = {"image_id": number, "category_id": ids[label]}
                rows.append(row | {"bbox": [x0, y0, x1 - x0, y1 - y0], "score": score})
    values = coco.evaluate(path, rows, intervals=False).values
    return {key: values[key] for key in ("AP", "AP50")}
