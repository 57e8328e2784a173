"""Compile the pipelines into packages.

The packages are committed, so that what a team uploads in the UI is what was reviewed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from omnidet import __version__
from pipelines import description
from pipelines.defaults import ROOT

NAMES = ("train_detector", "retrain")
"""Modules of this folder that hold a pipeline of the same name."""
FOLDER = Path(__file__).parent / "compiled"


def path(name: str) -> Path:
    """The committed package of a pipeline."""
    return FOLDER / f"{name}.yaml"


def compile_to(name: str, out: Path) -> None:
    """Compile one pipeline. The same code gives the same bytes."""
    from kfp import compiler

    pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name)
    out.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(out))
    written = out.read_text(encoding="utf-8")
    comments = "".join(takewhile(lambda line: line[0] == "#", written.splitlines(keepends=True)))
    documents = list(yaml.safe_load_all(written))
    info, inputs = documents[0]["pipelineInfo"], documents[0]["root"]["inputDefinitions"]
    about = " ".join(info["description"].split())
    info["description"] = description.describe(name, about, inputs["parameters"])
    text = yaml.safe_dump_all(documents, sort_keys=True, width=100, allow_unicode=True)
    out.write_text(comments + text, encoding="utf-8")


def without_cache(package: Path, out: Path) -> None:
    """Write the package with every step to run each time, those of loops and conditions too.

    A run of a version has the options that were compiled: kfp's client (2.17) drops what it is
    given.
    """
    documents = list(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    spec = documents[0]
    for component in (spec["root"], *spec["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    text = yaml.safe_dump_all(documents, sort_keys=True, width=100, allow_unicode=True)
    out.write_text(text, encoding="utf-8")


def stale() -> list[str]:
    """Names of the pipelines whose committed package differs from what their code gives."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            fresh = Path(folder) / f"{name}.yaml"
            compile_to(name, fresh)
            if not path(name).is_file() or path(name).read_bytes() != fresh.read_bytes():
                found.append(name)
    return found


def other_images(names: Sequence[str]) -> str:
    """For people: whether packages are for other images than this environment names; empty if not.

    To compile them again would make a package for images that nobody has pushed.
    """
    from components import images

    own = images.image("control")
    for name in names:
        with contextlib.suppress(ValueError, OSError):
            executors = spec(path(name))["deploymentSpec"]["executors"].values()
            found = {executor["container"]["image"] for executor in executors}
            control = next((image for image in sorted(found) if "/control:" in image), own)
            if control != own:
                return (
                    f": compiled for {control}, and OMNIDET_IMAGE_REPOSITORY and "
                    f"OMNIDET_IMAGE_TAG, set or not, say {own}: set them as they were then, or "
                    "run `python -m pipelines compile` for the others"
                )
    return ""


def require_images(name: str) -> None:
    """Raise ValueError if this environment names other images than a package was compiled for: its
    run would not have them.
    """
    from components import images

    other = other_images([name]) if any(os.environ.get(v) for v in images.VARIABLES) else ""
    if other:
        raise ValueError(f"{path(name)}{other}")


def spec(package: Path) -> dict[str, Any]:
    """The first document of a package: the pipeline itself.

    Raises ValueError if the file is not a compiled pipeline.
    """
    try:
        content = next(iter(yaml.safe_load_all(package.read_text(encoding="utf-8"))), None)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{package} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or "pipelineInfo" not in content:
        raise ValueError(
            f"{package} is not a compiled pipeline: make one with `python -m pipelines compile`"
        )
    return content


def described(package: Path) -> str:
    """The description that the UI shows of a pipeline and its version."""
    return str(spec(package)["pipelineInfo"].get("description", ""))


def version(package: Path) -> str:
    """Name of this version: omnidet's, the commit and a hash of the package, such as
    0.1.0-1b2c3d4e5f60-9a8b7c6d5e4f.

    A server that has a version of this name is not sent the package again: the name stands for its
    content, whatever file it is and whichever pipeline it is called.
    """
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
        commit = described.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = "unknown"
    return f"{__version__}-{commit}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
