"""What commands are given: shards, a vocabulary, a detector, a picture, a registry; whole and
damaged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from omnidet import cli
from omnidet.registry import versions
from tests import toys


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each. No test changes anything in it."""
    folder: Path = tmp_path_factory.mktemp("commands")
    toys.write_shards(folder / "shards")
    toys.write_vocabulary(folder / "vocabulary")
    toys.write_bundle(folder / "model")
    picture = toys.png(90, 30, [(5, 5, 20, 20)])
    (folder / "picture.png").write_bytes(picture)
    (folder / "no-picture.png").write_text("no picture")
    (folder / "half-picture.png").write_bytes(picture[:100])
    (folder / "no-metrics.json").write_text("{")
    (folder / "empty").mkdir()
    for name, content in {
        "no.yaml": "recipe: [tiny_world",
        "list.yaml": "- recipe",
        "unknown-field.yaml": "recipe: tiny_world\ntrain:\n  stepps: 3\n",
        "wrong-type.yaml": "recipe: tiny_world\ntrain:\n  steps: many\n",
        "no-recipe.yaml": "train:\n  steps: 3\n",
    }.items():
        (folder / name).write_text(content)
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    _damage(folder)
    return folder


def _damage(folder: Path) -> None:
    """Shard folders and detectors with one part that is not as it was written."""
    for name in ("corrupt", "lost-shard", "bad-index"):
        toys.write_shards(folder / name)
    shard = folder / "corrupt" / "train" / "coco" / "000000.tar"
    shard.write_bytes(shard.read_bytes()[:-600] + b"x" + shard.read_bytes()[-599:])
    (folder / "lost-shard" / "train" / "coco" / "000000.tar").unlink()
    (folder / "bad-index" / "index.json").write_text('{"schema_version": 1}')
    for part in ("model.safetensors", "config.json", "vocabulary/tokenizer.json"):
        damaged = folder / f"damaged-{Path(part).stem}"
        toys.write_bundle(damaged)
        (damaged / part).write_bytes((damaged / part).read_bytes()[:50])


@pytest.fixture
def registry(place: Path, tmp_path: Path) -> str:
    """Three versions of `toy`, without a champion."""
    folder = tmp_path / "registry"
    for ap in (0.1, 0.2, 0.3):
        versions.register(folder, "toy", place / "model", {"coco/AP": ap}, {"run": f"run-{ap}"})
    return str(folder)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with exit code 2 and one line; returns what the line says."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert cli.main([*arguments]) == 2
        said = capsys.readouterr().err.splitlines()
        own = [line for line in said if line.startswith("omnidet ")]
        # What is left may be progress bars, which have not said anything.
        others = [line for line in said if line and line not in own]
        assert [line for line in others if "%|" not in line and "/?" not in line] == []
        assert len(own) == 1
        command, _, reason = own[0].partition(": ")
        assert command == f"omnidet {arguments[0]}"
        return reason

    return run
