"""The parameters of a run -> its settings and folders, checked before anything costs time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import omnidet
from components.run import own_settings, places
from components.run.again import patiently
from components.run.sizes import Size
from omnidet import config, storage
from omnidet.data.download import catalogue
from omnidet.recipes import backbones
from omnidet.recipes.recipe import Recipe

DATA_PARTS = ("world", "shards")
"""Parts of the recipe that shape the data."""
OF_DATA = (*DATA_PARTS, "download")
"""Settings that its steps take begin with these."""
WATCHING = ("100m", "2Gi")
"""CPU and memory of a pod that watches a TrainJob."""


class Pods(NamedTuple):
    """What the pods that run the model ask for.

    The pod of the train step trains if there is one node, and else only watches the TrainJob. GPUs
    are text, empty for none: KFP's driver leaves out a limit that is a number.
    """

    gpus: str
    """Of an evaluation."""
    train_gpus: str
    train_cpu: str
    train_memory: str
    train_node_selector: dict[str, str]
    train_tolerations: list[dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class RunParameters:
    """What a person gives to the pipeline.

    Attributes:
        settings: `field=value` for any field of the recipe, which override what comes next, and
            for what `own_settings` lists.
        backbone: network to begin with, as `recipes.backbones` takes it; empty leaves the recipe's.
        backbone_weights: where its weights come from; empty takes those at hand.
        train_steps: 0 leaves them to the recipe.
        data: location of the datasets; empty draws those of the recipe.
        data_version: text that changes when the data does; empty looks at what `data` holds now.
        run_id: what KFP calls the run.
        download: datasets to download into `data` first.
        registry: checked now if given: days of training might pass before anyone notices that it
            is away. Without it, `data` is not looked at either: neither may be within reach.
        size: of the nodes that train.
    """

    recipe: str
    settings: Sequence[str] = ()
    backbone: str = ""
    backbone_weights: str = ""
    train_steps: int = 0
    data: str = ""
    data_version: str = ""
    workspace: str
    run_id: str
    download: Sequence[str] = ()
    registry: str = ""
    size: Size = field(default_factory=Size)


class Configured(NamedTuple):
    """A run as its steps take it.

    Data and vocabulary get only their own settings: no other setting makes their steps run again.
    The rest is that of `Pods`.
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


@patiently
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
    if given.data:
        places.require_own(given.data, given.workspace)
    datasets_to_download(given.data, given.download, _catalogue(given))
    if given.registry:
        places.check_registry(given.registry)
    return Configured(
        [setting for setting in settings if _part(setting) in OF_DATA],
        [setting for setting in settings if _part(setting) == "vocabulary"],
        settings,
        places.data_folder(given.workspace, _data_facts(given, recipe)),
        run_folder,
        *pods(given.size),
    )


def pods(size: Size) -> Pods:
    """What the pods of later steps ask for. Raises ValueError for a size that makes no sense."""
    size.require_sound()
    # A parameter that is a number is not a limit to KFP's driver.
    train_gpus = str(int(size.gpus_per_node)) if size.gpus_per_node else ""
    gpus = "1" if train_gpus else ""  # an evaluation is one process: the others would be idle
    if size.num_nodes != 1:
        return Pods(gpus, "", *WATCHING, {}, [])
    tolerations = [dict(toleration) for toleration in size.tolerations]
    machine = (size.cpus_per_node, size.memory_per_node, dict(size.node_selector), tolerations)
    return Pods(gpus, train_gpus, *machine)


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
    """The other parameters as settings, then those that override them."""
    steps = [f"train.steps={int(given.train_steps)}"] if given.train_steps else []
    backbone = backbones.settings(given.backbone, given.backbone_weights)
    return [*backbone, *steps, *given.settings]


def _catalogue(given: RunParameters) -> str:
    return own_settings.value(given.settings, "download.catalogue")


def _data_facts(given: RunParameters, recipe: Recipe) -> list[object]:
    """All that the data depends on: its folder is named after this."""
    described = [config.describe(getattr(recipe, part)) for part in DATA_PARTS]
    facts = [omnidet.__version__, given.data, given.data_version or _found(given), *described]
    return [*facts, [*sorted(set(given.download)), _catalogue(given)]] if given.download else facts


def _found(given: RunParameters) -> str:
    """What names the content of `data`, where nobody did: on a schedule nobody can, and the steps
    would always come from the cache.

    Empty for what is drawn, what is yet to be downloaded, and a folder, of which nothing is cached.
    """
    if not storage.is_s3(given.data) or given.download or not given.registry:
        return ""
    written = (*places.written(given.workspace), given.registry)
    beside = [place for place in written if not storage.is_inside(given.data, place)]
    found = storage.listing_hash(given.data, beside)
    print(f"{given.data} as it is now: version {found[:12]}", flush=True)
    return found


def _part(setting: str) -> str:
    """The part of the recipe that a setting or field belongs to."""
    return setting.partition(".")[0].strip()
