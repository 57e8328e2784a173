"""Run a pipeline on this machine through `kfp.local`: the same definition, without a cluster.

What a pipeline asks of Kubernetes is left out.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp import local

from components.run import own_settings
from omnidet import storage
from pipelines.defaults import ROOT

STORE_VARIABLES = (
    "AWS_",
    "MINIO_",
    "OMNIDET_",
    "OMP_NUM_THREADS",
    "SSL_CERT_FILE",
    "MODEL_REGISTRY_ADDRESS",
)
"""Environment variables that containers get from this process, by the beginnings of their names."""
IMAGE_VARIABLES = {"repository": "OMNIDET_IMAGE_REPOSITORY", "tag": "OMNIDET_IMAGE_TAG"}


@dataclass(frozen=True)
class Outcome:
    """What a run left in its folder.

    Attributes:
        folder: of the run, below the workspace; None if the run left none.
        metrics: all in one mapping; None if nothing was measured.
        version: the registered one, such as name@1; None if the gate refused.
        passed: the gate's verdict; None if it was not asked.
        has_nothing_to_do: whether a retraining found nothing new.
    """

    folder: str | None
    metrics: dict[str, float] | None
    version: str | None
    passed: bool | None
    error: str | None = None
    has_nothing_to_do: bool = False


def use_images(repository: str | None, tag: str | None) -> None:
    """Choose the images of the steps, before a pipeline is imported: its components name them."""
    for variable, value in zip(IMAGE_VARIABLES.values(), (repository, tag), strict=True):
        if value is not None:
            os.environ[variable] = value
    if "components.images" in sys.modules and (repository, tag) != (None, None):
        raise RuntimeError("the components have already been imported, with other images")


def absolute(places: Mapping[str, str], is_downloaded: bool = False) -> dict[str, str]:
    """The same locations, independent of the working directory.

    Args:
        is_downloaded: whether the run itself makes the folder `data`.

    Raises FileNotFoundError if `data` is a folder that does not exist.
    """
    found = {
        name: place if storage.is_s3(place) else str(Path(place).resolve())
        for name, place in places.items()
    }
    data = found.get("data")
    if data and not is_downloaded and not storage.is_s3(data) and not Path(data).is_dir():
        raise FileNotFoundError(
            f"data={data} does not exist: give the folder that holds the datasets"
        )
    return found


def run(
    name: str, runner: str, folder: Path, workspace: str, parameters: Mapping[str, Any]
) -> Outcome:
    """Run a pipeline and return its outcome.

    Args:
        name: `train_detector` or `retrain`.
        runner: `subprocess`, in this Python environment, or `docker`, in the images.
        folder: for the artifacts of the steps.
        workspace: the pipeline's parameter, a local folder or s3://.
        parameters: all others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Steps import `components` from the checkout, and share this process's working directory.
    paths = (str(ROOT), os.environ.get("PYTHONPATH"))
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    chosen = (
        local.SubprocessRunner(use_venv=False)
        if runner == "subprocess"
        else _docker(workspace, parameters)
    )
    # No workspace_root: kfp would remove that folder with all its contents when the pipeline ends.
    local.init(runner=chosen, pipeline_root=str(folder / "artifacts"))
    pipeline = getattr(importlib.import_module(f"pipelines.{name}"), name)
    before = _runs(workspace)
    error = None
    with warnings.catch_warnings(), _print_kept():
        # An image without "python" in its name.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="kfp.local")
        warnings.filterwarnings(
            "ignore", "Task .* have no effect in the current local runner", UserWarning
        )
        try:
            pipeline(workspace=workspace, **parameters)
        except RuntimeError as raised:  # kfp.local has no class of its own for a failed step
            error = " ".join(str(raised).split())
    if name == "retrain" and error is None and _runs(workspace) == before:
        return Outcome(None, None, None, None, has_nothing_to_do=True)
    return outcome(workspace, before, error)


def outcome(workspace: str, before: set[str], error: str | None = None) -> Outcome:
    """What the new run in the workspace left.

    Its files count, not what kfp says: to kfp, a container that was lost has succeeded.

    Args:
        before: the runs that were there before.
        error: why the run failed, if that is known already.
    """
    new = sorted(_runs(workspace) - before)
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
        error = f"{folder} has no registered.json, although the gate passed"
    return Outcome(folder, metrics, registered and registered["version"], passed, error)


@contextlib.contextmanager
def _print_kept() -> Iterator[None]:
    """Restore `print` afterwards.

    kfp indents it during a step; of two steps at once, the later one restores the other's.
    """
    own = builtins.print
    try:
        yield
    finally:
        builtins.print = own


def _docker(workspace: str, parameters: Mapping[str, Any]) -> local.DockerRunner:
    """A runner in containers.

    They run as this user, because artifacts come back through a mount, and on the host's network,
    because an object store may listen there.
    """
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
    catalogue = own_settings.value(parameters.get("settings", []), "download.catalogue")
    own_files = (catalogue, parameters.get("backbone_weights", ""))
    files += [file for file in own_files if Path(file).is_absolute()]
    mounts += [docker.types.Mount(file, file, type="bind", read_only=True) for file in files]
    return local.DockerRunner(
        environment={**variables, "HOME": "/tmp"},
        mounts=mounts,
        network_mode="host",
        shm_size="1g",
        user=f"{os.getuid()}:{os.getgid()}",
        working_dir="/tmp",
    )


def _runs(workspace: str) -> set[str]:
    return set(storage.list_folders(storage.join(workspace, "runs")))


def _json(folder: str, name: str) -> Any:
    path = storage.join(folder, name)
    return json.loads(storage.read_text(path)) if storage.exists(path) else None
