"""Datasets -> shards -> vocabulary, on one machine or in parts on several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omnidet import storage
from omnidet.data import shards, vocabulary
from omnidet.data.sharding import build, finish, grouping, plan_file
from omnidet.data.tiny_world import draw as tiny_world
from omnidet.data.vocabulary import VOCABULARY_FILES
from omnidet.recipes.recipe import Recipe
from omnidet.storage import Location


def draw_world(out: Location, recipe: Recipe) -> None:
    """Draw the synthetic datasets of the recipe."""
    if recipe.world is None:
        raise ValueError(
            "this recipe reads real data and draws no world: use the recipe tiny_world"
        )
    storage.require_replaceable(out, "world.json", written=tiny_world.WRITTEN)
    with storage.staged_directory(out) as stage:
        tiny_world.draw(recipe.world, stage)


def build_shards(
    data: Location, out: Location, recipe: Recipe, paths: Mapping[str, str] | None = None
) -> shards.Index:
    """Datasets -> shard folder `out`.

    Args:
        data: folder that holds the datasets.
        paths: folders of datasets that are somewhere else, by the name of the dataset.
    """
    _require_data(data)
    inputs = (data, *(paths or {}).values())
    storage.require_replaceable(out, finish.QUARANTINE, *inputs, written=finish.WRITTEN)
    return build.build(data, str(out), recipe.shards, paths)


def plan_shards(
    data: Location, out: Location, recipe: Recipe, paths: Mapping[str, str] | None = None
) -> list[str]:
    """Begin a build that several machines share: the plan goes to `out`.

    Next is `build_shard_set` for each set, on any machine, then `merge_shards`.

    Returns:
        Names of the sets.
    """
    _require_data(data)
    return plan_file.write(data, out, recipe.shards, paths)


def group_shard_sets(
    data: Location,
    sets: Sequence[str],
    recipe: Recipe,
    paths: Mapping[str, str] | None = None,
) -> list[list[grouping.SetPart]]:
    """What each machine builds of the sets of a plan: (set, part) pairs for `build_shard_set`."""
    return grouping.group(data, recipe.shards, sets, paths)


def build_shard_set(
    data: Location,
    out: Location,
    set_name: str,
    recipe: Recipe,
    paths: Mapping[str, str] | None = None,
    part: tuple[int, int] = build.WHOLE,
) -> None:
    """One set of the plan in `out`, or part i of n of it.

    Raises ValueError if the plan was made with other settings.
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
    """Part i of n of every set. The first to start writes the plan; `merge_shards` ends the build.

    Raises ValueError if the plan was made with other settings, or for other datasets or evaluation
    images than there are now.
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
    """Write the index over all sets of the plan in `out`, which makes it a shard folder.

    Merging twice gives the same. The plan stays, since another run of a pipeline may share the
    folder; the next `build_shards_part` makes a new one.
    """
    sets = plan_file.read(out).sets
    for set_name in sets:
        finish.finish_set(str(out), set_name)
    finish.merge(str(out), sets)
    plan_file.mark_merged(out)
    return shards.read_index(out)


def build_vocabulary(
    shards_location: Location, out: Location, recipe: Recipe
) -> vocabulary.Vocabulary:
    """Words of the training shards -> vocabulary folder `out`."""
    index = shards.read_index(shards_location)
    storage.require_replaceable(out, "vocabulary.json", shards_location, written=VOCABULARY_FILES)
    texts = [
        text
        for name in index.sets
        if name.startswith("train/")
        for text in shards.texts(index, name)
    ]
    names = {name for truth in index.ground_truth.values() for name in truth["names"].values()}
    built = vocabulary.build(texts, recipe.vocabulary, names)
    for name, truth in index.ground_truth.items():
        try:
            built.check_names(list(truth["names"].values()))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    with storage.staged_directory(out) as stage:
        built.save(stage)
    return built


def _require_data(data: Location) -> None:
    if not storage.has_files(data):
        raise FileNotFoundError(
            f"data folder {data} does not exist or is empty: "
            "give the folder that holds the datasets"
        )
