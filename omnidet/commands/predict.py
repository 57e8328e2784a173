"""`omnidet predict PICTURES --phrases WORDS ...`: find any words in pictures, and write the result
in any form.
"""

from __future__ import annotations

import argparse
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet import extras
from omnidet.commands import asking
from omnidet.commands.arguments import Commands, add_command
from omnidet.commands.exit_codes import FAILED
from omnidet.counted import counted
from omnidet.data.relations import landmark
from omnidet.inference import hints, question
from omnidet.standard_output import json_line

if TYPE_CHECKING:
    from omnidet.inference.detections import Detections
    from omnidet.inference.detector import OmniDet
    from omnidet.inference.pictures import Picture
    from omnidet.inference.prompt import Prompt
    from omnidet.predictions.inputs import Item
    from omnidet.predictions.journal import Journal
    from omnidet.predictions.run import Settings

SAVE_DIR = "predictions"
MOST_UNFOUND = 20
"""With more names, those without a box are not listed."""
_UNSEEN = ("Cc", "Cf", "Zl", "Zp")
"""Categories of characters that end a line, or steer a terminal."""


def add(commands: Commands) -> None:
    """Register the command."""
    parser = add_command(commands, "predict", "find any words in pictures", run)
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="pictures, folders, glob patterns, text files with a name a line, http(s):// or "
        "s3:// addresses, videos, camera:0, or - for standard input",
    )
    asking.add_question(parser)
    parser.add_argument(
        "--no-overlaps",
        action="store_true",
        help="keep only the better of two boxes of one phrase that overlap by more than .7",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="picture to draw, for one picture (default: <picture>.detections.png in this folder)",
    )
    parser.add_argument(
        "--save-dir",
        type=Path,
        metavar="FOLDER",
        help=f"folder for all that is written (default for several pictures: {SAVE_DIR}); the "
        "same command goes on where it was stopped",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        metavar="FORMAT",
        help="what is written: drawn, crops, jsonl, csv, coco, yolo, voc, cvat, labelme, "
        "label-studio (default: drawn jsonl)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object a line for each picture"
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say for each box what every word of the phrase adds to its score",
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="look at every Nth frame of videos"
    )
    parser.add_argument(
        "--most-frames", type=int, metavar="N", help="look at so many frames of a video at most"
    )
    parser.add_argument(
        "--allow-private",
        action="store_true",
        help="also fetch from addresses of this machine and its network",
    )


def run(options: argparse.Namespace) -> int:
    """Print what is found in each picture, and write it.

    Raises ValueError or OSError before anything is loaded if an argument is wrong.
    """
    from omnidet.predictions import inputs

    extras.require("torch", *extras.TORCH)
    asked = asking.asked(options)
    if options.explain and asked.like:
        raise ValueError("--explain says what words add to a score, and --like has none: give one")
    question.checked_count(options.every, "--every", least=1)
    if options.most_frames is not None:
        question.checked_count(options.most_frames, "--most-frames", least=1)
    items, notes = inputs.expand(options.pictures)
    is_one = inputs.is_one_picture(options.pictures, items) and options.save_dir is None
    if options.out is not None and not is_one:
        raise ValueError(f"--out {options.out} is for one picture: give --save-dir for several")
    if is_one and options.formats is None:
        return _one(options, asked, items[0])
    items, passed = inputs.outside(items, _save_dir(options))
    for note in [*notes, *passed]:
        print(f"note: {note}", file=sys.stderr)
    return _several(options, asked, items)


def _one(options: argparse.Namespace, asked: asking.Asked, item: Item) -> int:
    """A line for each detection, and the picture with all of them."""
    out = None if options.json and options.out is None else options.out or _free(item)
    if out is not None:
        _check_out(out, Path(item.name))
    opened = _opened(item, options.allow_private)
    detector, _ = asking.open_detector(options)
    picture = detector.seen(opened)
    prompt = asking.prompt_of(detector, asked)
    found = detector.detect(
        picture,
        prompt,
        options.max_detections,
        options.threshold,
        no_overlaps=options.no_overlaps,
    )
    if options.json:
        print(json_line(_line(item, found, detector, options.explain)))
    else:
        own = {options.threshold if t is None else t for t in prompt.thresholds or (None,)}
        print(_text(found, detector, options.explain, own))
    if out is not None:
        out = _drawn(found, item, options.out)
        _note_numbered(found.phrases, found.labels)
        if not options.json:
            print(out)
    asking.say(_unfound(options, asked, detector, prompt, picture, found))
    asking.say(_landmarks(asked, detector, picture, found))
    return 0


