"""`omnidet finetune FOLDER` where there is no detector to go on from: a new one, from a backbone
that has seen photographs."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omnidet.commands import inspect, overrides, run_folder
from omnidet.commands.exit_codes import NOT_PASSED
from omnidet.commands.taught_detector import interruptible

if TYPE_CHECKING:
    from omnidet.recipes.recipe import Recipe


def is_wanted(registry: str, start: str | None) -> bool:
    """Whether a new detector is asked for, or is all that can be: the registry holds none.

    Raises ValueError for the name of no model that is spelt almost like `photo-small`.
    """
    from omnidet.registry import versions
    from omnidet.steps.photographs import SMALL

    if start == SMALL:
        return True
    models = versions.models(registry)
    if start is None:
        return not models
    if start not in models and difflib.get_close_matches(start.lower(), [SMALL]):
        raise ValueError(f"--from {start}: no model has that name; do you mean --from {SMALL}?")
    return False


def run(options: argparse.Namespace, name: str, settings: list[str]) -> int:
    """The steps of `steps/photographs.py`, one after the other.

    What an interrupted run had trained is not trained again.
    """
    from omnidet import storage
    from omnidet.commands.finetune import DEFAULT_MINUTES
    from omnidet.steps import budget, photographs, retrain, train_detector

    started = time.monotonic()
    recipe, begins = _recipe(options, name, settings)
    version = retrain.data_version(options.data, recipe.retrain.reading)
    folder = run_folder.choose(name, options.out, version, start="", replay=None)
    dataset, shards, words, model = (
        storage.join(folder, part) for part in ("dataset", "shards", "vocabulary", "model")
    )
    said = retrain.read(options.data, dataset, version, recipe.retrain.reading)
    print(begins, said, sep="\n")  # a folder that is refused begins nothing
    print(photographs.build_shards(dataset, shards, recipe, name))
    if not (options.name or options.model_name):
        photographs.require_own_name(options.registry, shards, recipe, options.data)
    train_detector.build_vocabulary(shards, words, recipe)
    if options.dry_run:
        inspect.show(options.data, shards, dataset, storage.join(folder, "pictures.html"))
        return 0
    is_asked = options.minutes is not None or options.steps is not None
    minutes = DEFAULT_MINUTES if options.minutes is None else options.minutes
    planned = budget.plan(
        shards,
        words,
        recipe,
        folder,
        minutes=None if options.steps else minutes,
        steps=options.steps,
        finishes=options.finish and not is_asked,
    )
    print(planned.describe())
    recipe = planned.applied(recipe)
    taught = {retrain.TAUGHT: [{"name": name, "data_version": version, "from": ""}]}
    step = train_detector.take_best if options.finish else train_detector.train
    with interruptible():
        step(shards, words, model, recipe, facts=taught)
    metrics, evaluation = storage.join(folder, "metrics.json"), storage.join(folder, "evaluation")
    is_new = train_detector.evaluate_once(model, shards, metrics, evaluation, recipe)
    report = storage.join(folder, "report.html")
    if is_new or not storage.exists(report):
        train_detector.write_report(model, shards, evaluation, report, recipe, first=name)
    values = json.loads(storage.read_text(metrics))
    for key in ("AP", "AP50"):
        print(f"{name}/{key:5} {values[f'{name}/{key}']:.3f}")
    print(f"report      {Path(report).resolve()}")
    decision = photographs.gate(folder, shards, recipe, name)
    if not decision.passed:
        _say_refused(model, decision.reasons)
        return NOT_PASSED
    print(photographs.register(model, folder, options.registry, recipe))
    called = _called(options.registry, folder, recipe)
    where = "" if options.registry == "registry" else f" --registry {shlex.quote(options.registry)}"
    print(f'try it: omnidet predict PICTURE --phrases "WORDS" --model {called}{where}')
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    return 0


def _recipe(options: argparse.Namespace, name: str, settings: list[str]) -> tuple[Recipe, str]:
    """The recipe of the new detector, and what it begins with, for people.

    Raises ValueError for options that a new detector has no use for.
    """
    from omnidet.recipes.loading import load_recipe
    from omnidet.recipes.photographs import of_folder
    from omnidet.steps import photographs

    overrides.refuse_ignored(options.set, overrides.NEW)
    if options.keep:
        raise ValueError(
            f"--keep {options.keep[0]}: a new detector has nothing to keep; give --from champion "
            "to teach a trained one"
        )
    if options.replay not in (None, "none"):
        raise ValueError(
            f"--replay {options.replay}: a new detector replays nothing; give --from champion "
            "to teach a trained one"
        )
    chosen = options.recipe or (None if options.params else "photographs")
    recipe = of_folder(load_recipe(options.params, chosen, settings), name)
    if options.model_name:
        register = dataclasses.replace(recipe.register, name=options.model_name)
        recipe = dataclasses.replace(recipe, register=register)
    is_asked = any(setting.startswith("model.backbone") for setting in settings)
    recipe, why = photographs.choose_backbone(recipe, is_asked)
    if is_asked or options.params or options.recipe:
        photographs.require_backbone(recipe)
    return recipe, f"a new detector, {recipe.register.name}, from {why}"


def _called(registry: str, folder: str, recipe: Recipe) -> str:
    """What `--model` calls the version that was registered: its name, where that means this one."""
    from omnidet import storage
    from omnidet.registry import versions

    receipt = json.loads(storage.read_text(storage.join(folder, "registered.json")))
    version: str = receipt["version"]
    name = recipe.register.name
    is_meant = receipt["is_champion"] and str(versions.find(registry, name)) == version
    return name if is_meant else version


def _say_refused(model: str, reasons: Sequence[str]) -> None:
    print("\n".join(["not registered:", *reasons]))
    print(
        f"the trained detector is in {model}. Train longer (--minutes), correct what the "
        "report shows, or judge it again by another limit (--set retrain.min_ap50=X): nothing "
        "is trained twice"
    )
