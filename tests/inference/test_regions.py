"""Pictures of any sizes go through the detector together and come back in their own order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omnidet.inference import pictures
from omnidet.inference.regions import regions_of
from tests import toys


def test_each_picture_has_the_regions_that_it_has_alone():
    detector = toys.toy_detector(0).eval()
    sizes = [(300, 100), (16, 16), (64, 64), (40, 80)]
    opened = [pictures.read(toys.png(*size, [(2, 2, 9, 9)])) for size in sizes]
    together = regions_of(detector, opened)
    for picture, (boxes, embeddings) in zip(opened, together, strict=True):
        ((own_boxes, own_embeddings),) = regions_of(detector, [picture])
        np.testing.assert_allclose(boxes, own_boxes, atol=1e-3)
        torch.testing.assert_close(embeddings, own_embeddings, atol=1e-5, rtol=1e-4)
        assert boxes.shape == (len(embeddings), 4)
        assert (boxes >= 0).all()
        assert (boxes <= [picture.width, picture.height] * 2).all()


def test_half_precision_is_close_and_not_the_same():
    detector = toys.toy_detector(0).eval()
    opened = [pictures.read(toys.png(64, 64, [(5, 5, 30, 30)]))]
    ((boxes, embeddings),) = regions_of(detector, opened)
    ((half_boxes, half),) = regions_of(detector, opened, torch.bfloat16)
    assert not torch.equal(embeddings, half.float())
    torch.testing.assert_close(half.float(), embeddings, atol=0.1, rtol=0.1)
    np.testing.assert_allclose(half_boxes, boxes, atol=2)


def test_a_damaged_file_is_named():
    content = toys.png(64, 64, [])
    damaged = pictures.read(content[: len(content) // 2], "image 3")
    with pytest.raises(ValueError, match="image 3"):
        regions_of(toys.toy_detector(0).eval(), [damaged])