def _opened(item: Item, allow_private: bool) -> Picture:
    """The picture. Raises ValueError or OSError that says what is wrong with it."""
    from omnidet.predictions.loader import Loader

    with Loader(1, allow_private) as loader:
        ((_, picture),) = loader.opened([item])
    if isinstance(picture, Exception):
        raise picture
    return picture


def _unfound(
    options: argparse.Namespace,
    asked: asking.Asked,
    detector: OmniDet,
    prompt: Prompt,
    picture: Picture,
    found: Detections,
) -> list[str]:
    """What would show the names without a box; nothing where boxes were cut off, or of many."""
    told = {*found.labels, *hints.without_meaning(detector.vocabulary, asked.wanted)}
    missing = [label for label in prompt.labels if label not in told]
    if not missing or len(prompt.labels) > MOST_UNFOUND or len(found) >= options.max_detections:
        return []
    own = {one.name: one.threshold for one in asked.wanted if one.threshold is not None}
    return hints.of_unfound(missing, detector.best_scores(picture, prompt), own)


def _landmarks(
    asked: asking.Asked, detector: OmniDet, picture: Picture, found: Detections
) -> list[str]:
    """Which phrases with a box speak of a landmark that is not found."""
    shown = [p for one in asked.wanted if one.name in found.labels for p in one.phrases]
    said = dict.fromkeys(landmark(phrase) for phrase in shown)
    others = [one for one in said if one and not hints.means_nothing(detector.vocabulary, one)]
    if not others or len(others) > MOST_UNFOUND:
        return []
    best = detector.best_scores(picture, detector.prompt(others))
    return hints.of_landmarks(shown, best, detector.threshold)


def _free(item: Item) -> Path:
    """Where the drawn picture goes if nobody says: nothing is written over."""
    stem = Path(item.key).name
    out, number = Path(f"{stem}.detections.png"), 1
    while out.exists() or out.is_symlink():
        number += 1
        out = Path(f"{stem}.detections-{number}.png")
    return out


def _drawn(found: Detections, item: Item, given: Path | None) -> Path:
    """Where the picture with all detections is now: over nothing that others wrote meanwhile."""
    from omnidet.predictions.files import write_new_picture

    picture, out = found.draw(), given or _free(item)
    while not write_new_picture(picture, out):
        if given:
            raise _would_be_lost(given)
        out = _free(item)
    return out


def _would_be_lost(out: Path) -> ValueError:
    return ValueError(f"--out {out} exists and would be lost: give another file, or remove it")


def _check_out(out: Path, picture: Path) -> None:
    """Raise ValueError or OSError for an `--out` that cannot be written, or is there."""
    from PIL import Image

    from omnidet import storage
    from omnidet.data.reading.picture_files import FORMATS

    kind = Image.registered_extensions().get(out.suffix.lower())  # reads Pillow's plug-ins
    if kind not in (*FORMATS, "PDF") or not out.parent.is_dir():
        raise ValueError(
            f"--out {out}: give a picture file such as found.png in a folder that exists"
        )
    if out.resolve() == picture.resolve():
        raise ValueError(
            f"--out {out} is the picture itself, which would be lost: give another file"
        )
    storage.require_file_target(out)
    if out.exists():
        raise _would_be_lost(out)
    storage.require_writable(out)


def _note_numbered(phrases: Sequence[str], drawn: Collection[str]) -> None:
    """Say which names stand as numbers in pictures, for want of a font with their letters."""
    from omnidet.inference.drawing import numbered

    if line := numbered([phrase if phrase in drawn else "" for phrase in phrases]):
        print(f"note: {line}", file=sys.stderr)


def _line(item: Item, found: Detections, detector: OmniDet, explain: bool) -> dict[str, Any]:
    from omnidet.predictions.run import line_of

    return line_of(item, found, detector if explain else None)


def _text(found: Detections, detector: OmniDet, explain: bool, thresholds: set[float]) -> str:
    """Score, box and phrase of each detection; or that there is none."""
    if not len(found):
        least = " or ".join(map(str, sorted(thresholds)))
        if len(thresholds) > 1:
            return f"nothing reaches the threshold of its name, {least}: lower it to see more"
        return f"nothing scores {least} or more: lower --threshold to see what is next"
    reasons = detector.explain_found(found) if explain else [None] * len(found)
    lines = []
    for box, score, label, why in zip(
        found.boxes_xyxy, found.scores, found.labels, reasons, strict=True
    ):
        lines.append(
            f"{score:.3f}  {' '.join(f'{v:7.1f}' for v in box)}  {question.shortened(label)}"
        )
        lines += [f"         {line}" for line in (why.lines() if why else ())]
    return "\n".join(lines)


