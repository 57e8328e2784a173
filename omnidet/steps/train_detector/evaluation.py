"""Detector + evaluation shards -> numbers, and a report for people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet import config, storage
from omnidet.data import shards
from omnidet.evaluation import stored
from omnidet.measures.measure import Evaluation
from omnidet.measures.unseen import require_unseen
from omnidet.model import bundle
from omnidet.recipes.recipe import Recipe
from omnidet.storage import Location

if TYPE_CHECKING:
    from omnidet.training.distributed import World


def evaluate(
    model: Location,
    shards_location: Location,
    metrics_path: Location,
    out: Location,
    recipe: Recipe,
) -> Evaluation:
    """Detector + evaluation shards -> flat metrics file, and a folder with predictions and details.

    Under torchrun each rank predicts its share of the images. The first one evaluates; the others
    return an empty `Evaluation`.

    Raises ValueError if the detector was trained on images of an evaluation set.
    """
    from omnidet.inference.detector import OmniDet
    from omnidet.measures import run
    from omnidet.training import distributed

    index = shards.read_index(shards_location)
    storage.require_replaceable(
        out, storage.INDEX_NAME, model, shards_location, written=("*.json",)
    )
    storage.require_file_target(
        metrics_path, *(storage.join(f, storage.INDEX_NAME) for f in (shards_location, out))
    )
    with distributed.world() as world:
        folder = storage.local_copy(model, ".cache/models")
        detector = OmniDet.from_pretrained(folder, str(world.device))
        provenance = detector.config.get("provenance", {})
        compared = require_unseen(provenance, index, recipe.evaluation)
        for note in compared.notes:
            print(note)
        with _parts(out, world, index.dataset_version, _subject(detector.config, recipe)) as parts:
            with storage.staged_directory(storage.join(parts, str(world.rank))) as stage:
                run.predict(detector, index, recipe.evaluation, stage, world.rank, world.size)
            distributed.barrier()  # every rank has written
            if not world.is_main:
                return Evaluation({}, {}, {})
            folders = [
                storage.local_copy(storage.join(parts, str(rank)), ".cache/parts")
                for rank in range(world.size)
            ]
            with storage.staged_directory(out) as stage:
                result = run.evaluate(index, recipe.evaluation, folders, stage)
                content = {
                    "values": result.values,
                    "protocols": result.protocols,
                    "details": result.details,
                    "dataset_version": index.dataset_version,
                    "sets": run.set_hashes(index, recipe.evaluation),
                    "training_images_compared": compared.is_whole,
                    **_subject(detector.config, recipe),
                }
                whole = stored.sealed(content, stage)
                storage.write_text(stage / storage.INDEX_NAME, json.dumps(whole, indent=1) + "\n")
    storage.write_text(metrics_path, json.dumps(result.values, indent=1) + "\n")
    return result


@contextmanager
def _parts(
    out: Location, world: World, dataset_version: str, subject: Mapping[str, Any]
) -> Iterator[str]:
    """The folder in which each rank leaves what it predicts, removed when all has been evaluated.

    It is named after what is evaluated: two evaluations into one folder must not take each other's
    predictions for their own. Raises ValueError, on the main rank, if another process here
    evaluates into the same folder; on an object store, the last one to end counts.
    """
    facts = json.dumps([world.size, dataset_version, subject], sort_keys=True)
    shared = f"{out}.parts"
    own = storage.join(shared, hashlib.sha256(facts.encode()).hexdigest()[:12])
    lock: AbstractContextManager[None] = nullcontext()
    if world.is_main and not storage.is_s3(shared):
        busy = f"another evaluation into {out} is under way: wait for it, or give another folder"
        lock = storage.locked(Path(shared, "lock"), busy)
    with lock:
        yield own
        if world.is_main:
            storage.remove(own if storage.is_s3(shared) else shared)


def evaluate_once(
    model: Location,
    shards_location: Location,
    metrics_path: Location,
    out: Location,
    recipe: Recipe,
) -> bool:
    """`evaluate`, unless `out` holds the evaluation of this very detector on these very shards.

    Returns whether it was measured now.
    """
    place = storage.join(out, storage.INDEX_NAME)
    if storage.exists(place) and storage.exists(metrics_path):
        known = json.loads(storage.read_text(place))
        facts = bundle.read_config(storage.local_copy(model, ".cache/models"))
        version = shards.read_index(shards_location).dataset_version
        wanted = {"dataset_version": version, **_subject(facts, recipe)}
        if {key: known.get(key) for key in wanted} == wanted:
            values = json.loads(storage.read_text(metrics_path))
            if values == known["values"]:
                return False
    evaluate(model, shards_location, metrics_path, out, recipe)
    return True


def _subject(facts: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """What an evaluation is of: the weights and the benchmarks."""
    return {
        "weights_sha256": facts.get("weights_sha256"),
        "confidence_sha256": facts.get("confidence_sha256"),
        "benchmarks": config.describe(recipe.evaluation),
    }


def write_report(
    model: Location,
    shards_location: Location,
    evaluation: Location,
    out: Location,
    recipe: Recipe,
    *,
    before: Location | None = None,
    zero_shot: Mapping[str, float] | None = None,
    numbers: Location | None = None,
    first: str = "",
) -> None:
    """Everything about a run in one HTML file.

    Args:
        evaluation: what `evaluate` wrote.
        before: evaluation of the detector that this one may replace, on the same sets: the two are
            shown side by side.
        zero_shot: flat metrics that were reached on new categories before any training on them.
        numbers: folder for the same numbers as JSON files, for `dvc metrics` and `dvc plots`.
        first: the user's own dataset, which the report begins with and is called after.
    """
    from omnidet.report import page, plots, tables
    from omnidet.report import sections as gallery

    evaluations = [folder for folder in (evaluation, before) if folder]
    inputs = (shards_location, *evaluations)
    storage.require_file_target(out, *(storage.join(f, storage.INDEX_NAME) for f in inputs))
    if numbers is not None:
        storage.require_replaceable(
            numbers, plots.METRICS_NAME, model, *inputs, written=("*.json",)
        )
    index = shards.read_index(shards_location)
    folder = storage.local_copy(model, ".cache/models")
    result, facts = stored.read(evaluation), bundle.read_config(folder)["provenance"]
    earlier = stored.values(before) if before else None
    log = _training_log(folder)
    sections = gallery.sections(index, recipe.evaluation.benchmarks, evaluation)
    report = page.Report(
        title=first or recipe.register.name,
        subtitle=_subtitle(recipe, first, before is not None),
        metrics=result.values,
        protocols=result.protocols,
        details=result.details,
        drawn=recipe.world is not None,
        training_log=log,
        scores_note=_scored_on(index, recipe, facts),
        sections=sections,
        facts={
            key.replace("_", " "): str(value)
            for key, value in facts.items()
            if not isinstance(value, dict | list)
        },
        before=earlier,
        zero_shot=zero_shot,
        tables=tables.of_run(index, facts),
        first=first,
        first_table=tables.of_dataset(index, first) if first else None,
    )
    page.write(out, report)
    if numbers is not None:
        with storage.staged_directory(numbers) as stage:
            for name, content in plots.files(sections, log).items():
                storage.write_text(stage / name, content)


def _subtitle(recipe: Recipe, first: str, is_taught: bool) -> str:
    if not first:
        return (
            "An open-vocabulary detector: class names and free phrases through one head, trained "
            "in one pass."
        )
    name = recipe.register.name
    done = f"taught to {name}" if is_taught else f"learned by a new detector, {name}"
    return f"Your pictures, {done}."


def _scored_on(index: shards.Index, recipe: Recipe, facts: Mapping[str, Any]) -> str:
    """What was measured as training went, where that is a sample of the evaluation pictures."""
    most = facts.get("recipe", {}).get("train", {}).get("score_images")
    counts = [
        shards.num_samples(index.shards(benchmark.set_name))
        for benchmark in recipe.evaluation.benchmarks
        if benchmark.can_be_sampled and benchmark.set_name in index.sets
    ]
    if most is None or max(counts, default=0) <= most:
        return ""
    one = f"{most} of the {counts[0]} evaluation pictures"
    of = one if len(counts) == 1 else f"at most {most} pictures of each benchmark"
    return f"Measured on a sample, {of}: the numbers of the detector are of all."


def _training_log(folder: Path) -> list[dict[str, Any]]:
    from omnidet.training import metrics

    path = folder / "training.jsonl"
    rows = metrics.read(path)
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            f"{path} holds rows that are not objects: the bundle is damaged, train again"
        )
    return rows
