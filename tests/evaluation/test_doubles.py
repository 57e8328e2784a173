"""Two boxes of a name on one thing are counted once for each image."""

from __future__ import annotations

import numpy as np

from omnidet.evaluation.doubles import images_with_doubles

BOX, NEAR, HALF = (0, 0, 10, 10), (0, 0, 10, 8), (0, 0, 10, 5)


def doubles(*rows):
    images, categories, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return images_with_doubles(
        np.array(images, np.int64),
        np.array(categories, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
    )


def test_near_copies_under_one_name_count():
    assert doubles((7, 0, BOX), (7, 0, NEAR)) == {7}
    assert doubles((7, 0, BOX), (9, 1, BOX), (7, 0, HALF), (9, 1, NEAR), (9, 1, NEAR)) == {9}


def test_other_names_images_and_places_do_not():
    assert doubles((7, 0, BOX), (7, 1, BOX)) == frozenset()
    assert doubles((7, 0, BOX), (8, 0, BOX)) == frozenset()
    assert doubles((7, 0, BOX), (7, 0, HALF)) == frozenset()
    assert doubles((7, 0, BOX)) == frozenset()
    assert doubles() == frozenset()
