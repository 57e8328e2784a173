"""`omnidet <step>`: a thin command line over `steps.py`.

What loads torch is imported where it is used: `omnidet --help`, and commands that need no torch, are quick and small.

Wrong input ends with one line that names the thing and the remedy, and exit code 2. `gate` ends with 3 where a detector did
not pass, `train` with 75 where SIGTERM stopped it: a checkpoint is written, and the same command goes on from it.
"""

from __future__ import annotations

import argparse
import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from omnidet import __version__, extras, storage
from omnidet.commands import compare as compare_command
from omnidet.commands import download as download_command
from omnidet.commands import fetch_images, finetune
from omnidet.commands import inspect as inspect_command
from omnidet.commands import score as score_command
from omnidet.commands import serve as serve_command
from omnidet.inference.defaults import THRESHOLD

if TYPE_CHECKING:
    from omnidet.recipes.recipe import Recipe
    from omnidet.registry import versions

GATE_CLOSED = 3
"""Exit code of `gate` where a detector did not pass."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int | None = options.run(options)
    except (
        ValueError,
        FileNotFoundError,
        PermissionError,
        IsADirectoryError,
        NotADirectoryError,
    ) as error:
        print(f"omnidet {options.command}: {_one_line(error)}", file=sys.stderr)
        return 2
    except (OSError, FloatingPointError) as error:
        print(f"omnidet {options.command}: {_one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG else 1
    except ModuleNotFoundError as error:
        advice = extras.advice(error)
        if advice is None:
            raise
        print(f"omnidet {options.command}: {advice}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"omnidet {options.command}: stopped", file=sys.stderr)
        return 130
    return code or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omnidet", description="Open-vocabulary detection: one command a step."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="STEP")

    world = _step(commands, "world", "draw the synthetic datasets of the demo", _world)
    world.add_argument("--out", required=True, help="folder to write")

    shard = _step(commands, "shards", "datasets -> shards", _shards)
    shard.add_argument("--data", required=True, help="folder that holds the datasets")
    shard.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a dataset that stands elsewhere",
    )
    shard.add_argument("--out", required=True, help="shard folder to write, local or s3://")
    shard.add_argument(
        "--part", metavar="I/N", help="build part I of N of every set; when all are built: --merge"
    )
    shard.add_argument(
        "--merge", action="store_true", help="make the parts in --out a shard folder"
    )

    vocabulary = _step(commands, "vocabulary", "shards -> vocabulary", _vocabulary)
    vocabulary.add_argument("--shards", required=True)
    vocabulary.add_argument(
        "--out", required=True, help="vocabulary folder to write, local or s3://"
    )

    train = _step(commands, "train", "shards + vocabulary -> trained detector", _train)
    train.add_argument("--shards", required=True)
    train.add_argument("--vocabulary", required=True)
    train.add_argument(
        "--out", required=True, help="folder of the trained detector, local or s3://"
    )
    train.add_argument(
        "--work", help="folder of checkpoints and the metric log (default: <out>.work)"
    )

    evaluate = _step(commands, "evaluate", "detector + shards -> metrics", _evaluate)
    evaluate.add_argument(
        "--model", required=True, help="folder of a trained detector or registered version"
    )
    evaluate.add_argument("--shards", required=True)
    evaluate.add_argument("--metrics", required=True, help="flat JSON file to write")
    evaluate.add_argument(
        "--out", required=True, help="folder for predictions, protocols and details"
    )

    report = _step(commands, "report", "everything about a run in one HTML file", _report)
    report.add_argument("--model", required=True)
    report.add_argument("--shards", required=True)
    report.add_argument("--evaluation", required=True, help="what `evaluate --out` wrote")
    report.add_argument("--out", required=True, help="HTML file to write")
    report.add_argument(
        "--numbers", metavar="FOLDER", help="folder to write for the same numbers as JSON, for DVC"
    )
    report.add_argument(
        "--before",
        metavar="FOLDER",
        help="evaluation of the detector that this one may replace, to compare",
    )

    gate = _step(
        commands,
        "gate",
        "metrics against the champion's -> decision; exit code 3 if not passed",
        _gate,
    )
    gate.add_argument("--metrics", required=True, help="what `evaluate --metrics` wrote")
    gate.add_argument("--registry", required=True, help="folder or s3:// URI")
    gate.add_argument(
        "--out", required=True, help="JSON file to write: the decision and its numbers"
    )

    register = _step(commands, "register", "detector + metrics -> registered version", _register)
    register.add_argument("--model", required=True)
    register.add_argument("--metrics", required=True)
    register.add_argument(
        "--receipt", help="JSON file to write that says what was registered, for DVC"
    )
    register.add_argument("--registry", required=True, help="folder or s3:// URI")
    register.add_argument(
        "--alias",
        default="",
        help="alias that points to the version from then on, such as champion",
    )

    finetune.add(commands)

    predict = _command(commands, "predict", "find any words in an image", _predict)
    predict.add_argument("image", type=Path)
    predict.add_argument(
        "--phrases",
        nargs="+",
        required=True,
        metavar="WORDS",
        help='such as "red star" "star left of circle"',
    )
    predict.add_argument(
        "--model",
        default="omnidet-tiny-world",
        help="registered model (NAME, NAME@3, NAME@champion), or a folder",
    )
    predict.add_argument("--registry", default="registry")
    predict.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help="least score that is shown (default: %(default)s)",
    )
    predict.add_argument(
        "--out", type=Path, help="picture to draw (default: <image>.detections.png in this folder)"
    )

    summary = _command(commands, "summary", "what a run reached, for people", _summary)
    summary.add_argument("--metrics", type=Path, required=True)
    summary.add_argument("--registry", default="registry")
    summary.add_argument("--report", type=Path, required=True)

    download_command.add(commands)
    fetch_images.add(commands)
    inspect_command.add(commands)

    models = _command(
        commands,
        "models",
        "what the registry holds; which version an alias points to",
        _models_list,
    )
    models.add_argument(
        "--registry", default="registry", help="folder or s3:// URI (default: registry)"
    )
    _models_commands(models.add_subparsers(metavar="ACTION"))
    score_command.add(commands)
    compare_command.add(commands)
    serve_command.add(commands)
    return parser


def _models_commands(commands: Any) -> None:
    show = _command(commands, "show", "a version's metrics and provenance", _models_show)
    show.add_argument(
        "reference", metavar="NAME[@VERSION]", help="NAME alone is its newest version"
    )
    promote = _command(commands, "promote", "point an alias to a version", _models_promote)
    promote.add_argument("reference", metavar="NAME@VERSION")
    rollback = _command(
        commands, "rollback", "point an alias back to the version before", _models_rollback
    )
    rollback.add_argument("name", metavar="NAME")
    for command in (promote, rollback):
        command.add_argument("--alias", help="(default: champion)")
    for command in (
        _command(commands, "list", "every version (as no action)", _models_list),
        show,
        promote,
        rollback,
    ):
        command.add_argument(
            "--registry", default=argparse.SUPPRESS, help="folder or s3:// URI (default: registry)"
        )


def _command(commands: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _step(commands: Any, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    command = _command(commands, name, text, run)
    command.add_argument(
        "--params", type=Path, help="YAML file with `recipe:` and fields to change, as params.yaml"
    )
    command.add_argument("--recipe", help="name of a recipe; stands above the one in --params")
    command.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="as train.steps=100"
    )
    return command


def _recipe(options: argparse.Namespace) -> Recipe:
    from omnidet.recipes import loading

    return loading.load_recipe(options.params, options.recipe, options.set)


def _world(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    train_detector.draw_world(options.out, _recipe(options))


def _shards(options: argparse.Namespace) -> None:
    from omnidet.data.sharding import finish
    from omnidet.steps import train_detector

    paths = {}
    for item in options.path:
        name, equals, folder = item.partition("=")
        if not equals:
            raise ValueError(f"--path {item!r} is not of the form NAME=FOLDER, as cc12m=data/cc12m")
        paths[name] = folder
    if options.merge and options.part:
        raise ValueError(
            f"--merge and --part {options.part}: build all parts first, then merge them with --merge alone"
        )
    if options.merge:
        print(finish.describe(train_detector.merge_shards(options.out)))
    elif options.part:
        train_detector.build_shards_part(
            options.data, options.out, _recipe(options), _part(options.part), paths
        )
    else:
        print(
            finish.describe(
                train_detector.build_shards(options.data, options.out, _recipe(options), paths)
            )
        )


def _part(text: str) -> tuple[int, int]:
    number, slash, total = text.partition("/")
    if not (slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise ValueError(f"--part {text!r} is not of the form I/N with I from 1 to N, as 1/4")
    return int(number), int(total)


def _vocabulary(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    built = train_detector.build_vocabulary(options.shards, options.out, _recipe(options))
    print(f"vocabulary of {built.num_tokens} tokens ({built.content_hash[:12]})")


def _train(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    train_detector.train(
        options.shards, options.vocabulary, options.out, _recipe(options), options.work
    )


def _evaluate(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    result = train_detector.evaluate(
        options.model, options.shards, options.metrics, options.out, _recipe(options)
    )
    for name, protocol in result.protocols.items():
        print(f"{name}: {protocol}")
    print(_table(result.values))


def _report(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    recipe = _recipe(options)
    before, numbers = options.before, options.numbers
    train_detector.write_report(
        options.model,
        options.shards,
        options.evaluation,
        options.out,
        recipe,
        before,
        numbers=numbers,
    )
    print(options.out)


def _gate(options: argparse.Namespace) -> int:
    from omnidet.steps import train_detector

    passed = train_detector.gate(options.metrics, options.registry, options.out, _recipe(options))
    decision = json.loads(storage.read_text(options.out))
    print(
        f"{'passed' if passed else 'not passed'} against {decision['champion'] or 'no champion: the minimums decide'}"
    )
    print("\n".join(decision["reasons"]), end="\n" if decision["reasons"] else "")
    return 0 if passed else GATE_CLOSED


def _register(options: argparse.Namespace) -> None:
    from omnidet.steps import train_detector

    if options.receipt and not storage.is_s3(
        options.receipt
    ):  # what cannot be written shows before anything is registered
        Path(options.receipt).resolve().parent.mkdir(parents=True, exist_ok=True)
    version, is_new = train_detector.register(
        options.model, options.metrics, options.registry, _recipe(options), options.alias
    )
    if options.receipt:
        storage.write_text(
            options.receipt,
            json.dumps({"version": str(version), "location": version.location}, indent=1) + "\n",
        )
    print(f"{version} {'registered' if is_new else 'was registered already'} in {version.location}")


def _predict(options: argparse.Namespace) -> None:
    from omnidet.inference import detector as inference
    from omnidet.registry import versions

    folder = Path(options.model)
    if not (folder / "config.json").is_file():
        folder = versions.find(options.registry, options.model).folder()
    if not options.image.is_file():
        problem = (
            "is a folder: name one picture in it"
            if options.image.is_dir()
            else "does not exist: name a picture"
        )
        raise FileNotFoundError(f"image {options.image} {problem}")
    if not 0 <= options.threshold <= 1:
        raise ValueError(f"--threshold {options.threshold}: give a score from 0 to 1")
    content = options.image.read_bytes()
    inference.image_size(content, str(options.image), whole=True)
    content = inference.upright(content)
    out = options.out or Path(f"{options.image.stem}.detections.png")
    if out.suffix.lower() not in Image.registered_extensions() or not out.parent.is_dir():
        raise ValueError(
            f"--out {out}: give a picture file such as found.png in a folder that exists"
        )
    if out.resolve() == options.image.resolve():
        raise ValueError(
            f"--out {out} is the picture itself, which would be lost: give another file"
        )
    found = inference.OmniDet.from_pretrained(folder).detect(
        [content], options.phrases, threshold=options.threshold
    )[0]
    for box, score, phrase in zip(found.boxes_xyxy, found.scores, found.phrase, strict=True):
        corners = " ".join(f"{v:7.1f}" for v in box)
        print(f"{score:.3f}  {corners}  {options.phrases[phrase]}")
    if not len(found.scores):
        print(
            f"nothing scores {options.threshold} or more: lower --threshold to see what comes next"
        )
    inference.draw(content, found, options.phrases).save(out)
    print(out)


def _summary(options: argparse.Namespace) -> None:
    from omnidet.registry import versions

    if not options.metrics.is_file():
        raise FileNotFoundError(
            f"{options.metrics} does not exist: name what `omnidet evaluate --metrics` wrote"
        )
    values = json.loads(options.metrics.read_text(encoding="utf-8"))
    found = [
        v
        for name in versions.models(options.registry)
        for v in versions.versions(options.registry, name)
    ]
    print(_table(values))
    for version in found:
        if version.metrics == values:
            print(f"registered  {version} in {version.location}")
    print(f"report      {options.report.resolve()}")


def _models_list(options: argparse.Namespace) -> None:
    from omnidet.registry import versions

    versions.check(options.registry)
    names = versions.models(options.registry)
    if not names:
        raise ValueError(
            f"{options.registry} holds no model: name the registry with --registry, or register one first"
        )
    for name in names:
        aliases = versions.aliases(options.registry, name)
        for version in versions.versions(options.registry, name):
            print(f"{_with_aliases(version, aliases)}\n{_table(version.metrics, indent='  ')}")


def _models_show(options: argparse.Namespace) -> None:
    from omnidet.registry import versions

    version = versions.find(options.registry, options.reference)
    print(
        f"{_with_aliases(version, versions.aliases(options.registry, version.name))}\n{version.location}"
    )
    print(_table(version.metrics, indent="  "))
    facts = {
        key: value
        for key, value in version.provenance.items()
        if isinstance(value, str | int | float)
    }
    width = max((len(key) for key in facts), default=0)
    print("\n".join(f"  {key:{width}}  {value}" for key, value in facts.items()))


def _models_promote(options: argparse.Namespace) -> None:
    from omnidet.registry import versions

    if "@" not in options.reference:
        raise ValueError(
            f"{options.reference!r} names no version: give one, as {options.reference}@3"
        )
    version = versions.find(options.registry, options.reference)
    alias = versions.CHAMPION if options.alias is None else options.alias
    version.check_whole()
    versions.promote(options.registry, version.name, version.number, alias)
    print(f"{version.name}@{alias} is {version}")


def _models_rollback(options: argparse.Namespace) -> None:
    from omnidet.registry import versions

    alias = versions.CHAMPION if options.alias is None else options.alias
    if "@" in options.name:
        raise ValueError(
            f"{options.name!r} is a version: give the model's name alone, as {options.name.partition('@')[0]}"
        )
    version = versions.rollback(options.registry, options.name, alias)
    print(f"{version.name}@{alias} is {version} again")


def _with_aliases(version: versions.Version, aliases: dict[str, int]) -> str:
    return "  ".join(
        [str(version), *(alias for alias, number in aliases.items() if number == version.number)]
    )


def _table(values: dict[str, float], indent: str = "") -> str:
    width = max((len(name) for name in values), default=0)
    return "\n".join(f"{indent}{name:{width}}  {value:.3f}" for name, value in values.items())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
