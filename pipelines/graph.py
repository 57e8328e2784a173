"""Parts of the graph of `train_detector`.

They are functions of their own because KFP runs a pipeline's function as soon as it is defined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kfp import dsl

from components.build_shard_sets import build_shard_sets
from components.build_vocabulary import build_vocabulary
from components.download import download
from components.draw_world import draw_world
from components.gate import gate
from components.merge_shards import merge_shards
from components.plan_shards import plan_shards
from components.register import register
from components.show_decision import show_decision
from pipelines.placement import Store, prepare, tell_registry

GROUPS_AT_ONCE = 4
"""How many groups of shard sets are built at the same time."""


def build_data(run: Any, source: Mapping[str, Any], recipe: Any, store: Store) -> tuple[Any, Any]:
    """Datasets, downloaded, given or drawn, -> shards and their vocabulary: the locations of both.

    Args:
        run: the task that configured the run.
        source: the parameters of the download besides the recipe.
    """
    # Cached by these parameters alone. What is downloaded is part of the key of the data folder, so
    # other datasets get shards of their own.
    settings = run.outputs["data_settings"]
    downloaded = download(**source, recipe=recipe, settings=settings)
    prepare(downloaded, store, hours=48)
    folder = run.outputs["data_folder"]
    of_data = {"data_folder": folder, "recipe": recipe, "settings": settings}
    drawn = draw_world(data=downloaded.output, **of_data)
    prepare(drawn, store)
    planned = plan_shards(data=drawn.output, **of_data)
    prepare(planned, store, hours=6)
    with dsl.ParallelFor(planned.output, parallelism=GROUPS_AT_ONCE) as group:
        built = build_shard_sets(group=group)
        prepare(built, store, hours=24)
    merged = merge_shards(data_folder=folder, set_names=dsl.Collected(built.output))
    prepare(merged, store)
    shards = merged.outputs["Output"]
    settings = run.outputs["vocabulary_settings"]
    words = build_vocabulary(shards=shards, data_folder=folder, recipe=recipe, settings=settings)
    prepare(words, store, hours=6)
    return shards, words.output


def gate_and_register(
    model: Any, metrics: Any, registry: Any, of_run: Mapping[str, Any], store: Store
) -> None:
    """Compare with the champion, and register what is good enough."""
    passed = gate(metrics=metrics, registry=registry, **of_run)
    prepare(passed, store, is_cached=False)  # the champion may have changed
    shown = show_decision(run_folder=of_run["run_folder"]).after(passed)
    prepare(shown, store, is_cached=False)
    with dsl.If(passed.output == True, name="passed"):  # noqa: E712  KFP builds the condition
        named = {"run_name": dsl.PIPELINE_JOB_NAME_PLACEHOLDER, **of_run}
        registered = register(model=model, metrics=metrics, registry=registry, **named)
        prepare(registered, store, is_cached=False)
        tell_registry(registered, store)
