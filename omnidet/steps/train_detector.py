"""One function a pipeline step: locations (local paths or s3://) in, locations out.

`cli.py`, `dvc.yaml` and the Kubeflow components are thin callers of these. Each step writes its
output whole or not at all. What loads torch is imported by the steps that need it: the others take
a second and run in images without it.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from omnidet import config as configuration
from omnidet import storage
from omnidet.data import shards
from omnidet.data import vocabulary as vocabulary_module
from omnidet.data.mixing.config import Stream
from omnidet.data.sharding import build, finish, plan_file
from omnidet.data.sharding.held_out import trained_on
from omnidet.data.tiny_world import draw as tiny_world
from omnidet.evaluation import stored
from omnidet.measures.measure import Evaluation
from omnidet.model import bundle
from omnidet.recipes.recipe import Recipe
from omnidet.registry import gate as gate_module
from omnidet.registry import kubeflow, versions
from omnidet.storage import Location

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet


def draw_world(out: Location, recipe: Recipe) -> None:
    """Draw the synthetic datasets of the recipe."""
    if recipe.world is None:
        raise ValueError(
            "this recipe reads real data and draws no world: use the recipe tiny_world"
        )
    storage.require_replaceable(out, "world.json")
    with storage.staged_directory(out) as stage:
        tiny_world.draw(recipe.world, stage)


def build_shards(
    data: Location, out: Location, recipe: Recipe, paths: Mapping[str, str] | None = None
) -> shards.Index:
    """Datasets under `data` -> shard folder `out`."""
    _require_data(data)
    storage.require_replaceable(out, "quarantine.jsonl", data, *(paths or {}).values())
    return build.build(data, str(out), recipe.shards, paths)


def plan_shards(
    data: Location, out: Location, recipe: Recipe, paths: Mapping[str, str] | None = None
) -> list[str]:
    """What `build_shards` would build, for machines that share the work: names of the sets; the
    plan goes to `out`.

    The order of a build in parts: this, then `build_shard_set` for each name, on any machine, then
    `merge_shards`.
    """
    _require_data(data)
    return plan_file.write(data, out, recipe.shards, paths)


def build_shard_set(
    data: Location,
    out: Location,
    set_name: str,
    recipe: Recipe,
    paths: Mapping[str, str] | None = None,
    part: tuple[int, int] = build.WHOLE,
) -> None:
    """One set of the plan in `out`, or part i of n of it.

    Raises ValueError where the plan was made with other settings.
    """
    planned = plan_file.require_same_settings(out, data, recipe.shards, paths)
    build.build_set(data, str(out), set_name, planned.held_out, recipe.shards, paths, part)


def build_shards_part(
    data: Location,
    out: Location,
    recipe: Recipe,
    part: tuple[int, int],
    paths: Mapping[str, str] | None = None,
) -> None:
    """Part i of n of every set; the first one to come writes the plan.

    `merge_shards` ends the build once all are done.

    Raises ValueError where the plan was made with other settings, or of other datasets and
    evaluation images than are there.
    """
    storage.require_replaceable(out, plan_file.NAME, data, *(paths or {}).values())
    if plan_file.is_needed(out):
        _require_data(data)
        plan_file.write(data, out, recipe.shards, paths, part[1])
    else:
        plan_file.require_same_data(out, data, recipe.shards, paths, part[1])
    for set_name in plan_file.read(out).sets:
        build_shard_set(data, out, set_name, recipe, paths, part)


def merge_shards(out: Location) -> shards.Index:
    """The index over all sets of the plan in `out`, which makes it a shard folder.

    Merged twice it is the same.

    The plan stays, for another run of a pipeline may share the folder; the next `build_shards_part`
    makes a new one.
    """
    sets = plan_file.read(out).sets
    for set_name in sets:
        finish.finish_set(str(out), set_name)
    finish.merge(str(out), sets)
    plan_file.mark_merged(out)
    return shards.read_index(out)


def build_vocabulary(
    shards_location: Location, out: Location, recipe: Recipe
) -> vocabulary_module.Vocabulary:
    """Words of the training shards -> vocabulary folder `out`."""
    index = shards.read_index(shards_location)
    storage.require_replaceable(out, "vocabulary.json", shards_location)
    texts = [
        text
        for name in index.sets
        if name.startswith("train/")
        for text in shards.texts(index, name)
    ]
    built = vocabulary_module.build(texts, recipe.vocabulary)
    for name, truth in index.ground_truth.items():
        try:
            built.check_names(list(truth["names"].values()))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    with storage.staged_directory(out) as stage:
        built.save(stage)
    return built


def train(
    shards_location: Location,
    vocabulary_location: Location,
    out: Location,
    recipe: Recipe,
    work: Location | None = None,
    start: Location | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Shards + vocabulary -> trained detector in the folder `out`.

    Args:
        work: folder for checkpoints and the metric log; a run with the same recipe and data goes on
            from its newest checkpoint there, on whatever machine and number of ranks. Local or
            `s3://`; default `<out>.work`.
        start: trained detector to begin with, whose vocabulary this one extends; without it
            training is from scratch.
        facts: more provenance for `config.json`.
    """
    from omnidet.data.mixing.mixture import Loader, Mixture
    from omnidet.model import grow
    from omnidet.model.detector import Detector
    from omnidet.training import distributed, loop, objective, runs

    started = time.monotonic()
    index = shards.read_index(shards_location)
    vocabulary = vocabulary_module.Vocabulary.load(
        storage.local_copy(vocabulary_location, ".cache/vocabulary")
    )
    streams, left_out = _streams_with_data(recipe.streams, index)
    configuration.require(
        bool(recipe.losses), "losses=[]: there is nothing to learn from; give one at least"
    )
    calibrated = recipe.model.calibrated_streams
    configuration.require(
        calibrated in (0, len(recipe.streams)),
        f"model.calibrated_streams={calibrated}, but there are {len(recipe.streams)} streams: give their number, or 0",
    )
    model = dataclasses.replace(recipe.model, calibrated_streams=len(streams) if calibrated else 0)
    trained = bundle.load(storage.local_copy(start, ".cache/models")) if start else None
    plain, began = configuration.describe(recipe), trained[2]["weights_sha256"] if trained else ""
    facts = runs.provenance(plain, index, vocabulary, began) | dict(facts or {})
    storage.require_replaceable(
        out, "config.json", shards_location, vocabulary_location, *([work] if work else [])
    )
    work = work or f"{out}.work"
    for other in (out, shards_location, vocabulary_location):
        storage.require_outside(work, other)
    storage.require_writable(out)
    folder = storage.join(work, facts["run"])
    with distributed.world() as world, runs.alone(folder, world):
        if world.is_main:
            for line in (*left_out, *runs.others(work, facts)):
                print(line)
        loop.seed_everything(recipe.train.seed)
        detector = Detector(model, vocabulary.num_tokens)
        if trained:
            grow.load_grown(detector, trained[0], trained[1], vocabulary)
        mixture = Mixture(
            index,
            vocabulary,
            streams,
            recipe.mixing,
            recipe.model.image_size,
            recipe.train.seed,
            world.rank,
            world.size,
        )
        loader = Loader(mixture, recipe.train.steps)
        hashes = {
            name: {part.path: part.sha256 for part in parts} for name, parts in index.sets.items()
        }
        origin = {**facts, "shard_sha256": hashes}
        averaged = loop.fit(
            detector,
            loader,
            losses=objective.resolve(recipe.losses),
            config=recipe.train,
            world=world,
            folder=folder,
            matching=recipe.matching,
            provenance=origin,
        )
        if world.is_main:
            facts["train_seconds"] = round(time.monotonic() - started)
            with storage.staged_directory(out) as stage:
                names = {
                    *_training_names(index, streams),
                    *(trained[2]["names"] if trained else ()),
                }
                bundle.save(stage, averaged, vocabulary, sorted(names), facts)
                storage.write_bytes(
                    stage / "training.jsonl", storage.read_bytes(loop.log_path(folder))
                )
            print(f"trained detector in {out}")


