"""New categories for a trained detector: one function a step, as in `steps.py`, for `omnidet
finetune` and the pipeline.

    notice -> read -> shards -> vocabulary -> zero_shot -> train -> evaluate -> gate -> register

Nothing that exists is touched before the last step, and that one changes the alias only if it still
points to the champion that all the others started from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnidet import config, recipes, storage
from omnidet.data import shards
from omnidet.data import vocabulary as vocabulary_module
from omnidet.data.annotated import cut, write
from omnidet.data.annotated import read as annotated
from omnidet.data.annotated.config import ReadConfig
from omnidet.data.folder_formats.folder import walk
from omnidet.data.reading.perceptual_hash import perceptual_hash
from omnidet.data.sharding import build, finish
from omnidet.data.sharding.held_out import HeldOut
from omnidet.model import bundle
from omnidet.model.config import ModelConfig
from omnidet.recipes import retrain as variants
from omnidet.recipes.recipe import Recipe, RetrainConfig
from omnidet.registry import gate as gate_module
from omnidet.registry import versions
from omnidet.registry.versions import Version
from omnidet.steps import train_detector
from omnidet.storage import Location

TAUGHT = "taught"
"""In the provenance of a version: what it was taught beyond its first training, the newest last."""
_MEASURED = "measured.json"
"""Of an evaluation: by how many boxes the new benchmark was measured."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")


@dataclass(frozen=True)
class Notice:
    """Whether there is anything to learn."""

    is_new: bool
    data_version: str
    """Hash over the names and contents of all files of the data."""
    champion: Version
    why: str
    """For people."""


def notice(data: Location, registry: Location, reference: str, name: str) -> Notice:
    """Compare the data with what the champion was taught.

    Args:
        data: annotated folder, local or `s3://`.
        reference: the champion, as `find_champion` takes it.
        name: of the dataset.
    """
    check_name(name)
    champion = find_champion(registry, reference)
    version = data_version(data)
    known = [taught for taught in champion.provenance.get(TAUGHT, []) if taught["name"] == name]
    if any(taught["data_version"] == version for taught in known):
        return Notice(
            False,
            version,
            champion,
            f"nothing new: {champion} was taught {name} {version[:12]} already",
        )
    before = f", it knows {name} {known[-1]['data_version'][:12]}" if known else ""
    return Notice(True, version, champion, f"{name} {version[:12]} is new to {champion}{before}")


def check_name(name: str) -> None:
    """Raise ValueError for a dataset name that cannot name shards and metrics."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"dataset name {name!r}: use lower-case letters, digits, dashes and underscores, as "
            "--name blood-cells"
        )


def find_champion(registry: Location, reference: str) -> Version:
    """The version that `champion`, `NAME` or `NAME@3` means; without an alias of that name the
    newest version.

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
            held = ", ".join(models)
            raise ValueError(
                f"--from champion: {registry} holds {held}: name the model, as --from NAME@champion"
            )
        name = models[0]
    if not at or reference.endswith(f"@{versions.CHAMPION}"):
        return versions.find(
            registry,
            f"{name}@champion" if versions.CHAMPION in versions.aliases(registry, name) else name,
        )
    return versions.find(registry, reference)


def require_whole(champion: Version) -> None:
    """Raise ValueError now, and not after the data was read, if the champion's files do not fit
    together.
    """
    bundle.load(storage.local_copy(champion.location, ".cache/models"))


def base_recipe(champion: Version, settings: list[str]) -> Recipe:
    """What a retraining goes on from: the recipe that registers under the champion's name, else the
    one that the champion carries, with `field=value` settings.

    How that one was taught and judged is not carried on: each retraining says so for itself. Raises
    ValueError where there is neither.
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
    streams = tuple(
        dataclasses.replace(stream, name=f"earlier_{number}", weight=1.0)
        if stream.name == "new"
        else stream
        for number, stream in enumerate(carried.streams)
    )
    plain = dataclasses.replace(
        carried, streams=streams, gate=gate_module.GateConfig(), retrain=RetrainConfig()
    )
    return config.override(plain, *settings)


def data_version(data: Location) -> str:
    """Hash over the names and contents of all files, links followed; on an object store over the
    store's own hashes.
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
    return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def read(data: Location, out: Location, version: str, reading: ReadConfig | None = None) -> str:
    """An annotated folder in the one layout; gives the account of what was read, for people."""
    storage.require_replaceable(out, write.SUMMARY_NAME, data)
    storage.require_outside(out, data)
    reading = reading or ReadConfig()
    if reading.names:
        table = storage.local_copy(reading.names, ".cache/names")
        reading = dataclasses.replace(reading, names=str(table))
    made = cut.cut(annotated.read(storage.local_copy(data, ".cache/annotated"), reading))
    with storage.staged_directory(out) as stage:
        write.write(made, stage, version)
    return cut.describe(made)


