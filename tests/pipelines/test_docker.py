"""The whole pipeline in the built images, with all that it makes in a real object store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import storage
from omnidet.registry import versions
from tests.conftest import Bucket
from tests.containers import engine
from tests.pipelines.test_local import MODEL, SETTINGS, STEPS, _direct

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.s3]


def test_the_whole_pipeline_in_its_images(
    tmp_path: Path,
    s3: Bucket,
    docker_images: engine.Images,
) -> None:
    """It registers in s3://, with the numbers of its steps called one by one in this process."""
    repository, _, tag = docker_images.reference["control"].partition("/control:")
    places = [f"workspace={s3.uri}/pipeline", f"registry={s3.uri}/registry"]
    images = ["--image-repository", repository, "--image-tag", tag]
    run_local = ["run-local", "--runner", "docker", "--out", str(tmp_path / "out"), *images]
    given = [f"train_steps={STEPS}", f"settings={json.dumps(SETTINGS)}", *places]
    ran = subprocess.run(
        [sys.executable, "-m", "pipelines", *run_local, *given],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    (version,) = versions.versions(f"{s3.uri}/registry", MODEL)
    assert versions.aliases(f"{s3.uri}/registry", MODEL) == {"champion": 1}
    assert version.metrics == _direct(tmp_path / "direct")
    (run,) = storage.list_folders(f"{s3.uri}/pipeline/runs")
    decision = json.loads(storage.read_text(f"{s3.uri}/pipeline/runs/{run}/gate.json"))
    assert decision["passed"] is True
