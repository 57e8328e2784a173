"""Where a run keeps what it makes, and the checks of the places that people name.

<workspace>/data/<key>/   world, shards, vocabulary-<hash>: shared by all runs that make them
                          from the same data and settings, which the key is a hash of
<workspace>/runs/<id>/    model, evaluation, metrics.json, report.html, gate.json and
                          registered.json of one run
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.run import own_settings
from omnidet import config, storage
from omnidet.recipes.loading import load_recipe
from omnidet.recipes.recipe import Recipe
from omnidet.registry import kubeflow, versions

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def recipe(name: str, settings: Sequence[str]) -> Recipe:
    """The recipe with `field=value` settings; those of the pipeline itself are left out."""
    return load_recipe(None, name, own_settings.of_recipe(settings))


def run_folder(workspace: str, run_id: str) -> str:
    """The folder of one run. Raises ValueError without an id or for a wrong workspace."""
    if not run_id:
        raise ValueError("the run has no id: its outputs would overwrite those of other runs")
    check({"workspace": workspace})
    return storage.join(workspace, "runs", run_id)


def data_folder(workspace: str, facts: object) -> str:
    """The folder of everything that is made from these facts about the data."""
    return storage.join(workspace, "data", _hash(facts))


def require_own(data: str, workspace: str) -> None:
    """Raise ValueError for data in the very folder in which runs keep what they make: each run
    would find other data there than the one before.
    """
    for place in written(workspace):
        if storage.is_inside(data, place) and storage.is_inside(place, data):
            raise ValueError(
                f"data={data} is where the runs of workspace={workspace} keep what they make: "
                "give the data, or the runs, a folder of their own"
            )


def written(workspace: str) -> list[str]:
    """The folders that runs write to."""
    return [storage.join(workspace, folder) for folder in ("data", "runs")]


def shards(data_folder: str) -> str:
    """Location of the shard folder."""
    return storage.join(data_folder, "shards")


def vocabulary(data_folder: str, recipe: Recipe) -> str:
    """Location of the vocabulary that this recipe makes from the shards."""
    return storage.join(data_folder, f"vocabulary-{_hash(config.describe(recipe.vocabulary))}")


def metrics(run_folder: str) -> str:
    """Location of the flat metrics file."""
    return storage.join(run_folder, "metrics.json")


def decision(run_folder: str) -> str:
    """Location of the gate's decision."""
    return storage.join(run_folder, "gate.json")


def namespace() -> str:
    """The namespace of this pod; empty outside of a pod.

    `trainjob.connection.own_namespace` needs the Kubernetes client, which not every image has.
    """
    return NAMESPACE_FILE.read_text(encoding="utf-8").strip() if NAMESPACE_FILE.is_file() else ""


def check(places: Mapping[str, str], is_on_cluster: bool | None = None) -> None:
    """Raise ValueError for a location that is empty, malformed, or lost with the pod of its step.

    Args:
        places: locations by the names of their parameters.
        is_on_cluster: whether the steps run on a cluster; None asks whether this process does.
    """
    if is_on_cluster is None:
        is_on_cluster = bool(namespace())
    for name, place in places.items():
        if not place.strip():  # an empty one would mean the root
            raise ValueError(f"{name} is empty: give a folder or s3:// URI")
        if re.match(r"s3:/*[^/]", place, re.IGNORECASE) and not storage.is_s3(place):
            bucket = re.sub(r"^s3:/*", "", place, flags=re.IGNORECASE)
            raise ValueError(f"{name}={place} is not an S3 URI: write s3://{bucket}")
        if "://" in place and not storage.is_s3(place):
            raise ValueError(
                f"{name}={place} is neither a folder nor an s3:// URI: give one of them"
            )
        if storage.is_s3(place) and not place.removeprefix("s3://").partition("/")[0]:
            raise ValueError(f"{name}={place} names no bucket: give s3://bucket/folder")
        if is_on_cluster and not storage.is_s3(place):
            raise ValueError(
                f"{name}={place} is a folder inside one pod, lost when the pod ends: "
                "give an s3:// URI"
            )


def check_apart(data: str, written: Mapping[str, str]) -> None:
    """Raise ValueError for a place inside the data that runs write to: whatever they write would be
    new data, and each night's run would train.

    Args:
        written: locations by the names of their parameters.
    """
    for name, place in written.items():
        try:
            storage.require_outside(place, data)
        except ValueError as error:
            raise ValueError(
                f"{name}: {error}, or put the pictures into a folder of their own: what runs write "
                "would pass for new pictures"
            ) from None


def check_registry(registry: str) -> None:
    """Raise ValueError or OSError unless the registry and, if one is named, Kubeflow's answer."""
    versions.check(registry)
    storage.list_folders(registry)  # raises an error that says what is wrong with the object store
    if kubeflow.address():
        kubeflow.connect()


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