def build_shards(
    dataset: Location,
    replay: Location | None,
    new: Location,
    out: Location,
    recipe: Recipe,
    name: str,
) -> str:
    """Shards of the new data in `new`, and in `out` an index over these and the old ones; gives the
    report for people.

    Evaluation images of the old shards are kept out of the new training data, as those of the new
    are.
    """
    _require_free(name, recipe)
    own = variants.datasets(recipe, name).shards
    old = shards.read_index(replay) if replay else None
    planned = build.plan(dataset, own)
    kept_out = _union(planned.held_out, _held_out(old)) if old else planned.held_out
    storage.require_replaceable(new, "quarantine.jsonl", dataset)
    with storage.staged_directory(new) as stage:
        for set_name in planned.sets:
            build.build_set(dataset, str(stage), set_name, kept_out, own)
            finish.finish_set(str(stage), set_name)
        finish.merge(str(stage), planned.sets)
    index = shards.read_index(new)
    if not shards.num_samples(index.shards(f"train/{name}")) or not shards.num_samples(
        index.shards(f"eval/{name}")
    ):
        raise ValueError(
            f"{dataset}: no picture is left to train or to evaluate on: {finish.describe(index)}"
        )
    shards.combine(out, [old, index] if old else [index])
    return finish.describe(index)


def _require_free(name: str, recipe: Recipe) -> None:
    """Raise ValueError for the name of a dataset or benchmark of the first training, which the new
    one would replace.
    """
    taken = {benchmark.name for benchmark in recipe.evaluation.benchmarks}
    taken |= {set_name.partition("/")[2] for stream in recipe.streams for set_name in stream.sets}
    if name in taken:
        raise ValueError(
            f"dataset name {name!r} is that of a dataset of the first training: give another "
            f"one, as --name my-{name}"
        )


def extend_vocabulary(
    combined: Location, champion: Location, out: Location, name: str, min_frequency: int = 2
) -> str:
    """The champion's vocabulary with the words of the new data behind its end; gives the report for
    people.

    Raises ValueError if the vocabulary is not the champion's or two of the new names are the same
    to it.
    """
    index = shards.read_index(combined)
    _, old, content = bundle.load(storage.local_copy(champion, ".cache/models"))
    extended, words = vocabulary_module.extend(
        old, shards.texts(index, f"train/{name}"), min_frequency
    )
    names = list(index.ground_truth[f"eval/{name}"]["names"].values())
    extended.check_names(names)
    storage.require_replaceable(out, "vocabulary.json", combined)
    with storage.staged_directory(out) as stage:
        extended.save(stage)
    known = {n.lower(): n for n in content["names"]}
    lines = [f"vocabulary: {len(words)} new words{': ' if words else ''}{', '.join(words[:20])}"]
    shared = [n for n in names if n.lower() in known]
    lines += [
        f"  {name!r} is a name the champion knows: its old pictures and the new ones teach the "
        "same words"
        for name in shared
    ]
    return "\n".join(lines)


def recipe_for(recipe: Recipe, combined: Location, champion: Location, name: str) -> Recipe:
    """The whole run: streams, benchmarks and schedule of `recipes/retraining.py`, on the champion's
    architecture.
    """
    content = bundle.read_config(storage.local_copy(champion, ".cache/models"))
    model = config.parse(ModelConfig, content["model"])
    return variants.retraining(recipe, model, shards.read_index(combined), name)


def zero_shot(
    combined: Location, champion: Location, out: Location, recipe: Recipe, name: str
) -> dict[str, float]:
    """What the champion makes of the new benchmark before it is taught: an evaluation folder and
    its numbers.
    """
    only = variants.of_new_data(recipe_for(recipe, combined, champion, name), name)
    return dict(
        train_detector.evaluate(
            champion, combined, storage.join(out, "metrics.json"), storage.join(out, "new"), only
        ).values
    )


