"""Parameters of a pipeline, checked before anything starts: a step may see them only after days."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from omnidet import storage
from pipelines import package

TOLERATION = {"key", "operator", "value", "effect", "tolerationSeconds"}
KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def check(name: str, parameters: Mapping[str, Any], is_on_cluster: bool = False) -> None:
    """Raise ValueError for a parameter that a step or Kubernetes would refuse.

    Args:
        name: of the pipeline.
        parameters: those that differ from the defaults.
        is_on_cluster: whether the steps will run there.
    """
    # Imported here: what the steps need takes seconds, which not every command has to wait.
    from components.run import places

    defaults = package.spec(package.path(name))["root"]["inputDefinitions"]["parameters"]
    given = {key: parameters.get(key, value.get("defaultValue")) for key, value in defaults.items()}
    # A local run chooses workspace and registry itself if they are not given.
    named = {key for key in ("workspace", "registry") if is_on_cluster or key in parameters}
    if given["data"] or name == "retrain":
        named.add("data")
    places.check({key: given[key] for key in sorted(named)}, is_on_cluster)
    _check_placement(given)
    for setting in given["settings"]:
        if not isinstance(setting, str):
            raise ValueError(
                f"settings={json.dumps(given['settings'])}: give a list of strings like "
                '["train.steps=100"]'
            )
    if name == "train_detector":
        _check_configuration(given)
    else:
        places.recipe(given["recipe"], given["settings"])
    if "dataset" in given:
        from omnidet.steps import retrain

        retrain.check_name(given["dataset"])


def _check_configuration(given: Mapping[str, Any]) -> None:
    """What the first step of `train_detector` checks, as far as it can be known from here."""
    from components.run import configuration

    known = {field.name for field in dataclasses.fields(configuration.RunParameters)}
    own = {key: value for key, value in given.items() if key in known}
    # The first step looks into the registry, and reads a catalogue in the cluster's object store,
    # which may be out of reach from here.
    own |= {"workspace": "s3://unused", "run_id": "checked", "registry": ""}
    if storage.is_s3(given["catalogue"]):
        own["download"] = []
    configuration.configure(configuration.RunParameters(**own))


def check_store(registry: str, workspace: str) -> None:
    """Raise ValueError or OSError for a registry or workspace that cannot be used."""
    from components.run import places

    places.check_registry(registry)
    storage.list_folders(workspace)
    for name, place in (("registry", registry), ("workspace", workspace)):
        if not storage.is_s3(place):
            there = next(path for path in (Path(place), *Path(place).parents) if path.exists())
            try:
                tempfile.TemporaryFile(dir=there).close()
            except OSError as error:
                raise ValueError(
                    f"{name}={place} cannot be written ({error.strerror}): give another folder"
                ) from error


def _check_placement(given: Mapping[str, Any]) -> None:
    """What Kubernetes would refuse when training is about to start."""
    for name, least in (("num_nodes", 1), ("gpus_per_node", 0), ("gpus", 0)):
        if given.get(name, least) < least:
            raise ValueError(f"{name}={given[name]}: give {least} or more")
    for name in ("cpu", "memory", "shared_memory"):
        if name in given and not _is_quantity(given[name]):
            raise ValueError(
                f"{name}={given[name]!r} is not a Kubernetes quantity: give one like 16Gi or 2"
            )
    if given.get("num_nodes", 1) > 1:
        shared, memory = given["shared_memory"], given["memory"]
        if parse_quantity(shared) > parse_quantity(memory):
            raise ValueError(
                f"shared_memory={shared} is more than memory={memory}, of which it is a part: "
                "give less"
            )
    for toleration in given.get("tolerations", []):
        if not isinstance(toleration, dict) or not TOLERATION.issuperset(toleration):
            raise ValueError(
                f"tolerations={json.dumps(given['tolerations'])}: give a list of mappings like "
                '[{"key": "nvidia.com/gpu", "operator": "Exists"}]'
            )
    if not all(isinstance(value, str) for value in given.get("node_selector", {}).values()):
        raise ValueError(
            f"node_selector={json.dumps(given['node_selector'])}: labels are strings, like "
            '{"gpu": "true"}'
        )
    for name in ("object_store_secret", "object_store_config"):
        if not KUBERNETES_NAME.fullmatch(given[name]):
            raise ValueError(
                f"{name}={given[name]!r} is not a Kubernetes name: "
                "use lower-case letters, digits, dots and dashes"
            )


def _is_quantity(text: str) -> bool:
    try:
        return bool(parse_quantity(text) > 0)
    except ValueError:
        return False
