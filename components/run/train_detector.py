"""The steps of `pipelines/train_detector.py`, on top of `omnidet.steps.train_detector`.

`configuration` holds the first of them, `training` the train step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType

from components.run import artifacts, configuration, outcome, own_settings, places
from components.run.again import patiently
from omnidet import storage
from omnidet.data import shards as shard_folder
from omnidet.data.download import datasets as downloading
from omnidet.data.download.selection import Options
from omnidet.recipes.recipe import Recipe
from omnidet.registry import pointers, versions
from omnidet.steps import train_detector

BETWEEN = ", "
"""Between the names of the sets that one pod has built: one text, as KFP collects a loop's outputs
into a list."""


@patiently
def download(data: str, names: Sequence[str], recipe: str, settings: Sequence[str]) -> str:
    """Download datasets of the catalogue to where the recipe looks for them; returns `data`."""
    parts = places.recipe(recipe, settings).shards
    own_catalogue = own_settings.value(settings, "download.catalogue")
    folders = {part.source: part.path for part in (*parts.train, *parts.evaluation)}
    options = Options(num_threads=downloading.files_at_once(data))
    for dataset in configuration.datasets_to_download(data, names, own_catalogue):
        folder = folders.get(dataset.name, ".")
        out = data if folder == "." else storage.join(data, folder)
        downloading.download(dataset, out, options)
    return data


@patiently
def datasets(data: str, data_folder: str, recipe: Recipe) -> str:
    """Where the datasets are: at the given location, or drawn."""
    if data:
        return data
    out = storage.join(data_folder, "world")
    train_detector.draw_world(out, recipe)
    return out


@patiently
def plan_shards(data: str, data_folder: str, recipe: str, settings: Sequence[str]) -> list[str]:
    """Plan the shards; returns the groups of the build, as `build_shard_sets` takes them."""
    chosen = places.recipe(recipe, settings)
    sets = train_detector.plan_shards(data, places.shards(data_folder), chosen)
    common = {
        "data": data,
        "data_folder": data_folder,
        "recipe": recipe,
        "settings": list(settings),
    }
    groups = train_detector.group_shard_sets(data, sets, chosen)
    return [json.dumps({"sets": group, **common}) for group in groups]


@patiently
def build_shard_sets(group: str) -> str:
    """Build the shard sets of one group of the plan; returns their names, with `BETWEEN` them."""
    plan = json.loads(group)
    recipe = places.recipe(plan["recipe"], plan["settings"])
    out = places.shards(plan["data_folder"])
    for name, (number, total) in plan["sets"]:
        train_detector.build_shard_set(plan["data"], out, name, recipe, part=(number, total))
    return BETWEEN.join(dict.fromkeys(name for name, _ in plan["sets"]))


build_vocabulary = patiently(train_detector.build_vocabulary)


@patiently
def merge_shards(data_folder: str, set_names: Sequence[str], out: str) -> dict[str, str | float]:
    """Write the index, and `out`, which describes the shards; returns facts for its metadata.

    Args:
        set_names: what each call of `build_shard_sets` returned.
    """
    index = train_detector.merge_shards(places.shards(data_folder))
    built = {name for names in set_names for name in names.split(BETWEEN)}
    if set(index.sets) != built:
        raise ValueError(
            f"{index.location} holds {', '.join(sorted(index.sets))}, but the sets built were "
            f"{', '.join(sorted(built))}: remove the folder and build again"
        )
    counts = {name: shard_folder.num_samples(parts) for name, parts in sorted(index.sets.items())}
    content = {
        "uri": index.location,
        "dataset_version": index.dataset_version,
        "samples": counts,
        "shards": {
            name: {part.path: part.sha256 for part in parts}
            for name, parts in sorted(index.sets.items())
        },
        "report": index.report,
    }
    Path(out).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    samples = {f"samples_{name.replace('/', '_')}": float(count) for name, count in counts.items()}
    return {"shards_uri": index.location, "dataset_version": index.dataset_version, **samples}


@patiently
def evaluate(
    model: str, shards: str, run_folder: str, recipe: Recipe, shown: artifacts.Shown
) -> dict[str, float]:
    """Run the benchmarks, write report and artifacts; returns the metrics."""
    evaluation, metrics = storage.join(run_folder, "evaluation"), places.metrics(run_folder)
    values = dict(train_detector.evaluate(model, shards, metrics, evaluation, recipe).values)
    report = storage.join(run_folder, "report.html")
    train_detector.write_report(model, shards, evaluation, report, recipe)
    shown.write(recipe.register.name, values, report)
    return values


@patiently
def gate(metrics: str, registry: str, run_folder: str, recipe: Recipe) -> bool:
    """Whether the detector may follow the champion; the decision goes to the run's folder."""
    decision, evaluation = places.decision(run_folder), storage.join(run_folder, "evaluation")
    passed = train_detector.gate(metrics, registry, decision, recipe, evaluation)
    outcome.judged(passed, json.loads(storage.read_text(decision))["reasons"])
    return passed


@patiently
def register(
    model: str,
    metrics: str,
    registry: str,
    run_folder: str,
    run_name: str,
    recipe: Recipe,
    out: str,
) -> dict[str, str]:
    """Register the detector as the champion, unless somebody has rolled back from this very one;
    returns what `artifacts.note_registered` noted.

    Raises ValueError if the champion is no longer the one that the gate compared with.
    """
    # The Model Registry links the version to its run.
    source = {"ID": Path(run_folder).name, "NAME": run_name, "NAMESPACE": places.namespace()}
    for key, value in source.items():
        os.environ.setdefault(f"OMNIDET_RUN_{key}", value)
    expected = _compared_with(run_folder)
    version, is_new = train_detector.register(model, metrics, registry, recipe)
    done = "registered" if is_new else "was registered already"
    is_back = not is_new and version.number in pointers.taken_back(
        registry, version.name, versions.CHAMPION
    )
    if is_back:  # a schedule that trains the same again must not undo what somebody decided
        done += f", and rolled back: it stays so (omnidet models promote {version} ends that)"
    else:
        versions.promote(registry, version.name, version.number, versions.CHAMPION, expected)
    print(f"{version} {done}, in {registry}")
    outcome.registered(version, () if is_back else (versions.CHAMPION,))
    return artifacts.note_registered(run_folder, out, version, registry, model)


def _compared_with(run_folder: str) -> int | EllipsisType | None:
    """Number of the champion that the gate saw: None if it saw none, `...` if no gate was asked."""
    decision = places.decision(run_folder)
    if not storage.exists(decision):
        return ...
    champion = json.loads(storage.read_text(decision))["champion"]
    return int(champion.rpartition("@")[2]) if champion else None