def evaluate(
    model: Location,
    shards_location: Location,
    metrics_path: Location,
    out: Location,
    recipe: Recipe,
) -> Evaluation:
    """Detector + evaluation shards -> flat metrics file, and a folder with predictions, protocols
    and details.

    Under torchrun each rank predicts its share of the images; the first judges, the others return
    nothing of value.

    Raises ValueError where the detector was trained on images of an evaluation set.
    """
    from omnidet.inference.detector import OmniDet
    from omnidet.measures import run
    from omnidet.training import distributed

    index = shards.read_index(shards_location)
    storage.require_replaceable(out, storage.INDEX_NAME, model, shards_location)
    storage.require_file_target(
        metrics_path, *(storage.join(f, storage.INDEX_NAME) for f in (shards_location, out))
    )
    parts = f"{out}.parts"
    with distributed.world() as world:
        detector = OmniDet.from_pretrained(
            storage.local_copy(model, ".cache/models"), str(world.device)
        )
        is_checked = _refuse_what_was_trained_on(detector, index, recipe)
        with storage.staged_directory(storage.join(parts, str(world.rank))) as stage:
            run.predict(detector, index, recipe.evaluation, stage, world.rank, world.size)
        distributed.barrier()  # every rank has written
        if not world.is_main:
            return Evaluation({}, {}, {})
        with storage.staged_directory(out) as stage:
            folders = [
                storage.local_copy(storage.join(parts, str(rank)), ".cache/parts")
                for rank in range(world.size)
            ]
            result = run.evaluate(index, recipe.evaluation, folders, stage)
            content = {
                "values": result.values,
                "protocols": result.protocols,
                "details": result.details,
            }
            facts = {
                "dataset_version": index.dataset_version,
                "training_images_compared": is_checked,
            }
            storage.write_text(
                stage / storage.INDEX_NAME, json.dumps(content | facts, indent=1) + "\n"
            )
        storage.remove(parts)
    storage.write_text(metrics_path, json.dumps(result.values, indent=1) + "\n")
    return result


