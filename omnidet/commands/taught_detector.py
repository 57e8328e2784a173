"""`omnidet finetune FOLDER --from champion`: new categories for a trained detector."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from omnidet.commands import inspect, overrides, run_folder
from omnidet.commands.exit_codes import NOT_PASSED

if TYPE_CHECKING:
    from omnidet.recipes.recipe import Recipe
    from omnidet.registry.versions import Version

_PARTS = ("dataset", "shards", "vocabulary", "model")


def run(options: argparse.Namespace, name: str, settings: list[str]) -> int:
    """The steps of `steps/retrain/`, one after the other.

    What an interrupted run had trained is not trained again, and what was measured is not measured
    again.
    """
    from omnidet import storage
    from omnidet.steps import retrain

    started = time.monotonic()
    champion = retrain.find_champion(options.registry, options.champion or "champion")
    # Before all pictures are hashed, so that a typo is said at once.
    recipe = _recipe(options, champion, name, settings)
    model_name = _model_name(options, name)
    if model_name in ("", champion.name):
        retrain.require_current(options.registry, champion)
    kept = retrain.kept(champion, recipe, name)
    noticed = retrain.notice(
        options.data, options.registry, str(champion), name, recipe.retrain.reading
    )
    if not noticed.is_new:
        print(noticed.why)
        return 0
    if not options.name:
        _require_distinct(name, options.data, champion)
    replay = retrain.replay_of(champion, options.replay)
    retrain.require_whole(champion)
    retrain.require_measured(champion, recipe, name, replay)
    folder = run_folder.choose(name, options.out, noticed.data_version, str(champion), replay)
    dataset, combined, words, model = (storage.join(folder, part) for part in _PARTS)
    # Until `combined` no longer names what an older state left in this folder, that one must stay.
    new = storage.join(folder, f"new-{noticed.data_version[:8]}")
    said = retrain.read(
        options.data, dataset, noticed.data_version, recipe.retrain.reading, replay, champion
    )
    print(noticed.why)  # now, because a folder that is refused begins nothing
    if options.champion is None and recipe.world is not None:
        print(
            f"hint: {champion}, the one model in {options.registry}, began with drawn shapes: on "
            "photographs a new detector reaches more in the same time (--from photo-small)"
        )
    if options.replay == "none":
        print("--replay none: nothing old is measured, and it is forgotten")
    else:
        _say_what_is_kept(kept.describe(), champion)
    print(said)
    if doubt := retrain.doubt_of_replay(champion, replay, combined):
        print(doubt)
    print(retrain.build_shards(dataset, replay, new, combined, recipe, name))
    print(retrain.extend_vocabulary(combined, champion.location, words, name))
    if options.dry_run:
        inspect.show(options.data, new, dataset, storage.join(folder, "pictures.html"))
        return 0
    recipe = _with_budget(options, settings, recipe, champion, folder, name)
    untaught = retrain.zero_shot(
        combined, champion.location, storage.join(folder, "zero_shot"), recipe, name
    )
    print(f"before: {name}/AP50 {untaught.get(f'{name}/AP50', 0):.3f}")
    with interruptible():
        retrain.train(
            combined, words, champion, model, recipe, name, noticed.data_version,
            finish=options.finish,
        )  # fmt: skip
    retrain.evaluate(combined, champion, model, folder, recipe, name)
    decision = retrain.gate(folder, champion, recipe, name)
    before = json.loads(storage.read_text(storage.join(folder, "before", storage.INDEX_NAME)))
    print(table(before["values"], folder))
    print(f"report      {Path(folder, 'report.html').resolve()}")
    if not decision.passed:
        print("\n".join([f"not registered, {champion} stays the champion:", *decision.reasons]))
        print(retrain.remedies(model, name, recipe))
        return NOT_PASSED
    print("".join(f"{line}\n" for line in decision.excused()), end="")
    version, said = retrain.register(
        model, folder, options.registry, champion, recipe, name, noticed.data_version, model_name
    )
    receipt = {"version": str(version), "location": version.location}
    storage.write_text(
        storage.join(folder, "registered.json"), json.dumps(receipt, indent=1) + "\n"
    )
    print(f"{said}\n{(time.monotonic() - started) / 60:.1f} minutes")
    return 0


def _recipe(
    options: argparse.Namespace, champion: Version, name: str, settings: list[str]
) -> Recipe:
    """The champion's recipe with the settings; those without effect are refused."""
    from omnidet.recipes.loading import load_recipe
    from omnidet.steps import retrain

    has_length = options.minutes is not None or options.steps is not None
    overrides.refuse_ignored(options.set, overrides.EXTENDING, has_length)
    keep = list(options.keep)
    if options.replay == "none":
        if set(keep) - {"none"}:
            raise ValueError(
                f"--keep {keep[0]} --replay none: without the old pictures nothing old is "
                "measured; leave out one of them"
            )
        keep = ["none"]
    if keep:
        settings = [*settings, f"retrain.keep={json.dumps(keep)}"]
    if options.recipe or options.params:
        return load_recipe(options.params, options.recipe, settings)
    return retrain.base_recipe(champion, settings, name)