def train(
    combined: Location,
    vocabulary: Location,
    champion: Version,
    out: Location,
    recipe: Recipe,
    name: str,
    version: str,
    work: Location | None = None,
) -> None:
    """Teach the champion: the new data beside a replay of the old streams, from its weights on."""
    start = storage.local_copy(champion.location, ".cache/models")
    taught = [
        *champion.provenance.get(TAUGHT, []),
        {"name": name, "data_version": version, "from": str(champion)},
    ]
    train_detector.train(
        combined,
        vocabulary,
        out,
        recipe_for(recipe, combined, start, name),
        work,
        start=start,
        facts={TAUGHT: taught},
    )


def evaluate(
    combined: Location,
    champion: Version,
    model: Location,
    folder: Location,
    recipe: Recipe,
    name: str,
) -> None:
    """Old and new benchmarks into `folder`: metrics.json, evaluation/, and report.html with the
    champion's beside them.
    """
    whole = recipe_for(recipe, combined, champion.location, name)
    train_detector.evaluate(
        model,
        combined,
        storage.join(folder, "metrics.json"),
        storage.join(folder, "evaluation"),
        whole,
    )
    boxes = {"boxes": count_boxes(combined, name)}
    storage.write_text(storage.join(folder, _MEASURED), json.dumps(boxes) + "\n")
    untaught = _numbers(storage.join(folder, "zero_shot", "metrics.json"))
    values = {
        "values": {**champion.metrics, **untaught},
        "protocols": {},
        "details": {},
        "of": str(champion),
    }
    storage.write_text(
        storage.join(folder, "before", storage.INDEX_NAME), json.dumps(values, indent=1) + "\n"
    )
    train_detector.write_report(
        model,
        combined,
        storage.join(folder, "evaluation"),
        storage.join(folder, "report.html"),
        whole,
        before=storage.join(folder, "before"),
        zero_shot=untaught,
    )


def gate(folder: Location, champion: Version, recipe: Recipe, name: str) -> gate_module.Decision:
    """Whether nothing is forgotten and the new is learned; the decision goes to `folder/gate.json`.

    Old headline numbers may fall by `retrain.max_drop`. On the new benchmark AP must rise above the
    champion's untaught one, AP50 must reach `retrain.min_ap50`, and it must be measured by
    `retrain.min_boxes` boxes: a detector that found nothing in three boxes has shown nothing.
    """
    wanted = recipe.retrain
    untaught = _numbers(storage.join(folder, "zero_shot", "metrics.json"))
    reached = _numbers(storage.join(folder, "metrics.json"))
    limits = dataclasses.replace(
        recipe.gate,
        max_drop=wanted.max_drop,
        drops=(*recipe.gate.drops, f"{name}={-wanted.min_gain:g}"),
        minimum=(*recipe.gate.minimum, f"{name}/AP50={wanted.min_ap50:g}"),
    )
    decision = gate_module.decide(reached, {**champion.metrics, **untaught}, limits)
    more = []
    before, after = (values.get(f"{name}/AP", 0.0) for values in (untaught, reached))
    if wanted.min_gain == 0 and after <= before:
        more.append(
            f"{name}/AP: {after:.4f} is no gain over the {before:.4f} of {champion} untaught: "
            "train longer (--set retrain.steps=N), or look at the boxes in the report"
        )
    boxes = _measured_boxes(folder)
    if boxes < wanted.min_boxes:
        more.append(
            f"{name}: measured by {boxes} boxes, of at least {wanted.min_boxes}: "
            "put more annotated pictures aside for the evaluation"
        )
    reasons = (*decision.reasons, *more)
    decision = dataclasses.replace(decision, passed=not reasons, reasons=reasons)
    content = {"champion": str(champion), **decision.describe(), "config": config.describe(limits)}
    storage.write_text(storage.join(folder, "gate.json"), json.dumps(content, indent=1) + "\n")
    return decision


def _measured_boxes(folder: Location) -> int:
    content = json.loads(storage.read_text(storage.join(folder, _MEASURED)))
    return int(content["boxes"])


def count_boxes(combined: Location, name: str) -> int:
    """True boxes of the new benchmark that count; crowds do not."""
    index = shards.read_index(combined)
    truth = json.loads(
        storage.read_text(storage.join(index.location, index.ground_truth[f"eval/{name}"]["file"]))
    )
    return sum(not annotation.get("iscrowd", 0) for annotation in truth["annotations"])


