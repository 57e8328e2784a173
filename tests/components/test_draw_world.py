"""The data to read: given or drawn."""

from __future__ import annotations

import pytest

from components.draw_world import draw_world
from tests.components.steps import SETTINGS


def test_given_data_is_not_drawn(tmp_path):
    assert draw_world.python_func("s3://b/d", str(tmp_path), "tiny_world", []) == "s3://b/d"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_without_data_the_world_is_drawn(tmp_path):
    data = draw_world.python_func("", str(tmp_path), "tiny_world", SETTINGS)
    assert data == str(tmp_path / "world")
    assert (tmp_path / "world" / "coco" / "annotations").is_dir()
