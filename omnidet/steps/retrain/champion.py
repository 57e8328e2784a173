"""The champion that is taught, the data, and whether there is anything new to learn."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from omnidet import config, recipes, storage
from omnidet.data import shards
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.folder_formats.folder import walk
from omnidet.model import bundle
from omnidet.model.backbones.timm_features import TimmFeatures
from omnidet.model.config import BackboneConfig
from omnidet.recipes import retrain as variants
from omnidet.recipes.recipe import Recipe, RetrainConfig
from omnidet.registry import gate as gate_module
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.storage import Location
from omnidet.training.config import TrainConfig

TAUGHT = "taught"
"""In the provenance of a version: what it was taught beyond its first training, the newest last."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


class Remedies(NamedTuple):
    """How people say what a message advises them to."""

    teach: str
    """Which detector to teach."""
    new: str
    """That a new one is wanted."""
    own: str
    """That what is taught is to be a model of its own."""
    replay: str
    """Where the old shards are, or `none`, which follows."""


BY_OPTION = Remedies("--from {name}@champion", "--from photo-small", "--as NAME", "--replay ")
"""The command's users."""
BY_PARAMETER = Remedies(
    "champion={name}@champion", "backbone=photo-small", "register.name=NAME", "retrain.replay="
)
"""The pipeline's."""


@dataclass(frozen=True)
class Notice:
    """Whether there is anything to learn."""

    is_new: bool
    data_version: str
    """Hash over the names and contents of all files of the data."""
    champion: Version
    why: str
    """For people."""


def notice(
    data: Location,
    registry: Location,
    reference: str,
    name: str,
    reading: ReadConfig | None = None,
) -> Notice:
    """Compare the data with what the champion was taught.

    Args:
        data: annotated folder, local or `s3://`.
        reference: the champion, as `find_champion` takes it.
        name: of the dataset.
        reading: how it is read: cut or named in another way, it is another dataset.
    """
    check_name(name)
    champion = find_champion(registry, reference)
    version = data_version(data, reading)
    known = state_of(champion, name)
    if known == version:
        return Notice(
            False,
            version,
            champion,
            f"nothing new: {champion} was taught {name} {version[:12]} already",
        )
    before = f", it knows {name} {known[:12]}" if known else ""
    return Notice(True, version, champion, f"{name} {version[:12]} is new to {champion}{before}")


def state_of(version: Version, name: str) -> str:
    """Data version of the dataset that it was taught last, which took the place of earlier states
    of it; empty if it was never taught one of that name."""
    states = [t["data_version"] for t in version.provenance.get(TAUGHT, []) if t["name"] == name]
    return states[-1] if states else ""


