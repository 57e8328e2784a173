"""Parameters of a pipeline, checked before anything starts: a step may see them only after days."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnidet import storage
from pipelines import package

TOLERATION = {"key", "operator", "value", "effect", "tolerationSeconds"}
KEYWORDS = ("pretrained", "random")
"""Weights that are no file."""
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
    for setting in given["settings"]:
        if not isinstance(setting, str):
            raise ValueError(
                f"settings={json.dumps(given['settings'])}: give a list of strings like "
                '["train.steps=100"]'
            )
    _check_placement(given)
    _check_backbone(given, is_on_cluster)
    if name == "train_detector":
        _check_configuration(given)
    else:
        _check_retraining(given)


def _check_configuration(given: Mapping[str, Any]) -> None:
    """What the first step of `train_detector` checks, as far as it can be known from here."""
    from components.run import configuration, own_settings, places

    if given["data"]:
        places.require_own(given["data"], given["workspace"])
    known = {field.name for field in dataclasses.fields(configuration.RunParameters)}
    own = {key: value for key, value in given.items() if key in known}
    # The first step looks into the registry, and reads a catalogue in the cluster's object store,
    # which may be out of reach from here.
    own |= {"workspace": "s3://unused", "run_id": "checked", "registry": ""}
    if storage.is_s3(own_settings.value(given["settings"], "download.catalogue")):
        own["download"] = []
    configuration.configure(configuration.RunParameters(**own))


def _check_retraining(given: Mapping[str, Any]) -> None:
    """What the first step of `retrain` checks, as far as it can be known without the registry."""
    from components.run import asked_for, new_detector, own_settings, places
    from omnidet.steps.retrain import check_name

    check_name(given["dataset"])
    places.check_apart(given["data"], {n: given[n] for n in ("registry", "workspace")})
    processes = given["num_nodes"] * max(1, given["gpus_per_node"])
    own = {field.name for field in dataclasses.fields(asked_for.Asked)} & set(given)
    asked = {key: given[key] for key in own}
    asked_for.check(asked_for.Asked(**asked, num_processes=processes))
    settings = given["settings"]
    if given["recipe"]:
        places.recipe(given["recipe"], settings)
    elif given["backbone"]:
        network = (given["backbone"], given["backbone_weights"])
        new_detector.recipe("", settings, given["dataset"], *network)
    else:  # the champion's recipe, which is not known here
        of_all = ("retrain.", "gate.", "train.")
        common = [s for s in own_settings.of_recipe(settings) if s.startswith(of_all)]
        new_detector.recipe("", common, given["dataset"])


def _check_backbone(given: Mapping[str, Any], is_on_cluster: bool) -> None:
    """Raise ValueError for a network that timm does not have, and weights that no pod reaches."""
    from omnidet.recipes import backbones

    name, weights = given["backbone"], given["backbone_weights"]
    backbones.settings(name, weights)
    is_file = weights and not weights.startswith("pip:") and weights not in KEYWORDS
    if is_file and is_on_cluster and not storage.is_s3(weights):
        raise ValueError(
            f"backbone_weights={weights} is a file here, which no pod reaches: "
            "give an s3:// URI, pip:PACKAGE, pretrained or random"
        )
    # The image `control` has no timm, and needs none otherwise: there the train step says it.
    if name not in ("", backbones.SMALL) and importlib.util.find_spec("timm"):
        timm = importlib.import_module("timm")
        model = name.partition(".")[0]
        if not timm.is_model(model):
            near = difflib.get_close_matches(model, timm.list_models(), n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"give {backbones.SMALL}"
            raise ValueError(f"backbone={name} is no model of timm: {hint}")


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
    from components.run import own_settings, sizes

    if given["train_steps"] < 0:
        raise ValueError(f"train_steps={given['train_steps']}: give 0 or more")
    names = ("num_nodes", "gpus_per_node", "cpus_per_node", "memory_per_node")
    sizes.Size(*(given[name] for name in names)).require_sound()
    memory = given["memory_per_node"]
    shared = own_settings.value(given["settings"], "job.shared_memory")
    most = sizes.number_of_bytes("memory_per_node", memory)
    own = sizes.number_of_bytes("job.shared_memory", shared) if shared else 0
    if given["num_nodes"] > 1 and own >= most:
        raise ValueError(
            f"job.shared_memory={shared} does not fit into memory_per_node={memory}, of which it "
            "is a part: give less"
        )
    queue = own_settings.value(given["settings"], "job.queue")
    if queue and not KUBERNETES_NAME.fullmatch(queue):
        raise ValueError(f"job.queue={queue!r} is not a Kubernetes name: give that of a LocalQueue")
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
    if not KUBERNETES_NAME.fullmatch(given["object_store"]):
        raise ValueError(
            f"object_store={given['object_store']!r} is not a Kubernetes name: "
            "use lower-case letters, digits, dots and dashes"
        )
