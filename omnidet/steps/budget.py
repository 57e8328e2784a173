"""How a training fits into a time: a few steps and a few pictures are timed, on this machine and
this data."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import itertools
import json
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omnidet import config, storage
from omnidet.counted import counted
from omnidet.data import shards
from omnidet.data.vocabulary import Vocabulary
from omnidet.recipes.recipe import Recipe
from omnidet.storage import Location
from omnidet.training import runs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from omnidet.schema import Batch

NAME = "budget.json"
"""What was measured. A run that continues takes the same number of steps and threads, however busy
the machine is by then; also one that continues after another time was asked for in between."""
_LENGTH, _EARLIER = ("minutes", "asked_steps"), "earlier"
LEAST_STEPS = 20
SCORING_SHARE = 0.05
"""Share of the training's time that measuring on the way may take."""
MOST_SCORES, LEAST_IMAGES = 10, 8
_WARM_UP, _MEASURED = 2, 4
_PATIENCE = 8
"""Times as long as the fastest step that all steps of another setting may take together."""
_PICTURES = 16


@dataclass(frozen=True)
class Budget:
    """How long to train, and how."""

    steps: int
    threads: int
    """Threads of the process that trains."""
    seconds_per_step: float
    seconds_per_picture: float
    """Of an evaluation."""
    score_every: int
    """Steps between two measurements on the way; 0 for none."""
    score_images: int
    seconds_by_threads: dict[str, float]
    """What a step takes, by the number of threads that was tried."""
    is_least: bool = False
    """Whether the minutes that were asked for hold fewer steps than any training takes."""

    def applied(self, recipe: Recipe) -> Recipe:
        """The recipe with this number of steps and measurements on the way."""
        train = dataclasses.replace(
            recipe.train,
            steps=self.steps,
            score_every=self.score_every,
            score_images=self.score_images or recipe.train.score_images,
        )
        return dataclasses.replace(recipe, train=train)

    def describe(self) -> str:
        """One line for people."""
        tried = ", ".join(
            f"{seconds:.2f} s with {counted(int(number), 'thread')}"
            for number, seconds in self.seconds_by_threads.items()
        )
        measured = (
            f", measured every {self.score_every} on up to {self.score_images} pictures"
            if self.score_every
            else ""
        )
        least = ", the fewest, which takes longer than asked" if self.is_least else ""
        return f"a step takes {tried} on this machine: {self.steps} steps{least}{measured}"


@dataclass(frozen=True)
class Times:
    """What was timed."""

    seconds_by_threads: dict[str, float]
    seconds_per_picture: float
    evaluation_images: int
    """Pictures that the evaluation after the training has to go through."""
    scored: int = 1
    """Benchmarks that are measured on the way."""


def plan(
    shards_location: Location,
    vocabulary_location: Location,
    recipe: Recipe,
    folder: Location,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    scored: Collection[str] | None = None,
    finishes: bool = False,
) -> Budget:
    """The budget for so many minutes, or for so many steps.

    The minutes hold the training, measuring on the way, and the evaluation afterwards. From here
    on, this process works with the number of threads that was the fastest.

    Args:
        folder: of the run; the budget is written there, and read from there if the same was asked.
        scored: names of the benchmarks that are measured on the way; default: all that can be.
        finishes: take the last budget of this training, whatever time was asked for then.
    """
    index = shards.read_index(shards_location)
    images = sum(stream.images_per_step for stream in recipe.streams)
    asked = {
        "minutes": minutes,
        "asked_steps": steps,
        "dataset_version": index.dataset_version,
        "images_per_step": images,
        "image_size": recipe.model.image_size,
        "training": _digest(recipe),
    }
    place = storage.join(folder, NAME)
    last = json.loads(storage.read_text(place)) if storage.exists(place) else {}
    known = [last, *last.pop(_EARLIER, [])] if last else []
    compared = {key: asked[key] for key in asked if not (finishes and key in _LENGTH)}
    untold = {"training": asked["training"]}  # earlier versions did not write it
    same = [one for one in known if compared.items() <= (untold | one).items()]
    if same:
        content = same[0]
    else:
        started = time.monotonic()
        times = measure(index, vocabulary_location, recipe, scored)
        left = None if minutes is None else minutes * 60 - (time.monotonic() - started)
        made = shared_out(times, recipe.train.score_images, left, steps)
        content = asked | dataclasses.asdict(made)
    if known[:1] != [content]:
        others = [one for one in known if one is not content]
        storage.write_text(place, json.dumps(content | {_EARLIER: others}, indent=1) + "\n")
    fields = [field.name for field in dataclasses.fields(Budget) if field.name in content]
    made = Budget(**{name: content[name] for name in fields})
    _use_threads(made.threads)
    return made


