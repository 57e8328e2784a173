from __future__ import annotations

import pytest

from omnidet.registry import metrics_file


def test_the_flat_file_of_metrics(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text('{"coco/AP": 0.5, "coco/AP50": 1}')
    assert metrics_file.read(path) == {"coco/AP": 0.5, "coco/AP50": 1}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[0.5]", '{"AP": "high"}', '{"AP": true}', '{"AP": {"AP": 1}}']
)
def test_a_damaged_file_of_metrics_is_named(tmp_path, content):
    path = tmp_path / "metrics.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=str(path)):
        metrics_file.read(path)


def test_a_file_of_metrics_that_is_missing(tmp_path):
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(FileNotFoundError, match=str(path)):
            metrics_file.read(path)
