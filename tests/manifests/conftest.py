"""Overlays, built by the real tool: alone, and with the options that their comments show."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
OVERLAYS = {"local": "kubeflow", "cluster": "omnidet"}
KUBERNETES = "1.33"
CLUSTER_WIDE = {
    "ClusterQueue",
    "Namespace",
    "ResourceFlavor",
}


def objects(text: str) -> list[Object]:
    """The documents of a YAML file."""
    return [document for document in yaml.safe_load_all(text) if document]


@functools.cache
def kustomize(folder: Path) -> str:
    """What the real tool builds from a folder."""
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize", str(folder)]
    elif found := shutil.which("kustomize"):
        command = [found, "build", str(folder)]
    else:
        pytest.skip("neither kubectl nor kustomize is installed")
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


OPTIONS = {
    "cluster with Kueue": ("cluster", "overlays/cluster/kustomization.yaml", "LocalQueue"),
    "cluster with serving": (
        "cluster",
        "overlays/cluster/namespaced/kustomization.yaml",
        "InferenceService",
    ),
    "local with serving": (
        "local",
        "overlays/local/namespaced/kustomization.yaml",
        "InferenceService",
    ),
}
"""Overlay, the file that shows the option in a comment, and what the option brings."""


@pytest.fixture(params=[*OVERLAYS, *OPTIONS])
def overlay(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, list[Object]]:
    """Name and built objects of an overlay."""
    name = str(request.param)
    if name in OVERLAYS:
        return name, objects(kustomize(MANIFESTS / "overlays" / name))
    overlay, shown_in, brings = OPTIONS[name]
    copy = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, copy)
    file = copy / shown_in
    # As a person would: remove the comment signs.
    file.write_text(
        re.sub(
            r"^# (components:|  - (\.\./)+components/)", r"\1", file.read_text(), flags=re.MULTILINE
        )
    )
    built = objects(kustomize(copy / "overlays" / overlay))
    assert [item for item in built if item["kind"] == brings], (
        f"the overlay does not show how to add {brings}"
    )
    return overlay, built


def one(built: list[Object], kind: str, name: str) -> Object:
    """The object of that kind and name."""
    (found,) = [o for o in built if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def the_runtime(built: list[Object]) -> Object:
    """The training runtime, whose name ends with a hash."""
    (found,) = [o for o in built if o["kind"] == "TrainingRuntime"]
    return found


def containers(node: Any) -> Iterator[Object]:
    """All containers, however deep in an object."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("containers", "initContainers"):
                yield from value
            yield from containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from containers(value)
