"""Versions in a registry as files, without detectors: what judging reads."""

from __future__ import annotations

import json
from pathlib import Path

from omnidet import storage
from omnidet.registry.versions import Version


def version(
    registry: Path,
    number: int,
    metrics: dict[str, float],
    taught: list[dict[str, str]] = (),
    trained: dict[str, str] | None = None,
) -> Version:
    """A version of the model `cups`."""
    folder = registry / "cups" / str(number)
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "provenance.json").write_text(json.dumps({"taught": list(taught), **(trained or {})}))
    seal(folder)
    return Version("cups", number, str(folder))


def seal(folder: Path) -> None:
    """Make the folder a version: the hashes of its files."""
    hashes = {path.name: storage.sha256(path) for path in folder.iterdir()}
    (folder / "version.json").write_text(json.dumps({"sha256": hashes}))


def lesson(name: str, origin: str) -> dict[str, str]:
    """An entry of what a version was taught."""
    return {"name": name, "data_version": "abc", "from": origin}


def evaluated(
    folder: Path, reached: dict[str, float], untaught: dict[str, float], boxes: int = 40
) -> str:
    """A run's folder as the evaluation leaves it."""
    (folder / "zero_shot").mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(reached))
    (folder / "zero_shot" / "metrics.json").write_text(json.dumps(untaught))
    (folder / "measured.json").write_text(json.dumps({"boxes": boxes}))
    return str(folder)
