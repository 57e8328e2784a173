"""Is there anything to learn? The answer, and the champion that is noted with it."""

from __future__ import annotations

import json

import pytest

from components.notice_new_data import notice_new_data
from omnidet import storage
from omnidet.registry import versions
from omnidet.steps import retrain
from tests.components.steps import retraining


def test_new_data_is_noted_with_the_champion(tmp_path):
    run, workspace = retraining(tmp_path), str(tmp_path / "w")
    given = (run.data, "cells", run.registry, "champion", workspace, "abc")
    assert notice_new_data.python_func(*given) is True
    noted = json.loads(storage.read_text(f"{workspace}/runs/abc/notice.json"))
    assert (noted["champion"], noted["dataset"], noted["data"]) == ("toy@1", "cells", run.data)
    assert noted["data_version"] == retrain.data_version(run.data)


def test_data_that_the_champion_knows_is_not_new(tmp_path):
    run = retraining(tmp_path)
    known = {"name": "cells", "data_version": retrain.data_version(run.data), "from": "toy@1"}
    model, metrics = tmp_path / "champion", {"coco/AP": 0.6}
    versions.register(run.registry, "toy", model, metrics, {retrain.TAUGHT: [known]})
    versions.promote(run.registry, "toy", 2)
    given = (run.data, "cells", run.registry, "champion", str(tmp_path / "w"), "abc")
    assert notice_new_data.python_func(*given) is False
    assert not (tmp_path / "w").exists()


def test_a_run_needs_a_workspace(tmp_path):
    with pytest.raises(ValueError, match="workspace is empty"):
        notice_new_data.python_func("s3://b/d", "cells", str(tmp_path), "champion", "", "abc")
