"""The steps of the training pipeline as commands: thin callers of `steps/train_detector.py`.

world -> shards -> vocabulary -> train -> evaluate -> report, gate, register
"""

from __future__ import annotations

import argparse
import json
import sys

from omnidet import extras, storage
from omnidet.commands.arguments import Commands, Run, add_command, add_recipe, chosen_recipe
from omnidet.commands.exit_codes import NOT_PASSED
from omnidet.commands.summary import table


def add(commands: Commands) -> None:
    """Register the commands in the order of the pipeline."""
    _add_world(commands)
    _add_shards(commands)
    _add_vocabulary(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_report(commands)
    _add_gate(commands)
    _add_register(commands)


def _add_step(commands: Commands, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    parser = add_command(commands, name, text, run)
    add_recipe(parser, "name of a recipe; overrides the one in --params", "train.steps=100")
    return parser


def _add_world(commands: Commands) -> None:
    parser = _add_step(commands, "world", "draw the synthetic datasets of the demo", _world)
    parser.add_argument("--out", required=True, help="folder to write")


def _world(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    train_detector.draw_world(options.out, chosen_recipe(options))


def _add_shards(commands: Commands) -> None:
    parser = _add_step(commands, "shards", "datasets -> shards", _shards)
    parser.add_argument("--data", required=True, help="folder that holds the datasets")
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a dataset that is somewhere else, for example cc12m=/data/cc12m; repeatable",
    )
    parser.add_argument("--out", required=True, help="shard folder to write, local or s3://")
    parser.add_argument(
        "--part", metavar="I/N", help="build part I of N of every set; after the last one: --merge"
    )
    parser.add_argument(
        "--merge", action="store_true", help="turn the parts in --out into a shard folder"
    )


def _shards(options: argparse.Namespace) -> None:
    from omnidet.data.sharding import finish
    from omnidet.steps import train_detector

    paths = _dataset_paths(options.path)
    if options.merge and options.part:
        raise ValueError(
            f"--merge and --part {options.part}: build all parts first, "
            "then merge them with --merge alone"
        )
    if options.merge:
        print(finish.describe(train_detector.merge_shards(options.out)))
        return
    recipe = chosen_recipe(options)
    if options.part:
        part = _part(options.part)
        train_detector.build_shards_part(options.data, options.out, recipe, part, paths)
    else:
        index = train_detector.build_shards(options.data, options.out, recipe, paths)
        print(finish.describe(index))


def _dataset_paths(items: list[str]) -> dict[str, str]:
    """The values of `--path` as folders by the name of the dataset."""
    paths = {}
    for item in items:
        name, equals, folder = item.partition("=")
        if not equals:
            raise ValueError(
                f"--path {item!r} is not of the form NAME=FOLDER, for example cc12m=data/cc12m"
            )
        paths[name] = folder
    return paths


def _part(text: str) -> tuple[int, int]:
    number, slash, total = text.partition("/")
    if not (slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise ValueError(
            f"--part {text!r} is not of the form I/N with I from 1 to N, for example 1/4"
        )
    return int(number), int(total)


def _add_vocabulary(commands: Commands) -> None:
    parser = _add_step(commands, "vocabulary", "shards -> vocabulary", _vocabulary)
    parser.add_argument("--shards", required=True, help="shard folder, local or s3://")
    parser.add_argument("--out", required=True, help="vocabulary folder to write, local or s3://")


def _vocabulary(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    built = train_detector.build_vocabulary(options.shards, options.out, chosen_recipe(options))
    print(f"vocabulary of {built.num_tokens} tokens ({built.content_hash[:12]})")


def _add_train(commands: Commands) -> None:
    parser = _add_step(commands, "train", "shards + vocabulary -> trained detector", _train)
    parser.add_argument("--shards", required=True, help="shard folder, local or s3://")
    parser.add_argument("--vocabulary", required=True, help="vocabulary folder, local or s3://")
    parser.add_argument(
        "--out", required=True, help="folder of the trained detector to write, local or s3://"
    )
    parser.add_argument(
        "--work", help="folder for checkpoints and the metric log (default: <out>.work)"
    )


def _train(options: argparse.Namespace) -> None:
    extras.require("train", *extras.TORCH, "scipy", "tensorboardX")
    from omnidet.steps import train_detector

    recipe = chosen_recipe(options)
    train_detector.train(options.shards, options.vocabulary, options.out, recipe, options.work)


def _add_evaluate(commands: Commands) -> None:
    parser = _add_step(commands, "evaluate", "detector + shards -> metrics", _evaluate)
    parser.add_argument(
        "--model", required=True, help="folder of a trained detector or registered version"
    )
    parser.add_argument("--shards", required=True, help="shard folder, local or s3://")
    parser.add_argument("--metrics", required=True, help="flat JSON file to write")
    parser.add_argument(
        "--out", required=True, help="folder to write: predictions, protocols and details"
    )


def _evaluate(options: argparse.Namespace) -> None:
    extras.require("evaluate,torch", *extras.TORCH, "pycocotools", "scipy")
    from omnidet.steps import train_detector

    recipe = chosen_recipe(options)
    result = train_detector.evaluate(
        options.model, options.shards, options.metrics, options.out, recipe
    )
    for name, protocol in result.protocols.items():
        print(f"{name}: {protocol}")
    print(table(result.values))


def _add_report(commands: Commands) -> None:
    parser = _add_step(commands, "report", "everything about a run in one HTML file", _report)
    parser.add_argument(
        "--model", required=True, help="folder of a trained detector or registered version"
    )
    parser.add_argument("--shards", required=True, help="shard folder, local or s3://")
    parser.add_argument("--evaluation", required=True, help="what `evaluate --out` wrote")
    parser.add_argument("--out", required=True, help="HTML file to write")
    parser.add_argument(
        "--numbers", metavar="FOLDER", help="folder to write: the same numbers as JSON, for DVC"
    )
    parser.add_argument(
        "--before",
        metavar="FOLDER",
        help="evaluation of the detector that this one may replace, for comparison",
    )


def _report(options: argparse.Namespace) -> None:
    from omnidet.evaluation import stored
    from omnidet.steps import train_detector

    recipe = chosen_recipe(options)
    train_detector.write_report(
        options.model,
        options.shards,
        options.evaluation,
        options.out,
        recipe,
        before=options.before,
        numbers=options.numbers,
    )
    print(options.out)
    known = {benchmark.name for benchmark in recipe.evaluation.benchmarks}
    measured = dict.fromkeys(key.rpartition("/")[0] for key in stored.values(options.evaluation))
    if others := [name for name in measured if name not in known]:
        print(
            f"note: of {', '.join(others)} the report has the numbers alone, without mistakes and "
            "pictures: give the recipe that was evaluated with, which names them",
            file=sys.stderr,
        )


def _add_gate(commands: Commands) -> None:
    text = f"metrics against the champion's -> decision; exit code {NOT_PASSED} if not passed"
    parser = _add_step(commands, "gate", text, _gate)
    parser.add_argument("--metrics", required=True, help="what `evaluate --metrics` wrote")
    parser.add_argument(
        "--evaluation",
        metavar="FOLDER",
        help="what `evaluate --out` wrote: drops that chance explains on its images do not count",
    )
    parser.add_argument("--registry", required=True, help="folder or s3:// URI")
    parser.add_argument(
        "--out", required=True, help="JSON file to write: the decision and its numbers"
    )


def _gate(options: argparse.Namespace) -> int:
    from omnidet.steps import train_detector

    recipe = chosen_recipe(options)
    passed = train_detector.gate(
        options.metrics, options.registry, options.out, recipe, options.evaluation
    )
    decision = json.loads(storage.read_text(options.out))
    alone = (
        "the minimums decide" if recipe.gate.minimum else "with no gate.minimum nothing is asked"
    )
    against = decision["champion"] or f"no champion: {alone}"
    print("\n".join([f"{'' if passed else 'not '}passed against {against}", *decision["reasons"]]))
    return 0 if passed else NOT_PASSED


def _add_register(commands: Commands) -> None:
    text = "detector + metrics -> registered version"
    parser = _add_step(commands, "register", text, _register)
    parser.add_argument("--model", required=True, help="folder of a trained detector")
    parser.add_argument("--metrics", required=True, help="what `evaluate --metrics` wrote")
    parser.add_argument(
        "--receipt", help="JSON file to write that says what was registered, for DVC"
    )
    parser.add_argument("--registry", required=True, help="folder or s3:// URI")
    parser.add_argument(
        "--alias", default="", help="alias to point to the version, for example champion"
    )


def _register(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    if options.receipt:  # one that cannot be written must show before anything is registered
        storage.require_file_target(options.receipt, options.metrics)
        storage.require_writable(options.receipt)
    version, is_new = train_detector.register(
        options.model, options.metrics, options.registry, chosen_recipe(options), options.alias
    )
    if options.receipt:
        receipt = {"version": str(version), "location": version.location}
        storage.write_text(options.receipt, json.dumps(receipt, indent=1) + "\n")
    print(f"{version} {'registered' if is_new else 'was registered already'} in {version.location}")
