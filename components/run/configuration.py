"""The parameters of a run -> its settings and folders, checked before anything costs time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
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


class Configured(NamedTuple):
    """A run as its steps take it.

    Data and vocabulary get only their own settings: no other setting makes their steps run again.
    """

    data_settings: list[str]
    vocabulary_settings: list[str]
    settings: list[str]
    data_folder: str
    run_folder: str


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
    )


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
