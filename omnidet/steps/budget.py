"""How many steps fit into a time: a few are run and timed, on this machine and this data."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import statistics
import tempfile
import time
from typing import TYPE_CHECKING

from omnidet import storage
from omnidet.data import shards
from omnidet.data.vocabulary import Vocabulary
from omnidet.recipes.recipe import Recipe
from omnidet.storage import Location

if TYPE_CHECKING:
    from collections.abc import Iterator

    from omnidet.schema import Batch

NAME = "budget.json"
"""What was measured. A run that continues takes the same number of steps, however busy the machine
is by then."""
_WARM_UP, _MEASURED = 2, 4
LEAST_STEPS = 20


def steps_within(
    minutes: float,
    shards_location: Location,
    vocabulary_location: Location,
    recipe: Recipe,
    folder: Location,
) -> tuple[int, float]:
    """Steps that take so many minutes, and the seconds that each takes.

    Args:
        folder: of the run; the result is written there, and read from there if the same was asked.
    """
    index = shards.read_index(shards_location)
    asked = {"minutes": minutes, "dataset_version": index.dataset_version}
    place = storage.join(folder, NAME)
    if storage.exists(place):
        known = json.loads(storage.read_text(place))
        if {key: known.get(key) for key in asked} == asked:
            return int(known["steps"]), float(known["seconds_per_step"])
    seconds = seconds_per_step(index, vocabulary_location, recipe)
    steps = max(LEAST_STEPS, round(minutes * 60 / seconds))
    content = {**asked, "steps": steps, "seconds_per_step": round(seconds, 4)}
    storage.write_text(place, json.dumps(content, indent=1) + "\n")
    return steps, seconds


def seconds_per_step(index: shards.Index, vocabulary_location: Location, recipe: Recipe) -> float:
    """The median of a few steps of the recipe's training, from random tokens on; nothing of it is
    kept."""
    import torch

    from omnidet.data.mixing.mixture import Loader, Mixture
    from omnidet.model.detector import Detector
    from omnidet.training import loop, objective
    from omnidet.training.distributed import World

    marks: list[float] = []

    class Timed(Loader):
        def __iter__(self) -> Iterator[Batch]:
            for batch in super().__iter__():
                marks.append(time.monotonic())
                yield batch
            marks.append(time.monotonic())

    vocabulary = Vocabulary.load(storage.local_copy(vocabulary_location, ".cache/vocabulary"))
    config = dataclasses.replace(
        recipe.train,
        steps=_WARM_UP + _MEASURED,
        checkpoint_every=10**6,
        log_every=10**6,
        pictures_every=0,
    )
    backbone = recipe.model.backbone.without_weights()
    detector = Detector(dataclasses.replace(recipe.model, backbone=backbone), vocabulary.num_tokens)
    streams = tuple(s for s in recipe.streams if all(name in index.sets for name in s.sets))
    mixture = Mixture(
        index,
        vocabulary,
        streams,
        recipe.mixing,
        image_size=recipe.model.image_size,
        seed=recipe.train.seed,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with (
        tempfile.TemporaryDirectory(prefix="omnidet-") as folder,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        loop.fit(
            detector,
            Timed(mixture, config.steps),
            losses=objective.resolve(recipe.losses),
            config=config,
            world=World(0, 1, device),
            folder=folder,
            matching=recipe.matching,
        )
    taken = [after - before for before, after in itertools.pairwise(marks)]
    return statistics.median(taken[_WARM_UP:])
