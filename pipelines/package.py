"""Compile the pipelines into packages, which stand in the repository: what a team uploads in the UI is what was reviewed."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from omnidet import __version__
from pipelines.defaults import ROOT

NAMES = ("train_detector", "retrain")
"""Modules of this folder that hold a pipeline of the same name."""
FOLDER = Path(__file__).parent / "compiled"


def path(name: str) -> Path:
    """Where the package stands."""
    return FOLDER / f"{name}.yaml"


def compile_to(name: str, out: Path) -> None:
    """Compile one pipeline. The same code gives the same bytes."""
    from kfp import compiler

    pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name)
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(out))


def stale() -> list[str]:
    """Names of the pipelines whose package in the repository is not what their code gives."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            fresh = Path(folder) / f"{name}.yaml"
            compile_to(name, fresh)
            if not path(name).is_file() or path(name).read_bytes() != fresh.read_bytes():
                found.append(name)
    return found


def spec(package: Path) -> dict[str, Any]:
    """The first document of a package: the pipeline itself. Raises ValueError if the file is none."""
    try:
        content = next(iter(yaml.safe_load_all(package.read_text(encoding="utf-8"))), None)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{package} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or "pipelineInfo" not in content:
        raise ValueError(
            f"{package} is no compiled pipeline: make it with `python -m pipelines compile`"
        )
    return content


def version(package: Path) -> str:
    """Name of this version: omnidet's version and the commit, and a hash of the package where files were changed since."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
        commit = described.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = "unknown"
    if commit == "unknown" or commit.endswith(
        "-dirty"
    ):  # then the name would not tell which package it is
        commit += "-" + hashlib.sha256(package.read_bytes()).hexdigest()[:12]
    return f"{__version__}-{commit}"
