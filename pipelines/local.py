"""Run a pipeline on this machine through `kfp.local`: the same definition, no cluster. What is Kubernetes' is left out."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import local
from kubernetes.utils.quantity import parse_quantity

from omnidet import storage
from omnidet.steps import retrain
from pipelines import package
from pipelines.defaults import ROOT

STORE_VARIABLES = (
    "AWS_",
    "MINIO_",
    "OMNIDET_",
    "OMP_NUM_THREADS",
    "SSL_CERT_FILE",
    "MODEL_REGISTRY_ADDRESS",
)
"""What containers get of this process's environment, by the beginning of the name."""
CONFIGURED = ("train_images", "image_size", "train_steps", "learning_rate", "seed")
"""Parameters for the fields `components.run.train_detector.NUMBERS`."""
TOLERATION = {"key", "operator", "value", "effect", "tolerationSeconds"}
KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
IMAGE_VARIABLES = {"repository": "OMNIDET_IMAGE_REPOSITORY", "tag": "OMNIDET_IMAGE_TAG"}


@dataclass(frozen=True)
class Outcome:
    """What a run left in its folder.

    Attributes:
        folder: of the run, below the workspace; None if it did not come that far.
        metrics: by benchmark; None if it was not measured.
        version: that was registered, as name@1; None if the gate said no.
        passed: what the gate said; None if it was not asked.
    """

    folder: str | None
    metrics: dict[str, float] | None
    version: str | None
    passed: bool | None
    error: str | None = None
    has_nothing_to_do: bool = False
    """Whether a retraining found nothing new."""


def use_images(repository: str | None, tag: str | None) -> None:
    """Name the images of the steps. Before the pipeline is imported: its components hold their names."""
    for variable, value in zip(IMAGE_VARIABLES.values(), (repository, tag), strict=True):
        if value is not None:
            os.environ[variable] = value
    if "components.images" in sys.modules and (repository, tag) != (None, None):
        raise RuntimeError("the components are imported already, with other images")


def check(name: str, parameters: Mapping[str, Any], is_on_cluster: bool = False) -> None:
    """Raise ValueError now for a setting that a step would refuse, three times, perhaps after days."""
    from components.run import train_detector

    defaults = package.spec(package.path(name))["root"]["inputDefinitions"]["parameters"]
    given = {key: parameters.get(key, value.get("defaultValue")) for key, value in defaults.items()}
    # A local run has places of its own for what is not given.
    places = {
        key: given[key] for key in ("workspace", "registry") if is_on_cluster or key in parameters
    }
    places |= {"data": given["data"]} if given["data"] or name == "retrain" else {}
    train_detector.check_places(places, is_on_cluster)
    _check_placement(given)
    for setting in given["settings"]:
        if not isinstance(setting, str):
            raise ValueError(
                f'settings={json.dumps(given["settings"])}: give texts, as ["train.steps=100"]'
            )
    numbers = [given[key] for key in CONFIGURED if key in given]
    if len(numbers) == len(train_detector.NUMBERS):
        # A catalogue on the cluster's object store is read there, by the first step: from here it may be out of reach.
        download = [] if storage.is_s3(given["catalogue"]) else given["download"]
        of_data = (
            given["data"],
            given["data_version"],
            "unused",
            "checked",
            "",
            download,
            given["catalogue"],
        )
        train_detector.configure(given["recipe"], given["settings"], numbers, *of_data)
    else:
        train_detector.recipe(given["recipe"], given["settings"])
    if "dataset" in given:
        retrain.check_name(given["dataset"])


def _check_placement(given: Mapping[str, Any]) -> None:
    """What Kubernetes would refuse, when it is the turn of the training."""
    for name, least in (("num_nodes", 1), ("gpus_per_node", 0), ("gpus", 0)):
        if given.get(name, least) < least:
            raise ValueError(f"{name}={given[name]}: give {least} or more")
    for name in ("cpu", "memory", "shared_memory"):
        if name in given:
            try:
                is_quantity = parse_quantity(given[name]) > 0
            except ValueError:
                is_quantity = False
            if not is_quantity:
                raise ValueError(
                    f"{name}={given[name]!r} is no quantity of Kubernetes: give one, as 16Gi or 2"
                )
    if given.get("num_nodes", 1) > 1 and parse_quantity(given["shared_memory"]) > parse_quantity(
        given["memory"]
    ):
        shared, memory = given["shared_memory"], given["memory"]
        raise ValueError(
            f"shared_memory={shared} is more than memory={memory}, of which it is a part: give less"
        )
    for toleration in given.get("tolerations", []):
        if not isinstance(toleration, dict) or not TOLERATION.issuperset(toleration):
            example = '[{"key": "nvidia.com/gpu", "operator": "Exists"}]'
            raise ValueError(
                f"tolerations={json.dumps(given['tolerations'])}: give mappings, as {example}"
            )
    if not all(isinstance(value, str) for value in given.get("node_selector", {}).values()):
        raise ValueError(
            f'node_selector={json.dumps(given["node_selector"])}: labels are texts, as {{"gpu": "true"}}'
        )
    for name in ("object_store_secret", "object_store_config"):
        if not KUBERNETES_NAME.fullmatch(given[name]):
            raise ValueError(
                f"{name}={given[name]!r} is no name of Kubernetes: use lower-case letters, digits, dots and dashes"
            )


