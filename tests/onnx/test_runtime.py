"""ONNX Runtime reports nothing, and leaves nothing in the home folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests import exports

QUIET = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
"""Variables that would turn the telemetry off by themselves."""


def _environment(home, **more):
    kept = {name: value for name, value in os.environ.items() if name not in QUIET}
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), **more}


def test_no_telemetry_is_prepared(exported, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (picture, *_) = exports.pictures(tmp_path)
    call = [sys.executable, "-m", "omnidet.onnx", str(exported.onnx), str(picture)]
    ran = subprocess.run(
        [*call, "--phrases", "ring"], env=_environment(home), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_a_variable_that_is_set_is_left_alone(tmp_path, before, after):
    given = {} if before is None else {"ORT_DISABLE_TELEMETRY": before}
    code = "import os; from omnidet.onnx import runtime; runtime.load(); print(os.environ[{!r}])"
    ran = subprocess.run(
        [sys.executable, "-c", code.format("ORT_DISABLE_TELEMETRY")],
        env=_environment(tmp_path, **given), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == after
