"""`omnidet finetune FOLDER --from champion`: new categories for a trained detector, the whole way
on one machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
import time
import unicodedata
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet.commands import new_detector
from omnidet.commands.exit_codes import NOT_PASSED
from omnidet.data.annotated.config import EXIF, FORMATS

if TYPE_CHECKING:
    from omnidet.recipes.recipe import Recipe
    from omnidet.registry.versions import Version

MOST_MINUTES = 10_000.0


def add(commands: Any) -> None:
    """Register the command."""
    text = "teach a trained detector new categories: a folder in, a registered version out"
    parser: argparse.ArgumentParser = commands.add_parser("finetune", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument(
        "data",
        metavar="FOLDER",
        help="pictures with annotations of any format in docs/formats.md; local or s3://",
    )
    parser.add_argument(
        "--from",
        dest="champion",
        metavar="VERSION",
        help="champion, NAME or NAME@3; photo-small for a new detector (default: the champion, or "
        "a "
        "new detector where the registry holds none)",
    )
    parser.add_argument(
        "--registry", default="registry", help="folder or s3:// URI (default: registry)"
    )
    parser.add_argument(
        "--name",
        help="of the dataset: its metrics are called NAME/AP (default: name of the folder)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="how long to train on this machine (default: 10 for a new detector)",
    )
    parser.add_argument(
        "--as",
        dest="model_name",
        metavar="MODEL",
        help="name to register a new detector under (default: the dataset's)",
    )
    parser.add_argument("--format", choices=FORMATS, help="where a folder has several")
    parser.add_argument(
        "--names",
        metavar="FILE",
        help="phrases for class names: YAML with lines `BoltWasher: lock washer`",
    )
    parser.add_argument(
        "--exif",
        choices=EXIF,
        help="which way up photographs were annotated that EXIF turns, where the files do not say",
    )
    parser.add_argument(
        "--replay",
        metavar="SHARDS",
        help="shards the champion was trained on, if they moved; or none, to "
        "look at the new names alone: without the old benchmarks the gate registers nothing",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="for everything the run makes (default: runs/finetune/NAME)"
    )
    parser.add_argument(
        "--params", type=Path, help="YAML file with `recipe:` and fields to change, as params.yaml"
    )
    parser.add_argument(
        "--recipe", help="the champion's (default: the one that registers under its name)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="as retrain.steps=300"
    )


def run(options: argparse.Namespace) -> int:
    """The steps of `retraining.py`, one after the other; what an interrupted run had trained is not
    trained again.
    """
    from omnidet import storage
    from omnidet.recipes.loading import load_recipe
    from omnidet.steps import retrain

    started = time.monotonic()
    if options.minutes is not None and not 0 < options.minutes <= MOST_MINUTES:
        raise ValueError(f"--minutes {options.minutes:g}: give minutes above 0")
    name = options.name or default_name(options.data)
    if new_detector.is_wanted(options.registry, options.champion):
        with _alone(options.out or f"runs/finetune/{name}"):
            return new_detector.run(options, name, [*options.set, *_reading(options)])
    if options.model_name:
        raise ValueError(
            f"--as {options.model_name}: a taught detector keeps the name of the one it goes on "
            "from; "
            "give --from photo-small for a new one"
        )
    options.champion = options.champion or "champion"
    champion = retrain.find_champion(options.registry, options.champion)
    # Before all pictures are hashed, so that a typo is said at once.
    settings = [*options.set, *_reading(options)]
    recipe = (
        load_recipe(options.params, options.recipe, settings)
        if options.recipe or options.params
        else retrain.base_recipe(champion, settings)
    )
    noticed = retrain.notice(options.data, options.registry, options.champion, name)
    print(noticed.why)
    if not noticed.is_new:
        return 0
    champion = noticed.champion
    if not options.name:
        _require_distinct(name, options.data, champion)
    replay = retrain.replay_of(champion, options.replay)
    retrain.require_whole(champion)
    folder = options.out or f"runs/finetune/{name}"
    dataset, new, combined, words, model = (storage.join(folder, part) for part in _PARTS)
    with _alone(folder):
        print(retrain.read(options.data, dataset, noticed.data_version, recipe.retrain.reading))
        print(retrain.build_shards(dataset, replay, new, combined, recipe, name))
        print(retrain.extend_vocabulary(combined, champion.location, words, name))
        if options.minutes is not None:
            recipe = _within(options.minutes, recipe, combined, champion, words, folder, name)
        untaught = retrain.zero_shot(
            combined, champion.location, storage.join(folder, "zero_shot"), recipe, name
        )
        print(f"before: {name}/AP50 {untaught.get(f'{name}/AP50', 0):.3f}")
        retrain.train(combined, words, champion, model, recipe, name, noticed.data_version)
        retrain.evaluate(combined, champion, model, folder, recipe, name)
        decision = retrain.gate(folder, champion, recipe, name)
        print(
            table(
                json.loads(storage.read_text(storage.join(folder, "before", storage.INDEX_NAME)))[
                    "values"
                ],
                folder,
            )
        )
        print(f"report      {Path(folder, 'report.html').resolve()}")
        if not decision.passed:
            print("\n".join([f"not registered, {champion} stays the champion:", *decision.reasons]))
            return NOT_PASSED
        version, said = retrain.register(
            model, folder, options.registry, champion, recipe, name, noticed.data_version
        )
        receipt = {"version": str(version), "location": version.location}
        storage.write_text(
            storage.join(folder, "registered.json"), json.dumps(receipt, indent=1) + "\n"
        )
    print(f"{said}\n{(time.monotonic() - started) / 60:.1f} minutes")
    return 0


def _reading(options: argparse.Namespace) -> list[str]:
    """Settings that have a flag of their own."""
    flags = {"format": options.format, "names": options.names, "exif": options.exif}
    return [
        f"retrain.reading.{field}={json.dumps(value)}" for field, value in flags.items() if value
    ]


def _within(
    minutes: float,
    recipe: Recipe,
    combined: str,
    champion: Version,
    words: str,
    folder: str,
    name: str,
) -> Recipe:
    """The recipe with as many steps as the minutes allow."""
    from omnidet.steps import budget, retrain

    whole = retrain.recipe_for(recipe, combined, champion.location, name)
    steps, seconds = budget.steps_within(minutes, combined, words, whole, folder)
    print(f"a step takes {seconds:.2f} s on this machine: {steps} steps for {minutes:g} minutes")
    return dataclasses.replace(recipe, retrain=dataclasses.replace(recipe.retrain, steps=steps))


_PARTS = ("dataset", "new", "shards", "vocabulary", "model")


def default_name(data: str) -> str:
    """Of a dataset, from its folder's: lower case, with dashes.

    Letters of other scripts have no place in a name of metrics and files: where they leave nothing,
    a hash keeps two such folders apart.
    """
    folder = data.rstrip("/").rpartition("/")[2]
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-")
    return name or f"data-{hashlib.sha256(folder.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


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


def _alone(folder: str) -> AbstractContextManager[None]:
    """Raise ValueError if another run works in the same folder."""
    from omnidet import storage

    if storage.is_s3(folder):
        raise ValueError(
            f"--out {folder}: give a local folder; the pipeline `retrain` works on an object store"
        )
    path = Path(f"{folder}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return storage.locked(
        path, f"another run works in {folder}: wait for it, or give another --out"
    )
