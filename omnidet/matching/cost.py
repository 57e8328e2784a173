"""The cost of matching region q to box n, and the matching of a whole batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from omnidet import boxes
from omnidet.matching.config import CostConfig
from omnidet.schema import Batch, IntArray, Matches, Predictions

Matcher = Callable[[npt.NDArray[np.float32]], tuple[IntArray, IntArray]]


@torch.no_grad()
def match(predictions: Predictions, batch: Batch, config: CostConfig, matcher: Matcher) -> Matches:
    """Match the true boxes of every image to its regions.

    Raises FloatingPointError if a cost is not finite: the assignment would fail or, worse, be
    arbitrary.
    """
    pairs = zip(predictions.groups(), batch.groups(), strict=True)
    first, *rest = (_match_group(of, group, config, matcher) for of, group in pairs)
    return dataclasses.replace(first, more=tuple(rest))


def match_early(
    predictions: Predictions, batch: Batch, config: CostConfig, matcher: Matcher, regions: int
) -> Matches:
    """Match each true box to several regions of the early predictions.

    Args:
        regions: for each box; fewer where boxes are many. A region still has one box at most.
    """

    def repeated(cost_QN: npt.NDArray[np.float32]) -> tuple[IntArray, IntArray]:
        times = max(1, min(regions, cost_QN.shape[0] // cost_QN.shape[1]))
        chosen, columns = matcher(np.repeat(cost_QN, times, axis=1))
        return chosen, columns // times

    return match(early(predictions), batch, config, repeated)


def early(predictions: Predictions) -> Predictions:
    """The early predictions of all image sizes. Raises ValueError if there are none."""
    groups = [group.early for group in predictions.groups()]
    first, *rest = (group for group in groups if group is not None)
    return dataclasses.replace(first, more=tuple(rest))


def _match_group(
    predictions: Predictions, batch: Batch, config: CostConfig, matcher: Matcher
) -> Matches:
    """Match the images of one size."""
    if batch.box_valid_BN.shape[1] == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=predictions.scores_BQL.device)
        return Matches(nothing, nothing, nothing, nothing)
    cost_BQN, valid_BN, describes_B = _on_cpu(matching_cost(predictions, batch, config), batch)
    images, regions, chosen = [], [], []
    for b in np.flatnonzero(valid_BN.any(1)):
        columns = np.flatnonzero(valid_BN[b])
        cost_QN = cost_BQN[b][:, columns]
        if not np.isfinite(cost_QN).all():
            raise FloatingPointError(
                "matching cost is not finite: the model's scores or boxes hold NaN or infinity; "
                "lower the learning rate"
            )
        region, column = matcher(cost_QN)
        images.append(np.full(len(region), b))
        regions.append(region)
        chosen.append(columns[column])
    image, region, box = (
        np.concatenate(part).astype(np.int64) if part else np.zeros(0, np.int64)
        for part in (images, regions, chosen)
    )
    device = predictions.scores_BQL.device
    described = np.flatnonzero(describes_B[image]).astype(np.int64)
    return Matches(
        image_M=_sent(image, device),
        region_M=_sent(region, device),
        box_M=_sent(box, device),
        described_R=_sent(described, device),
    )


def _on_cpu(
    cost_BQN: Tensor, batch: Batch
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The cost, which boxes are true and which images are described, in one copy.

    A step waits for it, and for nothing else.
    """
    valid_B1N = batch.box_valid_BN[:, None].to(cost_BQN.dtype)
    describes_B1N = batch.describes_B[:, None, None].to(cost_BQN.dtype).expand_as(valid_B1N)
    joined = torch.cat([cost_BQN, valid_B1N, describes_B1N], 1).cpu()
    together: npt.NDArray[np.float32] = joined.numpy()
    return together[:, :-2], together[:, -2] > 0, together[:, -1, 0] > 0


def _sent(part: IntArray, device: torch.device) -> Tensor:
    """On the device; nothing waits for page-locked memory to be copied."""
    found = torch.from_numpy(part)
    return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found


def matching_cost(predictions: Predictions, batch: Batch, config: CostConfig) -> Tensor:
    """Cost (B, Q, N) in single precision.

    Focal cost of the box's names, L1, generalised IoU, and how far the region's patch is from the
    box.
    """
    scores_BQL = predictions.scores_BQL.float()
    probability_BQL = scores_BQL.sigmoid()
    # Focal loss as a positive minus focal loss as a negative: how choosing the region changes the
    # loss.
    positive = (
        config.alpha * (1 - probability_BQL) ** config.gamma * -functional.logsigmoid(scores_BQL)
    )
    negative = (
        (1 - config.alpha) * probability_BQL**config.gamma * -functional.logsigmoid(-scores_BQL)
    )
    named_BNL = batch.named_BNL.float()
    # A box with several names takes their mean.
    share_BNL = named_BNL / named_BNL.sum(-1, keepdim=True).clamp(min=1)
    names_BQN = (positive - negative) @ share_BNL.transpose(1, 2)
    predicted_BQ4, true_BN4 = predictions.boxes_cxcywh_BQ4.float(), batch.boxes_cxcywh_BN4.float()
    l1_BQN = torch.cdist(predicted_BQ4, true_BN4, p=1)
    giou_BQN = boxes.generalized_iou(
        boxes.cxcywh_to_xyxy(predicted_BQ4)[:, :, None], boxes.cxcywh_to_xyxy(true_BN4)[:, None]
    )
    cost_BQN = config.names * names_BQN + config.l1 * l1_BQN - config.giou * giou_BQN
    if config.place:
        cost_BQN = cost_BQN + config.place * _patches_away(true_BN4, batch, cost_BQN.shape[1])
    return cost_BQN


def _patches_away(true_BN4: Tensor, batch: Batch, num_regions: int) -> Tensor:
    """Distance (B, Q, N) from the middle of each region's patch to that of each box, in patches."""
    height, width = batch.images_BCHW.shape[-2:]
    rows = round((num_regions * height / width) ** 0.5)  # patches are squares
    columns = num_regions // rows
    numbers_Q = torch.arange(num_regions, device=true_BN4.device)
    patches_Q2 = torch.stack([numbers_Q % columns, numbers_Q // columns], 1) + 0.5
    middles_BN2 = torch.stack([true_BN4[..., 0] * columns, true_BN4[..., 1] * rows], -1)
    return torch.cdist(
        patches_Q2.to(middles_BN2.dtype).expand(len(middles_BN2), -1, -1), middles_BN2
    )