def _digest(recipe: Recipe) -> str:
    """Of all that the time of a step depends on."""
    content = json.dumps(runs.decisive(config.describe(recipe)), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def shared_out(times: Times, most_images: int, seconds: float | None, steps: int | None) -> Budget:
    """Time or steps, shared out between training and measuring.

    Measuring on the way takes `SCORING_SHARE` of it at most, first by fewer measurements, then by
    fewer pictures; below `LEAST_IMAGES` nothing is measured on the way.
    """
    threads, a_step = min(times.seconds_by_threads.items(), key=lambda item: item[1])
    a_picture = times.seconds_per_picture
    if steps is None:
        assert seconds is not None
        whole = times.evaluation_images * a_picture
        seconds = max(seconds - whole, seconds / 2, 0.0)
    else:
        seconds = steps * a_step
    allowed = SCORING_SHARE * seconds
    scored = max(times.scored, 1)
    most = min(most_images * scored, times.evaluation_images)
    images = most
    count = min(MOST_SCORES, int(allowed / max(images * a_picture, 1e-9)))
    if count < 3:
        count, images = 3, min(images, int(allowed / 3 / a_picture))
    if images < min(LEAST_IMAGES * scored, most) or not times.scored:
        count = images = 0
    is_least = False
    if steps is None:
        fitting = round((seconds - count * images * a_picture) / a_step)
        steps, is_least = max(LEAST_STEPS, fitting), fitting < LEAST_STEPS
    every = math.ceil(steps / count) if count else 0
    return Budget(
        steps, int(threads), round(a_step, 4), round(a_picture, 4), every, images // scored,
        times.seconds_by_threads, is_least,
    )  # fmt: skip


def measure(
    index: shards.Index,
    vocabulary_location: Location,
    recipe: Recipe,
    scored: Collection[str] | None = None,
) -> Times:
    """Seconds of a step, with one thread and with as many as torch would take, and of a picture.

    A machine that others use is often faster with one: threads that wait for one another are no
    help.
    """
    import torch

    from omnidet.measures import sample
    from omnidet.model.detector import Detector

    vocabulary = Vocabulary.load(storage.local_copy(vocabulary_location, ".cache/vocabulary"))
    present = [b for b in recipe.evaluation.benchmarks if b.set_name in index.sets]
    whole = sum(shards.num_samples(index.shards(b.set_name)) for b in present)
    all_threads = torch.get_num_threads()
    tried = [1] if torch.cuda.is_available() else sorted({1, all_threads})
    seconds: dict[str, float] = {}
    for threads in tried:
        _use_threads(threads)
        enough = min(seconds.values(), default=math.inf)
        taken = seconds_per_step(index, vocabulary, recipe, enough)
        seconds[str(threads)] = round(taken, 4)
    _use_threads(int(min(seconds, key=lambda number: seconds[number])))
    a_picture = min(seconds.values()) / max(1, sum(s.images_per_step for s in recipe.streams)) / 3
    sampled = [b for b in present if b.can_be_sampled and (scored is None or b.name in scored)]
    if sampled:
        model = dataclasses.replace(
            recipe.model, backbone=recipe.model.backbone.without_weights(), calibrated_streams=0
        )
        detector = Detector(model, vocabulary.num_tokens)
        ready = sample.Samples(index, sampled[-1:], _PICTURES, vocabulary)
        ready(detector)
        began = time.monotonic()
        ready(detector)
        a_picture = (time.monotonic() - began) / max(1, ready.num_images)
    return Times(seconds, round(a_picture, 5), whole, len(sampled))


def seconds_per_step(
    index: shards.Index, vocabulary: Vocabulary, recipe: Recipe, enough: float = math.inf
) -> float:
    """The median of a few steps of the recipe's training, from random tokens on; nothing of it is
    kept.

    Args:
        enough: seconds; a step that takes longer, after the first ones, ends the measurement.
    """
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
                slowest = max((b - a for a, b in itertools.pairwise(marks[_WARM_UP:])), default=0.0)
                if slowest > enough or marks[-1] - marks[0] > _PATIENCE * enough:
                    raise _SlowerError
                yield batch
            marks.append(time.monotonic())

    config = dataclasses.replace(
        recipe.train,
        steps=_WARM_UP + _MEASURED,
        checkpoint_every=10**6,
        log_every=10**6,
        pictures_every=0,
    )
    streams = tuple(s for s in recipe.streams if all(name in index.sets for name in s.sets))
    model = dataclasses.replace(
        recipe.model,
        backbone=recipe.model.backbone.without_weights(),
        calibrated_streams=len(streams) if recipe.model.calibrated_streams else 0,
    )
    detector = Detector(model, vocabulary.num_tokens)
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
        contextlib.suppress(_SlowerError),
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
    return statistics.median(taken[_WARM_UP:] or taken)


class _SlowerError(Exception):
    """Other settings are faster: there is no need to know by how much."""


def _use_threads(number: int) -> None:
    import torch

    torch.set_num_threads(number)
