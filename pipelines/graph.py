"""Parts of the graph of `train_detector`. KFP runs a pipeline's function when it is defined, so they stand before it."""

from __future__ import annotations

from typing import Any

from kfp import dsl

from components.build_shard_set import build_shard_set
from components.build_vocabulary import build_vocabulary
from components.download import download
from components.draw_world import draw_world
from components.gate import gate
from components.merge_shards import merge_shards
from components.plan_shards import plan_shards
from components.register import register
from components.show_decision import show_decision
from pipelines.placement import prepare, tell_registry

SETS_AT_ONCE = 4
"""Shard sets that are built at the same time."""


def build_data(
    run: Any,
    data: Any,
    data_version: Any,
    names: Any,
    catalogue: Any,
    recipe: Any,
    store: tuple[Any, Any],
) -> tuple[Any, Any]:
    """Datasets, downloaded, given or drawn, to shards and their vocabulary: the locations of these two."""
    # Cached by these parameters alone; what it brings shows in the key of the data folder, so that shards are built anew.
    brought = download(
        data=data, data_version=data_version, names=names, catalogue=catalogue, recipe=recipe
    ).after(run)
    prepare(brought, *store, hours=48)
    folder = run.outputs["data_folder"]
    of_data = {"data_folder": folder, "recipe": recipe, "settings": run.outputs["data_settings"]}
    drawn = draw_world(data=brought.output, **of_data)
    prepare(drawn, *store)
    planned = plan_shards(data=drawn.output, **of_data)
    prepare(planned, *store, hours=6)
    with dsl.ParallelFor(planned.output, parallelism=SETS_AT_ONCE) as part:
        built = build_shard_set(part=part)
        prepare(built, *store, hours=24)
    merged = merge_shards(data_folder=folder, set_names=dsl.Collected(built.output))
    prepare(merged, *store)
    shards = merged.outputs["Output"]
    words = build_vocabulary(
        shards=shards,
        data_folder=folder,
        recipe=recipe,
        settings=run.outputs["vocabulary_settings"],
    )
    prepare(words, *store, hours=6)
    return shards, words.output


def gate_and_register(
    model: Any, metrics: Any, registry: Any, of_run: dict[str, Any], store: tuple[Any, Any]
) -> None:
    """Compare with the champion, and register what is good enough."""
    passed = gate(metrics=metrics, registry=registry, **of_run)
    prepare(passed, *store, is_cached=False)  # the champion may have changed
    prepare(show_decision(run_folder=of_run["run_folder"]).after(passed), *store, is_cached=False)
    with dsl.If(passed.output == True, name="passed"):
        named = {"run_name": dsl.PIPELINE_JOB_NAME_PLACEHOLDER, **of_run}
        registered = register(model=model, metrics=metrics, registry=registry, **named)
        prepare(registered, *store, is_cached=False)
        tell_registry(registered, store[1])
