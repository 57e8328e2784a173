"""Box arithmetic: numbers worked by hand, torchvision's, and what a box without area does."""

from __future__ import annotations

import pytest
import torch
import torchvision

from omnidet import boxes


def some_boxes(n, seed=0):
    random = torch.Generator().manual_seed(seed)
    corners = torch.rand(n, 2, 2, generator=random, dtype=torch.float64).sort(1).values * 10
    return torch.cat([corners[:, 0], corners[:, 1]], -1)


def as_boxes(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_formats_by_hand():
    assert boxes.cxcywh_to_xyxy(as_boxes([5, 4, 2, 6])).tolist() == [[4, 1, 6, 7]]
    assert boxes.xyxy_to_cxcywh(as_boxes([4, 1, 6, 7])).tolist() == [[5, 4, 2, 6]]


def test_formats_round_trip_in_any_shape():
    xyxy = some_boxes(60).reshape(3, 20, 4)
    back = boxes.cxcywh_to_xyxy(boxes.xyxy_to_cxcywh(xyxy))
    assert back.shape == xyxy.shape
    torch.testing.assert_close(back, xyxy)


def test_area_by_hand():
    assert boxes.area(
        as_boxes([1, 2, 4, 6], [0, 0, 0, 9], [3, 3, 1, 1], [3, 0, 1, 2])
    ).tolist() == [12, 0, 0, 0]


@pytest.mark.parametrize(
    ("a", "b", "iou", "giou"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0, 1.0),
        # Overlap 1x1, union 4 + 4 - 1 = 7, hull 3x3.
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7, 1 / 7 - 2 / 9),
        # Apart: union 2, hull 4x1.
        ([0, 0, 1, 1], [3, 0, 4, 1], 0.0, -0.5),
        # Touching along a side: union 2, hull 2.
        ([0, 0, 1, 1], [1, 0, 2, 1], 0.0, 0.0),
        # One within the other: 2 of 12, hull 12.
        ([0, 0, 4, 3], [1, 1, 3, 2], 1 / 6, 1 / 6),
        # Apart in both directions: union 2, hull 3x3.
        ([0, 0, 1, 1], [2, 2, 3, 3], 0.0, -7 / 9),
    ],
)
def test_overlap_by_hand(a, b, iou, giou):
    for one, other in ((a, b), (b, a)):
        assert boxes.iou(as_boxes(one), as_boxes(other)).item() == pytest.approx(iou, abs=1e-12)
        assert boxes.generalized_iou(as_boxes(one), as_boxes(other)).item() == pytest.approx(
            giou, abs=1e-12
        )


def test_overlap_as_torchvision_has_it():
    a, b = some_boxes(40), some_boxes(30, seed=1)
    torch.testing.assert_close(boxes.area(a), torchvision.ops.box_area(a))
    torch.testing.assert_close(boxes.iou(a[:, None], b), torchvision.ops.box_iou(a, b))
    torch.testing.assert_close(
        boxes.generalized_iou(a[:, None], b), torchvision.ops.generalized_box_iou(a, b)
    )


def test_boxes_are_compared_with_their_partners():
    a, b = some_boxes(10), some_boxes(10, seed=1)
    torch.testing.assert_close(boxes.iou(a, b), torchvision.ops.box_iou(a, b).diagonal())
    torch.testing.assert_close(
        boxes.generalized_iou(a, b), torchvision.ops.generalized_box_iou(a, b).diagonal()
    )


DEGENERATE = {
    "point": [1.0, 1.0, 1.0, 1.0],
    "line": [0.0, 1.0, 5.0, 1.0],
    "crossed": [3.0, 3.0, 1.0, 1.0],
    "origin": [0.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("other", [*DEGENERATE.values(), [0.0, 0.0, 2.0, 2.0]])
@pytest.mark.parametrize("kind", DEGENERATE)
def test_degenerate_boxes_stay_finite_with_their_gradients(kind, other):
    box = torch.tensor([DEGENERATE[kind]], requires_grad=True)
    for function in (boxes.iou, boxes.generalized_iou):
        value = function(box, torch.tensor([other]))
        assert -1 <= value.item() <= 1
        (gradient,) = torch.autograd.grad(value.sum(), box)
        assert gradient.isfinite().all()


def test_smallest_predicted_box_still_overlaps_itself():
    side = boxes.MIN_SIDE
    box = torch.tensor([[0.5, 0.5, 0.5 + side, 0.5 + side]])
    assert boxes.iou(box, box).item() == pytest.approx(1.0)
    assert boxes.generalized_iou(box, box).item() == pytest.approx(1.0)


def test_no_boxes():
    none = torch.zeros(0, 4)
    assert boxes.iou(none[:, None], some_boxes(3)).shape == (0, 3)
    assert boxes.cxcywh_to_xyxy(none).shape == boxes.xyxy_to_cxcywh(none).shape == (0, 4)
