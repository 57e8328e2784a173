"""A small world with its shards and vocabulary, and steps run as commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnidet import cli
from tests import toy_runs

SETTINGS = [
    *("--recipe", "tiny_world"),
    *(part for field in (*toy_runs.SMALL, "mixing.workers=1") for part in ("--set", field)),
]


def run(*arguments: object) -> None:
    """Run a command that must succeed."""
    assert cli.main([str(argument) for argument in arguments]) == 0


def train_command(place: Path, out: Path) -> list[str]:
    """The command that trains on the shards and vocabulary of `place`."""
    inputs = ["--shards", str(place / "shards"), "--vocabulary", str(place / "vocabulary")]
    return ["train", *SETTINGS, *inputs, "--out", str(out)]


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `world`, `shards` and `vocabulary`. No test changes anything in it."""
    folder: Path = tmp_path_factory.mktemp("steps")
    run("world", *SETTINGS, "--out", folder / "world")
    run("shards", *SETTINGS, "--data", folder / "world", "--out", folder / "shards")
    run("vocabulary", *SETTINGS, "--shards", folder / "shards", "--out", folder / "vocabulary")
    return folder
