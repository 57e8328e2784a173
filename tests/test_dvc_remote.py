"""DVC with its remote on an object store: what is pushed comes back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from omnidet import storage
from omnidet.data import shards
from tests.test_demo import copy_of_checkout
from tests.test_demo import run as run_in

pytestmark = [pytest.mark.s3, pytest.mark.slow]


@pytest.fixture
def project(s3, tmp_path):
    """Runs commands in a new git and DVC project whose remote is the bucket."""
    folder, home = tmp_path / "project", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "DVC_", "GIT_"))
    }
    keys = {
        name: s3.store.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    environment = (
        clean
        | keys
        | {"HOME": str(home), "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(home / "dvc")}
    )

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def dvc(*arguments: str) -> str:
        return run(sys.executable, "-m", "dvc", *arguments)

    run("git", "init", "--quiet")
    dvc("init", "--quiet")
    dvc("remote", "add", "--default", "store", f"{s3.uri}/dvc")
    dvc("remote", "modify", "store", "endpointurl", s3.store.endpoint)
    dvc("remote", "modify", "store", "region", "us-east-1")
    return folder, dvc


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in storage.list_files(folder)}


def test_pushed_data_comes_back(s3, project):
    folder, dvc = project
    for name, size in (
        ("a.tar", 100_000),
        ("b/ärger 红.json", 10),
        ("empty", 0),
        ("large.tar", 12 << 20),
    ):
        storage.write_bytes(folder / "data" / name, os.urandom(size))
    before = contents(folder / "data")
    dvc("add", "data")
    assert "new:" in dvc("status", "--cloud")
    dvc("push")
    assert "in sync" in dvc("status", "--cloud")
    assert (
        len(storage.list_files(f"{s3.uri}/dvc")) == len(before) + 1
    )  # one more: the folder's list
    shutil.rmtree(folder / ".dvc/cache")
    shutil.rmtree(folder / "data")
    dvc("pull")
    assert contents(folder / "data") == before
    assert "up to date" in dvc("status")
    config = (folder / ".dvc/config").read_text()
    assert s3.store.endpoint in config
    assert s3.store.secret_key not in config


def test_a_second_clone_pulls_and_trains_nothing_again(s3, tmp_path):
    """A colleague's outputs come from the store; `dvc.lock` says that this code made them."""
    first, second = copy_of_checkout(tmp_path / "first"), tmp_path / "second"
    run_in(first, "dvc", "remote", "add", "--default", "store", f"{s3.uri}/dvc")
    run_in(first, "dvc", "remote", "modify", "store", "endpointurl", s3.store.endpoint)
    run_in(first, "dvc", "repro", "train")
    run_in(first, "git", "add", "--all")
    run_in(
        first,
        "git",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.org",
        "commit",
        "--quiet",
        "--message",
        "trained",
    )
    assert "new:" in run_in(first, "dvc", "status", "--cloud")
    run_in(first, "dvc", "push")
    assert "in sync" in run_in(first, "dvc", "status", "--cloud")

    run_in(tmp_path, "git", "clone", "--quiet", str(first), str(second))
    assert not (second / "runs/demo/model").exists()
    run_in(second, "dvc", "pull", "--with-deps", "train")
    again = run_in(second, "dvc", "repro", "train")
    assert "Data and pipelines are up to date" in again, again
    assert contents(second / "runs/demo/model") == contents(first / "runs/demo/model")
    trained_on = json.loads((second / "runs/demo/model/config.json").read_text())["provenance"][
        "dataset_version"
    ]
    assert trained_on == shards.read_index(str(second / "data/shards")).dataset_version
