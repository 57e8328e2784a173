"""`omnidet finetune FOLDER`: annotated pictures in, a registered detector out, the whole way on one
machine.

A new detector is made in `new_detector.py`, a trained one taught in `taught_detector.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omnidet import extras
from omnidet.commands import new_detector, taught_detector
from omnidet.data.annotated.config import EXIF, FORMATS

PACKAGES = ("jinja2", "pycocotools", "scipy", "tensorboardX", "webdataset")
DEFAULT_MINUTES = 10.0
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
        help="champion, NAME or NAME@3; photo-small for a new detector (default: the champion "
        "of the one model that the registry holds, or a new detector where it holds none)",
    )
    parser.add_argument(
        "--registry", default="registry", help="folder or s3:// URI (default: registry)"
    )
    parser.add_argument(
        "--name",
        help="of the dataset: its metrics are called NAME/AP (default: name of the folder)",
    )
    _add_length(parser)
    _add_split(parser)
    parser.add_argument(
        "--as",
        dest="model_name",
        metavar="MODEL",
        help="name to register under (default: the dataset's for a new detector, the champion's "
        "for a taught one)",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="NAME[=DROP]",
        help="benchmark of the champion that must not drop, or by DROP at most; all or none "
        "(default: those of your own data, not those of a drawn world); repeatable",
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
        help="shards the champion was trained on, if they moved; or none, to train on the new "
        "pictures alone, which forgets: the detector is then registered under a name of its own",
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="for everything the run makes (default: runs/finetune/NAME)"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read the folder, say what is made of it, show it on a page, and train nothing",
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


def _add_length(parser: argparse.ArgumentParser) -> None:
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes",
        type=float,
        help=f"how long to train and evaluate on this machine (default: {DEFAULT_MINUTES:g})",
    )
    length.add_argument("--steps", type=int, help="how many steps to train instead")
    parser.add_argument(
        "--finish",
        action="store_true",
        help="train no further: evaluate, judge and register the best that an interrupted run has "
        "reached",
    )


def _add_split(parser: argparse.ArgumentParser) -> None:
    split = parser.add_mutually_exclusive_group()
    split.add_argument(
        "--val-share",
        type=float,
        metavar="SHARE",
        help="share of the pictures to evaluate on, whatever the folder says (default: its test "
        "or val part, else .2)",
    )
    split.add_argument(
        "--split-file",
        metavar="FILE",
        help="lines of `path split` or `path,split`, with train, val or test",
    )
    split.add_argument(
        "--folds", type=int, metavar="K", help="cut the pictures into K folds; with --fold"
    )
    parser.add_argument("--fold", type=int, metavar="I", help="the fold to evaluate on, from 1")


def run(options: argparse.Namespace) -> int:
    """Check what can be checked at once, then make a new detector or teach one."""
    extras.require("train", *extras.TORCH, *PACKAGES)
    if options.minutes is not None and not 0 < options.minutes <= MOST_MINUTES:
        raise ValueError(
            f"--minutes {options.minutes:g}: give minutes above 0, {MOST_MINUTES:g} at most"
        )
    if options.steps is not None and options.steps < 1:
        raise ValueError(f"--steps {options.steps}: give 1 or more")
    if options.val_share is not None and not 0 < options.val_share < 1:
        raise ValueError(f"--val-share {options.val_share:g}: give a share between 0 and 1")
    _require_folds(options.folds, options.fold)
    name = options.name or default_name(options.data)
    _require_names(name, options.model_name)
    folder = options.out or f"runs/finetune/{name}"
    settings = [*options.set, *_reading(options)]
    with _leaving_nothing_empty(options.registry, folder):
        _require_places(options)
        is_new = new_detector.is_wanted(options.registry, options.champion)
        work = new_detector.run if is_new else taught_detector.run
        with _alone(folder):
            return work(options, name, settings)


def _require_folds(folds: int | None, fold: int | None) -> None:
    """Raise ValueError for a fold that there is not."""
    if folds is None and fold is None:
        return
    if folds is None or fold is None:
        given = f"--folds {folds}" if fold is None else f"--fold {fold}"
        raise ValueError(f"{given} alone: give both, as --folds 5 --fold 1")
    if folds < 2 or not 1 <= fold <= folds:
        raise ValueError(
            f"--folds {folds} --fold {fold}: give 2 folds or more, and one from 1 to their number"
        )


def _require_names(name: str, model_name: str | None) -> None:
    """Raise ValueError for a name that cannot be one: before any file is called by it."""
    from omnidet.registry import versions
    from omnidet.steps import retrain

    retrain.check_name(name)
    if model_name is not None:
        versions.check_name(model_name)


def _require_places(options: argparse.Namespace) -> None:
    """Raise FileNotFoundError or ValueError for a file that is not there, or a registry that cannot
    be written: now, and not after the training.
    """
    from omnidet import storage

    for flag, given in (("--split-file", options.split_file), ("--names", options.names)):
        if given and not storage.exists(given):
            raise FileNotFoundError(f"{flag} {given} does not exist: give a file (see --help)")
    try:
        storage.require_writable(storage.join(options.registry, "model"))
    except OSError as error:
        raise ValueError(f"--registry {options.registry}: {error}") from error


def _reading(options: argparse.Namespace) -> list[str]:
    """Settings that have a flag of their own."""
    names = ("format", "names", "exif", "val_share", "split_file")
    given = {name: getattr(options, name) for name in names}
    if options.fold is not None:
        given["fold"] = f"{options.fold}/{options.folds}"
    return [
        f"retrain.reading.{field}={json.dumps(value)}" for field, value in given.items() if value
    ]


def default_name(data: str) -> str:
    """Of a dataset, from its folder's: lower case, with dashes.

    Letters of other scripts have no place in a name of metrics and files: where they leave nothing,
    a hash keeps two such folders apart.
    """
    folder = data.rstrip("/").rpartition("/")[2]
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-")
    return name or f"data-{hashlib.sha256(folder.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@contextmanager
def _leaving_nothing_empty(*places: str) -> Iterator[None]:
    """Take away again the folders that were made for the block and are still empty: where it is
    refused, or a dry run.
    """
    from omnidet import storage

    local = [Path(place) for place in places if not storage.is_s3(place)]
    missing = [p for place in local for p in (place, *place.parents) if not p.exists()]
    try:
        yield
    finally:
        for path in missing:
            with suppress(OSError):  # it was not made, or holds something
                path.rmdir()


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Raise ValueError if another run works in the same folder.

    The lock stays, unless the first run there is refused before it has written anything.
    """
    from omnidet import storage

    if storage.is_s3(folder):
        raise ValueError(
            f"--out {folder}: give a local folder; the pipeline `retrain` works on an object store"
        )
    path = Path(f"{folder}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{path.parent} cannot be made a folder ({error.strerror}): give another --out"
        ) from None
    busy = f"another run works in {folder}: wait for it, or give another --out"
    with storage.locked(path, busy):
        try:
            yield
        except (ValueError, OSError):
            if not Path(folder).exists():
                path.unlink(missing_ok=True)
            raise