def check_store(registry: str, workspace: str) -> None:
    """Raise ValueError or OSError for a registry or workspace that cannot be used, before anything is made."""
    from components.run import train_detector

    train_detector.check_registry(registry)
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


def absolute(places: Mapping[str, str], is_data_brought: bool = False) -> dict[str, str]:
    """The locations without regard to a working directory. FileNotFoundError for data that is not there, nor to be brought."""
    found = {
        name: place if storage.is_s3(place) else str(Path(place).resolve())
        for name, place in places.items()
    }
    if (
        "data" in found
        and not is_data_brought
        and not storage.is_s3(found["data"])
        and not Path(found["data"]).is_dir()
    ):
        raise FileNotFoundError(
            f"data={found['data']} does not exist: give the folder that holds the datasets"
        )
    return found


def run(
    name: str, runner: str, folder: Path, workspace: str, parameters: Mapping[str, Any]
) -> Outcome:
    """Run a pipeline and tell what came of it.

    Args:
        name: `train_detector` or `retrain`.
        runner: `subprocess`, in this Python environment, or `docker`, in the images.
        folder: for the artifacts of the steps.
        workspace: the pipeline's parameter, a local folder or s3://.
        parameters: the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Steps import `components` from the checkout; their working directory is this process's.
    os.environ["PYTHONPATH"] = os.pathsep.join(
        p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p
    )
    chosen = (
        local.SubprocessRunner(use_venv=False)
        if runner == "subprocess"
        else _docker(workspace, parameters)
    )
    # No workspace_root: kfp removes that folder, with all that is in it, when the pipeline ends.
    local.init(runner=chosen, pipeline_root=str(folder / "artifacts"))
    pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name)
    before = set(storage.list_folders(storage.join(workspace, "runs")))
    error = None
    with warnings.catch_warnings(), _print_kept():
        warnings.filterwarnings(
            "ignore", category=RuntimeWarning, module="kfp.local"
        )  # an image without "python" in its name
        warnings.filterwarnings(
            "ignore", "Task .* have no effect in the current local runner", UserWarning
        )
        try:
            pipeline(workspace=workspace, **parameters)
        except RuntimeError as raised:  # kfp.local has no class of its own for a step that failed
            error = " ".join(str(raised).split())
    if (
        name == "retrain"
        and error is None
        and set(storage.list_folders(storage.join(workspace, "runs"))) == before
    ):
        return Outcome(None, None, None, None, has_nothing_to_do=True)
    return outcome(workspace, before, error)


def outcome(workspace: str, before: set[str], error: str | None = None) -> Outcome:
    """Read the folder of the run that is new. The files count, not what kfp says: it takes a lost container for a success."""
    new = sorted(set(storage.list_folders(storage.join(workspace, "runs"))) - before)
    if len(new) != 1:
        what = "the run left no folder" if not new else f"several runs at once: {', '.join(new)}"
        return Outcome(
            None, None, None, None, error or f"{what} in {storage.join(workspace, 'runs')}"
        )
    folder = storage.join(workspace, "runs", new[0])
    metrics, decision = _json(folder, "metrics.json"), _json(folder, "gate.json")
    registered = _json(folder, "registered.json")
    if error is None and decision is None:
        error = f"{folder} has no gate.json: a step before the gate failed"
    passed = None if decision is None else bool(decision["passed"])
    if error is None and passed and registered is None:
        error = f"{folder} has no registered.json though the gate said yes"
    return Outcome(folder, metrics, registered and registered["version"], passed, error)


@contextlib.contextmanager
def _print_kept() -> Iterator[None]:
    """Give back `print`: kfp indents it during a step, and of two at once the later one restores the other's."""
    own = builtins.print
    try:
        yield
    finally:
        builtins.print = own


def _docker(workspace: str, parameters: Mapping[str, Any]) -> local.DockerRunner:
    """As this user, for artifacts come back through a mount; with the host's network, for an object store may listen there."""
    try:
        import docker
    except ImportError as error:
        raise ValueError(
            "the Docker runner needs the Python package docker: pip install docker"
        ) from error
    try:
        with contextlib.closing(docker.from_env()) as client:
            client.ping()
    except docker.errors.DockerException as error:
        raise ValueError(
            f"no Docker engine answers ({error}): start one, or use --runner subprocess"
        ) from error
    variables = {
        name: value for name, value in os.environ.items() if name.startswith(STORE_VARIABLES)
    }
    mounts = []
    for place in (workspace, parameters.get("registry", ""), parameters.get("data", "")):
        if place and not storage.is_s3(place):
            Path(place).mkdir(parents=True, exist_ok=True)
            mounts.append(docker.types.Mount(place, place, type="bind"))
    files = [
        variables[name]
        for name in ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_SHARED_CREDENTIALS_FILE")
        if name in variables
    ]
    catalogue = parameters.get("catalogue", "")
    files += [catalogue] if catalogue and not storage.is_s3(catalogue) else []
    mounts += [docker.types.Mount(file, file, type="bind", read_only=True) for file in files]
    return local.DockerRunner(
        environment={**variables, "HOME": "/tmp"},
        mounts=mounts,
        network_mode="host",
        shm_size="1g",
        user=f"{os.getuid()}:{os.getgid()}",
        working_dir="/tmp",
    )


def _json(folder: str, name: str) -> Any:
    path = storage.join(folder, name)
    return json.loads(storage.read_text(path)) if storage.exists(path) else None
