"""Shards + vocabulary -> trained detector."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet import config, storage
from omnidet.counted import counted
from omnidet.data import shards
from omnidet.data.mixing import set_aside
from omnidet.data.mixing.config import Stream
from omnidet.data.mixing.set_aside import SetAside
from omnidet.data.mixing.streams import class_names, with_data
from omnidet.data.vocabulary import Vocabulary
from omnidet.inference.defaults import THRESHOLD
from omnidet.model import bundle
from omnidet.model.confidence import Confidence
from omnidet.recipes.recipe import Recipe
from omnidet.storage import Location

if TYPE_CHECKING:
    from omnidet.model.config import ModelConfig
    from omnidet.model.detector import Detector
    from omnidet.training.scoring import Kept, Scoring


@dataclass(frozen=True, eq=False)
class _Run:
    """What a training works on; read once."""

    index: shards.Index
    vocabulary: Vocabulary
    streams: tuple[Stream, ...]
    notes: tuple[str, ...]
    """For people: streams without data, and what the code has to do with an earlier training."""
    model: ModelConfig
    trained: tuple[Detector, Vocabulary, dict[str, Any]] | None
    """The detector to start from."""
    origin: dict[str, Any]
    """Provenance."""
    work: Location
    folder: str
    """Of checkpoints and metric log, in `work`."""
    recipe: Recipe

    @property
    def names(self) -> list[str]:
        known = self.trained[2]["names"] if self.trained else ()
        return sorted(class_names(self.streams, self.index) | set(known))

    @property
    def aside(self) -> SetAside:
        """The pictures that are not trained on."""
        return set_aside.set_aside(self.index, self.streams, self.recipe.mixing.set_aside)

    def detector(self) -> Detector:
        """The detector as training begins with it."""
        from omnidet.model import grow
        from omnidet.model.detector import Detector
        from omnidet.training import loop

        loop.seed_everything(self.recipe.train.seed)
        made = Detector(self.model, self.vocabulary.num_tokens)
        if made.backbone.weights_sha256:
            self.origin["backbone_weights_sha256"] = made.backbone.weights_sha256
        if self.trained:
            grow.load_grown(made, self.trained[0], self.trained[1], self.vocabulary)
        return made

    def save(self, folder: Path, detector: Detector, confidence: Confidence | None = None) -> None:
        """Write the bundle."""
        bundle.save(folder, detector, self.vocabulary, self.names, self.origin, confidence)

    def confidence(self, detector: Detector) -> Confidence:
        """What the scores of the trained detector mean, by the pictures that were set aside."""
        from omnidet.inference.detector import OmniDet
        from omnidet.measures import confidence

        most = self.recipe.mixing.set_aside
        held_out = set_aside.records(self.index, self.streams, self.aside, most)
        found = confidence.fit(OmniDet(detector, self.vocabulary, {}), held_out)
        if found.images:
            print(
                f"scores fitted on {counted(found.images, 'picture')} set aside, with "
                f"{counted(found.boxes, 'box', 'boxes')}: threshold {found.threshold:.2f}"
            )
        elif most and any(stream.boxes for stream in self.streams):
            print(f"scores are not fitted, {self._why_not_fitted}")
        return found

    @property
    def _why_not_fitted(self) -> str:
        why = "too few boxes of the pictures set aside are found"
        if not self.aside.share:
            why = set_aside.why_none(self.index, self.streams)
        return (
            f"{why}: the default threshold is {THRESHOLD}, and the report says at which score F1 "
            "is best (predict --threshold)"
        )

    def scoring(self, scored: Collection[str] | None) -> Scoring | None:
        """What measures the detector as training goes, if the recipe asks for it."""
        from omnidet.measures import sample
        from omnidet.training.scoring import Scoring

        own = [
            b
            for b in self.recipe.evaluation.benchmarks
            if b.can_be_sampled
            and b.set_name in self.index.sets
            and (scored is None or b.name in scored)
        ]
        every = self.recipe.train.score_every
        if not every or not own:
            return None
        most = self.recipe.train.score_images
        measure = sample.Samples(self.index, own, most, self.vocabulary)
        return Scoring(self.folder, every, measure, self.save)


def _begin(
    shards_location: Location,
    vocabulary_location: Location,
    out: Location,
    recipe: Recipe,
    work: Location | None,
    start: Location | None,
    facts: Mapping[str, Any] | None,
) -> _Run:
    from omnidet.training import own_code, runs

    index = shards.read_index(shards_location)
    vocabulary = Vocabulary.load(storage.local_copy(vocabulary_location, ".cache/vocabulary"))
    streams, left_out = with_data(recipe.streams, index)
    model = _model_config(recipe, len(streams))
    trained = bundle.load(storage.local_copy(start, ".cache/models")) if start else None
    if trained:  # its weights replace those that the backbone began with, once
        model = dataclasses.replace(model, backbone=model.backbone.without_weights())
    plain, weights = config.describe(recipe), trained[2]["weights_sha256"] if trained else ""
    origin = runs.provenance(plain, index, vocabulary, weights) | dict(facts or {})
    work = _require_places(shards_location, vocabulary_location, out, work)
    folder, changed = own_code.folder(storage.join(work, origin["run"]))
    notes = (*left_out, *changed)
    return _Run(index, vocabulary, streams, notes, model, trained, origin, work, folder, recipe)


def train(
    shards_location: Location,
    vocabulary_location: Location,
    out: Location,
    recipe: Recipe,
    work: Location | None = None,
    *,
    start: Location | None = None,
    facts: Mapping[str, Any] | None = None,
    scored: Collection[str] | None = None,
) -> None:
    """Shards + vocabulary -> trained detector in the folder `out`.

    With `train.score_every`, it is the best that was measured on the way; else the last.

    Args:
        work: folder for checkpoints and the metric log, local or `s3://`; default `<out>.work`. A
            run with the same recipe and data continues from its newest checkpoint there, on any
            machine and with any number of ranks.
        start: trained detector to start from, whose vocabulary this one extends; without it,
            training is from scratch.
        facts: more provenance for `config.json`.
        scored: names of the benchmarks that are measured on the way; default: all that can be.
    """
    from omnidet.data.mixing.mixture import Loader, Mixture
    from omnidet.training import distributed, loop, objective, own_code, runs, scoring
    from omnidet.training.generation import Generation
    from omnidet.training.stop import InterruptedRunError
    from omnidet.training.stopwatch import Stopwatch

    stopwatch = Stopwatch()
    run = _begin(shards_location, vocabulary_location, out, recipe, work, start, facts)
    with distributed.world() as world, runs.alone(run.folder, world):
        if world.is_main:
            for line in (*run.notes, *runs.others(run.work, run.origin)):
                print(line)
            own_code.note(run.folder)
        generation = Generation.take(run.folder) if world.is_main else None
        detector = run.detector()
        mixture = Mixture(
            run.index,
            run.vocabulary,
            run.streams,
            recipe.mixing,
            image_size=recipe.model.image_size,
            seed=recipe.train.seed,
            rank=world.rank,
            world_size=world.size,
            aside=run.aside,
        )
        if world.is_main:
            for line in mixture.notes:
                print(line)
        try:
            averaged = loop.fit(
                detector,
                Loader(mixture, recipe.train.steps),
                losses=objective.resolve(recipe.losses),
                config=recipe.train,
                world=world,
                folder=run.folder,
                matching=recipe.matching,
                provenance={**run.origin, "shard_sha256": _hashes(run.index)},
                scoring=run.scoring(scored),
                stopwatch=stopwatch,
                generation=generation,
            )
        except InterruptedRunError:
            kept = scoring.best(run.folder) if world.is_main else None
            if kept:
                print(f"the best detector so far {_reached(kept)} is in {kept.location}")
            raise
        if world.is_main:
            if generation:
                generation.check()
            run.origin["train_seconds"] = round(stopwatch.seconds)
            kept = scoring.best(run.folder) if recipe.train.score_every else None
            _write(run, out, averaged, kept)


def take_best(
    shards_location: Location,
    vocabulary_location: Location,
    out: Location,
    recipe: Recipe,
    work: Location | None = None,
    *,
    start: Location | None = None,
    facts: Mapping[str, Any] | None = None,
    scored: Collection[str] | None = None,
) -> None:
    """What an interrupted `train` with the same arguments has reached, as the detector in `out`.

    That is the best that was measured on the way, or the newest checkpoint, which is measured now.
    Raises ValueError where there is neither.
    """
    from omnidet.training import checkpoint, distributed, runs, scoring
    from omnidet.training.stopwatch import Stopwatch

    run = _begin(shards_location, vocabulary_location, out, recipe, work, start, facts)
    with distributed.world() as world, runs.alone(run.folder, world):
        detector = run.detector()
        taken = checkpoint.newest(storage.join(run.folder, "checkpoints"))
        kept = scoring.best(run.folder)
        if taken is None:
            raise ValueError(
                f"no training has reached a checkpoint in {run.folder}: run the same command "
                "without --finish, or with the --minutes or --steps and --set of the run to finish"
            )
        detector.load_state_dict(dict(taken.tensors["average"]))
        measuring = run.scoring(scored)
        if measuring and (kept is None or kept.step < taken.step):
            measuring.score(taken.step, detector.eval())
            kept = scoring.best(run.folder)
        stopwatch = Stopwatch()
        stopwatch.go_on(taken.facts)
        run.origin["train_seconds"] = round(stopwatch.seconds)
        run.origin["stopped_after_step"] = taken.step
        storage.write_bytes(_log_path(run.folder), taken.log)
        _write(run, out, detector.eval(), kept)


def _write(run: _Run, out: Location, averaged: Detector, kept: Kept | None) -> None:
    """The bundle with the metric log: of the weights that were kept, else of these."""
    from omnidet.training import own_code

    if kept:
        from safetensors.torch import load_file

        place = storage.local_copy(kept.location, ".cache/models")
        averaged.load_state_dict(load_file(place / "model.safetensors"))
        run.origin["best_step"] = kept.step
        print(f"the best detector {_reached(kept)} is kept")
    confidence = run.confidence(averaged)
    with storage.staged_directory(out) as stage:
        run.save(stage, averaged, confidence)
        log = storage.read_bytes(_log_path(run.folder))
        storage.write_bytes(stage / "training.jsonl", log)
    own_code.note(run.folder, is_written=True)
    print(f"trained detector in {out}")


def _log_path(folder: Location) -> Path:
    """The metric log of the run in this folder."""
    from omnidet.training import loop

    return loop.log_path(folder)


def _reached(kept: Kept) -> str:
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in kept.values.items())
    return f"(step {kept.step}: {numbers})"


def _model_config(recipe: Recipe, num_streams: int) -> ModelConfig:
    """The model for the streams that have data.

    Raises ValueError if the recipe does not fit itself.
    """
    config.require(
        bool(recipe.losses), "losses=[]: there is nothing to learn from; give at least one"
    )
    calibrated = recipe.model.calibrated_streams
    config.require(
        calibrated in (0, len(recipe.streams)),
        f"model.calibrated_streams={calibrated}, but there are {len(recipe.streams)} streams: "
        "give their number, or 0",
    )
    own = num_streams if calibrated else 0
    return dataclasses.replace(recipe.model, calibrated_streams=own)


def _require_places(
    shards_location: Location, vocabulary_location: Location, out: Location, work: Location | None
) -> Location:
    """The folder for checkpoints.

    Raises ValueError or OSError if a training may not, or cannot, write there or to `out`.
    """
    inputs = (shards_location, vocabulary_location)
    read = (*inputs, *([work] if work else []))
    storage.require_replaceable(out, "config.json", *read, written=bundle.WRITTEN)
    work = work or f"{out}.work"
    for other in (out, *inputs):
        storage.require_outside(work, other)
    storage.require_writable(out)
    return work


def _hashes(index: shards.Index) -> dict[str, dict[str, str]]:
    """SHA-256 of every shard, by set and path."""
    return {name: {part.path: part.sha256 for part in parts} for name, parts in index.sets.items()}