def _refuse_what_was_trained_on(detector: OmniDet, index: shards.Index, recipe: Recipe) -> bool:
    """Whether it could be compared: the shards must be those of the training.

    Raises ValueError for an image of both.
    """
    facts = detector.config.get("provenance", {})
    streams = facts.get("recipe", {}).get("streams", [])
    if facts.get("dataset_version") != index.dataset_version or not streams:
        print(
            "evaluation: the detector was trained on other shards than these, so whether it saw these images is not checked"
        )
        return False
    trained = [
        name for name in dict.fromkeys(n for s in streams for n in s["sets"]) if name in index.sets
    ]
    for name in dict.fromkeys(
        b.set_name for b in recipe.evaluation.benchmarks if b.set_name in index.sets
    ):
        both = trained_on(index, trained, name)
        if both:
            raise ValueError(
                f"{name}: {len(both)} of its images were trained on ({', '.join(both[:3])}{', ...' if both[3:] else ''}): "
                "build the shards with this set among the evaluation sets, which holds its images out, and train again"
            )
    return True


def write_report(
    model: Location,
    shards_location: Location,
    evaluation: Location,
    out: Location,
    recipe: Recipe,
    before: Location | None = None,
    zero_shot: Mapping[str, float] | None = None,
    numbers: Location | None = None,
) -> None:
    """Everything about a run in one HTML file.

    Args:
        evaluation: what `evaluate` wrote.
        before: evaluation of the detector that this one may replace, on the same sets: shown side
            by side.
        zero_shot: flat metrics that were reached before anything of new categories was trained on,
            beside them.
        numbers: folder for the same numbers as JSON files, for `dvc metrics` and `dvc plots`.
    """
    from omnidet.report import page, plots, tables
    from omnidet.report import sections as gallery
    from omnidet.training import metrics

    storage.require_file_target(
        out,
        *(storage.join(f, storage.INDEX_NAME) for f in (shards_location, evaluation, before) if f),
    )
    if numbers is not None:
        storage.require_replaceable(numbers, plots.METRICS_NAME, model, shards_location, evaluation)
    index = shards.read_index(shards_location)
    folder = storage.local_copy(model, ".cache/models")
    result, facts = stored.read(evaluation), bundle.read_config(folder)["provenance"]
    earlier = stored.values(before) if before else None
    log = metrics.read(folder / "training.jsonl")
    if not all(isinstance(row, dict) for row in log):
        raise ValueError(
            f"{folder / 'training.jsonl'} holds rows that are no objects: the bundle is damaged, train again"
        )
    sections = gallery.sections(index, recipe.evaluation.benchmarks, evaluation)
    report = page.Report(
        title=recipe.register.name,
        subtitle="An open-vocabulary detector: class names and free phrases through one head, trained in one pass.",
        metrics=result.values,
        protocols=result.protocols,
        details=result.details,
        drawn=recipe.world is not None,
        training_log=log,
        sections=sections,
        facts={
            key.replace("_", " "): str(value)
            for key, value in facts.items()
            if not isinstance(value, dict | list)
        },
        before=earlier,
        zero_shot=zero_shot,
        tables=tables.of_run(index, facts),
    )
    page.write(out, report)
    if numbers is not None:
        with storage.staged_directory(numbers) as stage:
            for name, content in plots.files(sections, log).items():
                storage.write_text(stage / name, content)