def _model_name(options: argparse.Namespace, name: str) -> str:
    """What to register under; empty for the champion's name."""
    from omnidet.registry import versions

    given: str = options.model_name or (name if options.replay == "none" else "")
    if given:
        versions.check_name(given)
    return given


def _say_what_is_kept(said: str, champion: Version) -> None:
    from omnidet.steps import retrain

    print(said)
    _, missing = retrain.line_of(champion)
    if missing:
        print(f"not compared with {', '.join(missing)}: the registry no longer holds them")


def _has_budget(options: argparse.Namespace, settings: list[str]) -> bool:
    """Whether a time or a number of steps is asked for, rather than what the recipe says."""
    asked = options.minutes is not None or options.steps is not None
    told = any(s.partition("=")[0].strip() == "retrain.steps" for s in settings)
    return asked or not (told or options.params or options.recipe)


def _with_budget(
    options: argparse.Namespace,
    settings: list[str],
    recipe: Recipe,
    champion: Version,
    folder: str,
    name: str,
) -> Recipe:
    """The recipe with as many steps as the minutes allow, or as were asked for."""
    from omnidet import storage
    from omnidet.commands.finetune import DEFAULT_MINUTES
    from omnidet.steps import budget, retrain

    combined, words = storage.join(folder, "shards"), storage.join(folder, "vocabulary")
    whole = retrain.recipe_for(recipe, combined, champion.location, name)
    minutes, steps, finishes = options.minutes, options.steps, False
    if minutes is None and steps is None:
        if _has_budget(options, settings):
            minutes, finishes = DEFAULT_MINUTES, options.finish
        else:
            steps = recipe.retrain.steps
    scored = {name, *retrain.kept(champion, recipe, name).drops}
    planned = budget.plan(
        combined, words, whole, folder,
        minutes=minutes, steps=steps, scored=scored, finishes=finishes,
    )  # fmt: skip
    print(planned.describe())
    recipe = planned.applied(recipe)
    own = dataclasses.replace(recipe.retrain, steps=planned.steps)
    return dataclasses.replace(recipe, retrain=own)


@contextmanager
def interruptible() -> Iterator[None]:
    """Say how to go on, or to end, after Ctrl-C."""
    try:
        yield
    except SystemExit as stopped:
        if stopped.code:
            print(
                "the same command goes on from here; with --finish it evaluates, judges and "
                "registers the best that was reached"
            )
        raise


def _require_distinct(name: str, data: str, champion: Version) -> None:
    """Raise ValueError if the name, which nobody gave, is that of a dataset that was taught before.

    It may be the same dataset with more pictures, or another folder of the same name: then its
    benchmark would take the place of the old one. Only a person knows.
    """
    from omnidet.steps import retrain

    taught = champion.provenance.get(retrain.TAUGHT, [])
    if any(dataset["name"] == name for dataset in taught):
        raise ValueError(
            f"{data}: {champion} was taught a dataset {name!r} before: give --name {name} if this "
            "is "
            f"a later state of it, or another one, such as --name {name}-2, if it is not"
        )


def table(before: dict[str, float], folder: str) -> str:
    """Headline numbers before and after, for people."""
    from omnidet import storage
    from omnidet.evaluation.metric_names import HEADLINES

    after = json.loads(storage.read_text(storage.join(folder, "metrics.json")))
    shown = [key for key in after if key.rpartition("/")[2] in (*HEADLINES, "AP50")]
    width = max(len(key) for key in shown)
    lines = [f"{'':{width}}  before   after  change"]
    for key in shown:
        old = before.get(key)
        change = "" if old is None else f"  {after[key] - old:+.3f}"
        lines.append(
            f"{key:{width}}  {'-' if old is None else format(old, '.3f'):>6}   "
            f"{after[key]:.3f}{change}"
        )
    return "\n".join(lines)
