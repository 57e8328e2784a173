"""The parameters of a run -> its settings and folders, checked before anything costs time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import omnidet
from components.run import places
from omnidet import config
from omnidet.data.download import catalogue
from omnidet.recipes.recipe import Recipe

FIELDS = {
    "train_images": "world.train_images",
    "image_size": "model.image_size",
    "train_steps": "train.steps",
    "learning_rate": "train.optimizer.learning_rate",
    "seed": "train.seed",
}
"""Fields of the recipe by the pipeline parameters that set them."""
DATA_PARTS = ("world", "shards")
"""Parts of the recipe that shape the data."""
WATCHING = ("100m", "2Gi")
"""CPU and memory of a pod that watches a TrainJob."""


@dataclass(frozen=True, kw_only=True)
class RunParameters:
    """What a person gives to the pipeline.

    Attributes:
        settings: `field=value` for any field of the recipe; these override the numbers below.
        train_images: one of `FIELDS`, as are the next four; 0 leaves the field to the recipe (a
            seed of 0 is a seed).
        data: location of the datasets; empty draws those of the recipe.
        data_version: text that changes when the data does.
        run_id: what KFP calls the run.
        download: datasets to download into `data` first.
        catalogue: location of a catalogue to use instead of OmniDet's; empty uses OmniDet's.
        registry: checked now if given: days of training might pass before anyone notices that it
            is away.
        num_nodes: nodes to train on; `cpu`, `memory` and what follows are for each of them.
    """

    recipe: str
    settings: Sequence[str] = ()
    train_images: int = 0
    image_size: int = 0
    train_steps: int = 0
    learning_rate: float = 0
    seed: int = 0
    data: str = ""
    data_version: str = ""
    workspace: str
    run_id: str
    download: Sequence[str] = ()
    catalogue: str = ""
    registry: str = ""
    num_nodes: int = 1
    gpus_per_node: int = 0
    cpu: str = "2"
    memory: str = "16Gi"
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, object]] = ()


class Configured(NamedTuple):
    """A run as its steps take it.

    Data and vocabulary get only their own settings: no other setting makes their steps run again.
    The pod of the train step trains if there is one node, and else only watches the TrainJob. GPUs
    are text, empty for none: KFP's driver leaves out a limit that is a number.
    """

    data_settings: list[str]
    vocabulary_settings: list[str]
    settings: list[str]
    data_folder: str
    run_folder: str
    gpus: str
    train_gpus: str
    train_cpu: str
    train_memory: str
    train_node_selector: dict[str, str]
    train_tolerations: list[dict[str, object]]


def configure(given: RunParameters) -> Configured:
    """Settings and folders of a run. Raises ValueError or OSError for a parameter that is wrong."""
    settings = _settings(given)
    recipe = places.recipe(given.recipe, settings)
    if not given.data and recipe.world is None:
        raise ValueError(
            f"recipe {given.recipe} reads real data: "
            "set the parameter `data` to the folder or s3:// URI that holds it"
        )
    if recipe.world is not None and not given.data:
        recipe.world.require_drawable()
    run_folder = places.run_folder(given.workspace, given.run_id)
    named = {"data": given.data, "registry": given.registry}
    places.check({name: place for name, place in named.items() if place})
    datasets_to_download(given.data, given.download, given.catalogue)
    if given.registry:
        places.check_registry(given.registry)
    return Configured(
        [setting for setting in settings if _part(setting) in DATA_PARTS],
        [setting for setting in settings if _part(setting) == "vocabulary"],
        settings,
        places.data_folder(given.workspace, _data_facts(given, recipe)),
        run_folder,
        gpus_limit(given.gpus_per_node),
        *_train_pod(given),
    )


def gpus_limit(gpus: float) -> str:
    """A pod's limit of GPUs as the driver takes it: a parameter that is a number is no limit."""
    return str(int(gpus)) if gpus else ""


def _train_pod(
    given: RunParameters,
) -> tuple[str, str, str, dict[str, str], list[dict[str, object]]]:
    """GPUs, CPU, memory, node selector and tolerations of the pod of the train step."""
    if given.num_nodes != 1:
        return ("", *WATCHING, {}, [])
    tolerations = [dict(toleration) for toleration in given.tolerations]
    limit = gpus_limit(given.gpus_per_node)
    return limit, given.cpu, given.memory, dict(given.node_selector), tolerations


def datasets_to_download(
    data: str, names: Sequence[str], own_catalogue: str
) -> list[catalogue.Dataset]:
    """The datasets of these names. Raises ValueError for what cannot be downloaded into `data`."""
    if not names:
        return []
    if not data:
        raise ValueError(
            f"download={json.dumps(list(names))}: "
            "set the parameter `data` to the folder or s3:// URI to download into"
        )
    chosen = catalogue.choose(names, own_catalogue or None)
    for dataset in chosen:
        for file in dataset.files:
            if file.by_hand or file.token:
                needs = (
                    f"the access token {file.token}"
                    if file.token
                    else f"someone to accept its licence at {file.by_hand}"
                )
                raise ValueError(
                    f"download: {dataset.name} needs {needs}: get it beforehand with "
                    f"`omnidet download {dataset.name} --out s3://...`, and leave it out here"
                )
    return chosen


def _settings(given: RunParameters) -> list[str]:
    """The numbers as settings, then those that override them."""
    draws_world = places.recipe(given.recipe, ()).world is not None and not given.data
    numbers = {field: getattr(given, parameter) for parameter, field in FIELDS.items()}
    return [
        f"{field}={_number(number)}"
        for field, number in numbers.items()
        if (number or field == "train.seed") and (draws_world or _part(field) != "world")
    ] + list(given.settings)


def _data_facts(given: RunParameters, recipe: Recipe) -> list[object]:
    """All that the data depends on: its folder is named after this."""
    described = [config.describe(getattr(recipe, part)) for part in DATA_PARTS]
    facts = [omnidet.__version__, given.data, given.data_version, *described]
    return [*facts, [*sorted(set(given.download)), given.catalogue]] if given.download else facts


def _part(setting: str) -> str:
    """The part of the recipe that a setting or field belongs to."""
    return setting.partition(".")[0].strip()


def _number(value: float) -> str:
    """A number as text; some back ends hand integers over as floats."""
    return str(int(value)) if value == int(value) else repr(value)