def gate(
    metrics_path: Location, registry_location: Location, out: Location, recipe: Recipe
) -> bool:
    """Whether metrics are good enough to follow the champion's; the decision and its numbers go to
    the JSON file `out`.

    Where the registry has no champion the minimums of the recipe decide alone.
    """
    values = _read_metrics(metrics_path)
    name = recipe.register.name
    versions.check(registry_location, name)
    has_champion = versions.CHAMPION in versions.aliases(registry_location, name)
    champion = (
        versions.find(registry_location, f"{name}@{versions.CHAMPION}") if has_champion else None
    )
    decision = gate_module.decide(values, champion.metrics if champion else None, recipe.gate)
    content = {"champion": str(champion) if champion else None, **decision.describe()}
    content["config"] = configuration.describe(recipe.gate)
    storage.write_text(out, json.dumps(content, indent=1) + "\n")
    return decision.passed


def register(
    model: Location, metrics_path: Location, registry_location: Location, recipe: Recipe, alias: str = "",
    expected: int | EllipsisType | None = ...,
) -> tuple[versions.Version, bool]:  # fmt: skip
    """Trained detector + its metrics -> a version in the registry; the second value is False if it
    already was one.

    A Kubeflow Model Registry is told of it where the environment names one
    (`registry/kubeflow.py`).

    Args:
        alias: points to the version from then on, such as `champion`.
        expected: what the alias must point to until then, as in `versions.promote`: the version
            that the gate compared with.
    """
    if alias:
        versions.check_alias(alias)
    folder = storage.local_copy(model, ".cache/models")
    values = _read_metrics(metrics_path)
    facts = bundle.read_config(folder)["provenance"]
    server = (
        kubeflow.connect() if kubeflow.address() else None
    )  # nothing is registered where it does not answer
    version, is_new = versions.register(
        registry_location, recipe.register.name, folder, values, facts
    )
    if server:
        plain = {
            key: value
            for key, value in version.provenance.items()
            if isinstance(value, str | int | float)
        }
        uri = (
            version.location
            if storage.is_s3(version.location)
            else Path(version.location).resolve().as_uri()
        )
        server.register(
            version.name, str(version.number), uri, plain | version.metrics, kubeflow.run_source()
        )
    if alias:
        versions.promote(registry_location, version.name, version.number, alias, expected)
    return version, is_new


def _read_metrics(path: Location) -> dict[str, float]:
    try:
        values = json.loads(storage.read_text(path))
    except (FileNotFoundError, IsADirectoryError):
        raise FileNotFoundError(
            f"{path} is no file: name what `omnidet evaluate --metrics` wrote"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): evaluate the model again") from error
    if (
        not isinstance(values, dict)
        or not values
        or not all(type(value) in (int, float) for value in values.values())
    ):
        raise ValueError(
            f'{path} is no flat file of metrics, as {{"coco/AP": 0.5}}: evaluate the model again'
        )
    return values


def _require_data(data: Location) -> None:
    if not storage.has_files(data):
        raise FileNotFoundError(
            f"data folder {data} does not exist or is empty: give the folder that holds the datasets"
        )


def _streams_with_data(
    streams: tuple[Stream, ...], index: shards.Index
) -> tuple[tuple[Stream, ...], list[str]]:
    """The streams without the sets that this shard folder does not have (its datasets were
    optional); and what to tell.
    """
    kept, left_out = [], []
    for stream in streams:
        sets = tuple(name for name in stream.sets if name in index.sets)
        if sets:
            kept.append(dataclasses.replace(stream, sets=sets))
        else:
            left_out.append(
                f"stream {stream.name}: left out, for {index.location} has none of {', '.join(stream.sets)}"
            )
    if not kept:
        raise ValueError(
            f"{index.location} has no set of any stream of the recipe: it holds {', '.join(index.sets)}"
        )
    return tuple(kept), left_out


def _training_names(index: shards.Index, streams: tuple[Stream, ...]) -> list[str]:
    """Class names of the training data: the words of verified label spaces."""
    names: dict[str, None] = {}
    for set_name in dict.fromkeys(
        name for stream in streams if stream.boxes for name in stream.sets
    ):
        for record in shards.texts(index, set_name):
            if record.absent:
                names.update(dict.fromkeys((*record.phrases, *record.absent)))
    return sorted(names)
