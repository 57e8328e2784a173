"""L1 of matched boxes, by hand."""

from __future__ import annotations

import torch

from omnidet.losses.boxes_l1 import boxes_l1
from tests import toys


def test_sum_over_the_matched_pairs():
    batch = toys.batch()
    predictions = toys.predictions(batch, toys.leaves())
    boxes, expected = predictions.boxes_cxcywh_BQ4.detach(), torch.zeros(3)
    for (image, region, box), stream in zip(
        zip(*toys.MATCHES, strict=True), (0, 0, 0, 1, 1), strict=True
    ):
        pairs = zip(boxes[image, region], batch.boxes_cxcywh_BN4[image, box], strict=True)
        expected[stream] += sum(abs(float(a) - float(b)) for a, b in pairs)
    term = boxes_l1(predictions, batch, toys.matches())
    torch.testing.assert_close(term.total_S, expected)
    assert term.count_S.tolist() == [3, 2, 0]
