import numpy as np
import torch

from omnidet import boxes
from omnidet.evaluation.box_iou import iou_xywh, iou_xyxy


def test_iou_of_corners_equals_that_of_training_in_doubles():
    random = np.random.default_rng(0)
    corners = random.uniform(0, 50, (2, 200, 2))
    first, second = (np.concatenate([c, c + random.uniform(0, 50, (200, 2))], 1) for c in corners)
    second[0, 2:] = second[0, :2] - 1  # crossed corners have no area
    first[1] = second[1] = 5.0  # nor has a point
    expected = boxes.iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    assert np.array_equal(iou_xyxy(first, second), expected)
    assert iou_xyxy(first[:, None], second).shape == (200, 200)


def test_exactly_one_half_is_not_rounded_away():
    true = np.array([0.1, 0.1, 30.1, 10.1], np.float32)
    found = np.array([0.1, 0.1, 15.1, 10.1], np.float32)
    assert iou_xyxy(np.array([0, 0, 10, 5]), np.array([0, 0, 10, 10])) == 0.5
    assert iou_xyxy(found, true).dtype == np.float64


def test_iou_of_corner_and_size_and_its_share_for_crowds():
    found, true = np.array([0.0, 0, 10, 10]), np.array([[5.0, 0, 10, 10], [20, 0, 10, 10]])
    assert iou_xywh(found, true).tolist() == [50 / 150, 0]
    assert iou_xywh(found, true, np.array([True, True])).tolist() == [0.5, 0]
    assert iou_xywh(true[:, None], true).shape == (2, 2)
