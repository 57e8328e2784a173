"""`omnidet finetune FOLDER` where there is no detector to go on from: a new one, from a backbone
that has seen photographs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

from omnidet.commands.exit_codes import NOT_PASSED

DEFAULT_MINUTES = 10.0


def is_wanted(registry: str, start: str | None) -> bool:
    """Whether a new detector is asked for, or is all that can be: the registry holds none."""
    from omnidet.registry import versions
    from omnidet.steps.photographs import SMALL

    return start == SMALL or (start is None and not versions.models(registry))


def run(options: argparse.Namespace, name: str, settings: list[str]) -> int:
    """The steps of `steps/photographs.py`, one after the other.

    What an interrupted run had trained is not trained again.
    """
    from omnidet import storage
    from omnidet.recipes.loading import load_recipe
    from omnidet.recipes.photographs import of_folder
    from omnidet.steps import budget, photographs, retrain, train_detector

    started = time.monotonic()
    retrain.check_name(name)
    chosen = options.recipe or (None if options.params else "photographs")
    recipe = of_folder(load_recipe(options.params, chosen, settings), name)
    if options.model_name:
        register = dataclasses.replace(recipe.register, name=options.model_name)
        recipe = dataclasses.replace(recipe, register=register)
    backbone = recipe.model.backbone
    print(
        f"a new detector, {recipe.register.name}, from {getattr(backbone, 'name', backbone.kind)} "
        f"({getattr(backbone, 'weights', 'random weights')})"
    )
    folder = options.out or f"runs/finetune/{name}"
    dataset, shards, words, model = (
        storage.join(folder, part) for part in ("dataset", "shards", "vocabulary", "model")
    )
    version = retrain.data_version(options.data)
    print(retrain.read(options.data, dataset, version, recipe.retrain.reading))
    print(photographs.build_shards(dataset, shards, recipe, name))
    train_detector.build_vocabulary(shards, words, recipe)
    if not any(setting.startswith("train.steps=") for setting in settings):
        minutes = DEFAULT_MINUTES if options.minutes is None else options.minutes
        steps, seconds = budget.steps_within(minutes, shards, words, recipe, folder)
        print(
            f"a step takes {seconds:.2f} s on this machine: {steps} steps for {minutes:g} minutes"
        )
        recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, steps=steps))
    taught = {retrain.TAUGHT: [{"name": name, "data_version": version, "from": ""}]}
    train_detector.train(shards, words, model, recipe, facts=taught)
    metrics, evaluation = storage.join(folder, "metrics.json"), storage.join(folder, "evaluation")
    values = train_detector.evaluate(model, shards, metrics, evaluation, recipe).values
    report = storage.join(folder, "report.html")
    train_detector.write_report(model, shards, evaluation, report, recipe)
    for key in ("AP", "AP50"):
        print(f"{name}/{key:5} {values[f'{name}/{key}']:.3f}")
    print(f"report      {Path(report).resolve()}")
    decision = photographs.gate(folder, shards, recipe, name)
    if not decision.passed:
        print("\n".join(["not registered:", *decision.reasons]))
        print(
            f"the detector is in {model}. Train longer (--minutes), correct what the report shows, "
            "or "
            "judge again by another limit (--set retrain.min_ap50=X): nothing is trained twice"
        )
        return NOT_PASSED
    own, is_new = photographs.register(model, folder, options.registry, recipe)
    receipt = {"version": str(own), "location": own.location}
    storage.write_text(
        storage.join(folder, "registered.json"), json.dumps(receipt, indent=1) + "\n"
    )
    print(f"{own} {'registered' if is_new else 'was registered already'} in {own.location}")
    print(f'try it: omnidet predict PICTURE --phrases "WORDS" --model {own.name}')
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    return 0