def _several(options: argparse.Namespace, asked: asking.Asked, items: list[Item]) -> int:
    """All pictures; what is written goes to a folder, which says what is done."""
    from omnidet.predictions import formats
    from omnidet.predictions.journal import Journal
    from omnidet.predictions.run import Settings

    save_dir = _save_dir(options)
    chosen = formats.checked(options.formats or formats.DEFAULT)
    names = [one.name for one in asked.wanted]
    formats.check_texts(chosen, (item.name for item in items), names)
    facts = {
        **asking.facts(options, asked),
        "no_overlaps": options.no_overlaps,
        "formats": list(chosen),
        "explain": options.explain,
        "every": options.every,
    }
    if save_dir is not None:
        Journal(save_dir, facts, "--save-dir").check(without=asking.OF_MODEL)
    detector, identity = asking.open_detector(options)
    settings = Settings(
        options.threshold,
        options.max_detections,
        options.no_overlaps,
        options.batch,
        options.explain,
        options.every,
        options.most_frames,
        options.allow_private,
    )
    if save_dir is None:
        return _streamed(asked, items, settings, detector)
    with Journal(save_dir, {**facts, **identity}, "--save-dir", replaces=True) as journal:
        return _saved(options, asked, items, settings, detector, journal, chosen)


def _save_dir(options: argparse.Namespace) -> Path | None:
    """Where the results of several pictures go; None for nowhere."""
    if options.save_dir is None and options.json and options.formats is None:
        return None
    return options.save_dir or Path(SAVE_DIR)


def _streamed(
    asked: asking.Asked,
    items: list[Item],
    settings: Settings,
    detector: OmniDet,
) -> int:
    """JSON lines on standard output, and nothing else."""
    from omnidet.predictions.run import predict

    def take(item: Item, line: Mapping[str, Any], found: Detections) -> None:  # noqa: ARG001
        print(json_line(line), flush=True)

    prompt = asking.prompt_of(detector, asked)
    outcome = predict(detector, prompt, items, settings, take, _complain)
    return _ended(outcome.pictures, len(outcome.failed))


def _saved(
    options: argparse.Namespace,
    asked: asking.Asked,
    items: list[Item],
    settings: Settings,
    detector: OmniDet,
    journal: Journal,
    chosen: tuple[str, ...],
) -> int:
    """The files of each picture as it is done, and those about all of them in the end."""
    from omnidet.predictions import formats
    from omnidet.predictions.files import PictureFiles
    from omnidet.predictions.folder import run_into
    from omnidet.predictions.tables import tables

    def show(line: Mapping[str, Any]) -> None:
        print(json_line(line) if options.json else summary(line))

    prompt = asking.prompt_of(detector, asked)
    if formats.DRAWN in chosen:
        _note_numbered(prompt.labels, prompt.labels)
    result = run_into(
        journal,
        detector,
        prompt,
        items,
        settings,
        PictureFiles(journal.folder, chosen, prompt.labels),
        tables(journal, chosen, prompt.labels),
        show,
        _complain,
        hints.without_meaning(detector.vocabulary, asked.wanted),
    )
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    if result.before and not result.pictures:
        print(f"{counted(result.before, 'picture')} done before", file=sys.stderr)
    if not options.json:
        print(journal.folder)
    return _ended(result.before + result.pictures, result.failed)


def summary(line: Mapping[str, Any]) -> str:
    """A picture in one line: `a.jpg  2 red star, 1 ring`."""
    counts = Counter(entry["label"] for entry in line["detections"])
    listed = ", ".join(
        f"{count} {question.shortened(label)}" for label, count in counts.most_common()
    )
    return f"{one_line(line['image'])}  {listed or 'nothing'}"


def one_line(name: str) -> str:
    """A name with what would end or colour the line as in Python's strings: `a\\nb.jpg`."""
    return "".join(
        letter.encode("unicode_escape").decode()
        if unicodedata.category(letter) in _UNSEEN
        else letter
        for letter in name
    )


def _complain(reason: str) -> None:
    print(f"omnidet predict: {reason}", file=sys.stderr)


def _ended(done: int, failed: int) -> int:
    if not failed:
        return 0
    print(f"omnidet predict: {failed} of {done + failed} could not be looked at", file=sys.stderr)
    return FAILED