def check_name(name: str) -> None:
    """Raise ValueError for a dataset name that cannot name shards and metrics."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"dataset name {name!r}: use lower-case letters, digits, dashes and underscores, as "
            "--name blood-cells"
        )


def find_champion(registry: Location, reference: str, remedies: Remedies = BY_OPTION) -> Version:
    """The version that `champion`, `NAME` or `NAME@3` means; without an alias of that name the
    newest version.

    Args:
        remedies: what is advised where the registry holds several models.

    Raises ValueError that lists what there is.
    """
    name, at, _ = reference.partition("@")
    if name == versions.CHAMPION and not at:
        models = versions.models(registry)
        if not models:
            raise ValueError(
                f"{registry} holds no model: name the registry with --registry, or train a "
                "detector first"
            )
        if len(models) > 1:
            teach = remedies.teach.format(name=models[0])
            raise ValueError(
                f"{registry} holds {', '.join(models)}: say which one to teach, as {teach}, or "
                f"make a new detector, {remedies.new}"
            )
        name = models[0]
    if not at or reference.endswith(f"@{versions.CHAMPION}"):
        return versions.find(
            registry,
            f"{name}@champion" if versions.CHAMPION in versions.aliases(registry, name) else name,
        )
    return versions.find(registry, reference)


def require_current(registry: Location, start: Version, remedies: Remedies = BY_OPTION) -> None:
    """Raise ValueError for another version than the champion, whose place the taught one could not
    take: now, and not after the training.
    """
    number = versions.aliases(registry, start.name).get(versions.CHAMPION, start.number)
    if number != start.number:
        teach = remedies.teach.format(name=start.name)
        raise ValueError(
            f"{start} is not the champion, {start.name}@{number} is, and only what begins with it "
            f"takes its place: give {teach}, or {remedies.own} for a model of its own"
        )


def require_whole(champion: Version) -> None:
    """Raise ValueError now, and not after the data was read, if the champion's files do not fit
    together.
    """
    bundle.check(storage.local_copy(champion.location, ".cache/models"))


def base_recipe(champion: Version, settings: list[str], dataset: str = "") -> Recipe:
    """What a retraining goes on from: the recipe that registers under the champion's name, else the
    one that the champion carries, with `field=value` settings.

    How that one was taught, measured and judged is not carried on: each retraining says so for
    itself, and begins from the rates of `photographs` where the backbone is a network of that kind.
    Raises ValueError where there is neither.

    Args:
        dataset: what is to be taught. If the champion was taught an earlier state of it, that one
            is neither replayed nor measured: the new state takes its place.
    """
    registered = {recipe().register.name: recipe for recipe in recipes.RECIPES}
    if champion.name in registered:
        return config.override(registered[champion.name](), *settings)
    try:
        carried = config.parse(Recipe, champion.provenance["recipe"])
    except (KeyError, TypeError, ValueError):
        known = ", ".join(recipe.__name__ for recipe in recipes.RECIPES)
        raise ValueError(
            f"no recipe registers {champion.name!r}, and it carries none that can be read: "
            f"name the one it was trained with, --recipe one of {known}"
        ) from None
    if dataset in {lesson["name"] for lesson in champion.provenance.get(TAUGHT, [])}:
        carried = variants.without(carried, dataset)
    rates = _rates(carried.model.backbone)
    streams = tuple(
        dataclasses.replace(
            stream,
            name=f"earlier_{number}" if stream.name == "new" else stream.name,
            # The weights of the last lesson were for its numbers of boxes.
            weight=1.0 if stream.name == "new" or rates.balanced else stream.weight,
        )
        for number, stream in enumerate(carried.streams)
    )
    plain = dataclasses.replace(
        carried,
        streams=streams,
        train=dataclasses.replace(
            carried.train,
            score_every=TrainConfig.score_every,
            score_images=TrainConfig.score_images,
        ),
        gate=gate_module.GateConfig(),
        retrain=rates,
    )
    return config.override(plain, *settings)


def _rates(backbone: BackboneConfig) -> RetrainConfig:
    """How a detector of this backbone is taught: how many layers learn was tried on the network of
    `photographs` alone."""
    if not isinstance(backbone, TimmFeatures):
        return RetrainConfig()
    photographs = recipes.by_name("photographs")
    own = photographs.model.backbone
    is_own = isinstance(own, TimmFeatures) and backbone.name == own.name
    return (
        photographs.retrain if is_own else dataclasses.replace(photographs.retrain, frozen_layers=0)
    )


def data_version(data: Location, reading: ReadConfig | None = None) -> str:
    """Hash over the names and contents of all files, links followed; on an object store over the
    store's own hashes. What the user chose counts, too: a split, the phrases for class names.
    """
    if storage.is_s3(data):
        entries = storage.fingerprints(data)
    else:
        root = Path(data)
        if not root.is_dir():
            raise FileNotFoundError(
                f"{data} is not a folder: give the one with pictures and their annotations"
            )
        entries = {path.as_posix(): storage.sha256(root / path) for path in sorted(walk(root))}
    if not entries:
        raise FileNotFoundError(
            f"{data} holds no file: give the folder with pictures and their annotations"
        )
    content: list[object] = [entries]
    if chosen := reading.chosen() if reading else {}:
        for field in ("names", "split_file"):
            if place := str(chosen.get(field, "")):
                chosen[field] = storage.sha256(storage.local_copy(place, ".cache/names"))
        content.append(chosen)
    hashed = content if len(content) > 1 else entries
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def replay_of(champion: Version, given: str | None, remedies: Remedies = BY_OPTION) -> str | None:
    """Location of the shards to replay: as given, `none` for no replay, or where the champion's
    training had them.

    Raises ValueError if they are not there, or if their index names shards of an earlier run that
    are there no more.
    """
    if given == "none":
        return None
    place = given or str(champion.provenance.get("shards", ""))
    if not place:
        what = "not noted"
    elif not storage.exists(storage.join(place, storage.INDEX_NAME)):
        what = f"not at {place}"
    elif lost := _lost(shards.read_index(place)):
        what = f"not whole: {place} names {lost}, which is not there (any more)"
    else:
        return place
    raise ValueError(
        f"the shards that {champion} was trained on are {what}: bring them back, give their folder "
        f"with {remedies.replay}FOLDER, or {remedies.replay}none to train on the new data alone, "
        "which forgets"
    )


def _lost(index: shards.Index) -> str:
    """The first shard of a set that is not there; empty if every set has its own. A set lies in the
    folder of the run that built it, which is kept or removed whole."""
    firsts = (storage.join(index.location, parts[0].path) for parts in index.sets.values() if parts)
    return next((place for place in firsts if not storage.exists(place)), "")


def doubt_of_replay(champion: Version, replay: Location | None, combined: Location) -> str:
    """A line for people where the shards to replay are not those of the champion's training: a run
    that came later wrote its own into their place, or they are those of another version.

    Args:
        combined: where this run writes its shards. What lies there may be its own.
    """
    if replay is None or storage.is_same_place(replay, combined):
        return ""
    wanted = champion.provenance.get("dataset_version")
    if not wanted or shards.read_index(replay).dataset_version == wanted:
        return ""
    return (
        f"note: {replay} does not hold the shards that {champion} was trained on, but those of "
        "another training: these are replayed"
    )
