"""A detector is not measured on images that it was trained on."""

from __future__ import annotations

import pytest

from omnidet.data import shards
from omnidet.measures.unseen import require_unseen
from tests import leaking


def test_an_image_of_both_is_named(tmp_path):
    facts, recipe = leaking.write(tmp_path)
    index = shards.read_index(tmp_path)
    with pytest.raises(ValueError, match=r"eval/refcocog: 2 .*coco:3, coco:4") as caught:
        require_unseen(facts, index, recipe.evaluation)
    assert "\n" not in str(caught.value)
    others = {"recipe": {"streams": [{"name": "img", "sets": ["train/laion"]}]}}
    assert require_unseen(facts | others, index, recipe.evaluation)


@pytest.mark.parametrize("changed", [{"dataset_version": "other"}, {"recipe": {}}])
def test_other_shards_cannot_be_compared(tmp_path, changed):
    facts, recipe = leaking.write(tmp_path)
    assert not require_unseen(facts | changed, shards.read_index(tmp_path), recipe.evaluation)