def register(
    model: Location,
    folder: Location,
    registry: Location,
    champion: Version,
    recipe: Recipe,
    name: str,
    version: str,
) -> tuple[Version, str]:
    """The taught detector as the next version and champion; gives it and what became of it, for
    people.

    Where another run was faster with the same data, its version stays the champion. Raises
    ValueError if the champion is another one by now and was not taught this data: what was compared
    is no longer in service.
    """
    decision = json.loads(storage.read_text(storage.join(folder, "gate.json")))
    if not decision["passed"]:
        raise ValueError(
            f"{folder}: the gate said no ({'; '.join(decision['reasons'])}): {champion} stays"
        )
    taught = _taught_meanwhile(registry, champion, name, version)
    if taught is not None:
        return (
            taught,
            f"{taught} was taught {name} {version[:12]} by another run meanwhile: it stays the "
            "champion",
        )
    named = dataclasses.replace(
        recipe, register=dataclasses.replace(recipe.register, name=champion.name)
    )
    own, is_new = train_detector.register(
        model, storage.join(folder, "metrics.json"), registry, named
    )
    try:
        if versions.CHAMPION not in versions.aliases(
            registry, champion.name
        ):  # then there is something to roll back to
            versions.promote(registry, champion.name, champion.number, expected=None)
        versions.promote(registry, own.name, own.number, expected=champion.number)
    except ValueError:
        taught = _taught_meanwhile(
            registry, champion, name, version
        )  # between the look and the move
        if taught is None:
            raise
        return (
            taught,
            f"{taught} was taught {name} {version[:12]} by another run meanwhile: it stays the "
            "champion",
        )
    done = "registered" if is_new else "was registered already"
    return (
        own,
        f"{own} {done} in {own.location}; {own.name}@champion is {own} (back: omnidet models "
        f"rollback {own.name})",
    )


def _taught_meanwhile(
    registry: Location, champion: Version, name: str, version: str
) -> Version | None:
    """The champion of now if it was taught this data since; None if it is still the one that the
    run started from.

    Raises ValueError if it is a third one.
    """
    now = find_champion(registry, f"{champion.name}@{versions.CHAMPION}")
    has_alias = versions.CHAMPION in versions.aliases(registry, champion.name)
    if now.number == champion.number or not has_alias:
        return None
    if any(
        (t["name"], t["data_version"]) == (name, version) for t in now.provenance.get(TAUGHT, [])
    ):
        return now
    raise ValueError(
        f"{champion.name}@champion is {now} by now, this run started from {champion} and was "
        "compared with it: run it again"
    )


def replay_of(champion: Version, given: str | None) -> str | None:
    """Location of the shards to replay: as given, `none` for no replay, or where the champion's
    training had them.
    """
    if given == "none":
        return None
    place = given or str(champion.provenance.get("shards", ""))
    if not place or not storage.exists(storage.join(place, storage.INDEX_NAME)):
        told = f"not at {place}" if place else "not noted"
        raise ValueError(
            f"the shards that {champion} was trained on are {told}: give their folder with "
            "--replay, or --replay none to "
            "train on the new data alone, which forgets"
        )
    return place


def _held_out(index: shards.Index) -> HeldOut:
    """Ids and perceptual hashes of the evaluation images of a shard folder."""
    names: dict[str, str] = {}
    hashes: dict[str, Any] = {}
    for set_name in (name for name in index.sets if name.startswith("eval/")):
        for record in shards.records(index, set_name):
            names.setdefault(record.image_id, set_name)
            own = perceptual_hash(record.image) if record.image_id not in hashes else None
            if own is not None:
                hashes[record.image_id] = own
    return HeldOut(names, np.array(list(hashes.values()), np.uint64), tuple(hashes))


def _union(first: HeldOut, second: HeldOut) -> HeldOut:
    return HeldOut(
        {**second.benchmarks, **first.benchmarks},
        np.concatenate([first.hashes, second.hashes]),
        (*first.hash_ids, *second.hash_ids),
    )


def _numbers(location: Location) -> dict[str, float]:
    content: Mapping[str, float] = json.loads(storage.read_text(location))
    return dict(content)
