"""`omnidet predict IMAGE --phrases WORDS ...`: find any words in an image, and draw the result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omnidet.commands.arguments import Commands, add_command, add_registry
from omnidet.commands.loading import find_model, loading
from omnidet.inference import question
from omnidet.inference.defaults import THRESHOLD

if TYPE_CHECKING:
    from omnidet.inference.detector import Detections


def add(commands: Commands) -> None:
    """Register the command."""
    parser = add_command(commands, "predict", "find any words in an image", run)
    parser.add_argument("image", type=Path, help="picture in any format that Pillow reads")
    parser.add_argument(
        "--phrases",
        nargs="+",
        required=True,
        metavar="WORDS",
        help='one or more phrases, for example "red star" "star left of circle"',
    )
    parser.add_argument(
        "--model",
        default="omnidet-tiny-world",
        help="registered model (NAME, NAME@3, NAME@champion), or a folder, local or s3:// "
        "(default: %(default)s)",
    )
    add_registry(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        help="lowest score that is shown (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, help="picture to draw (default: <image>.detections.png in this folder)"
    )


def run(options: argparse.Namespace) -> None:
    """Print a line for each detection, and draw all of them.

    Raises ValueError or OSError before anything is loaded if an argument is wrong.
    """
    out = options.out or Path(f"{options.image.stem}.detections.png")
    _check(options, out)
    if several := question.hint(options.phrases):
        print(f"hint: {several}", file=sys.stderr)
    folder, _, _ = find_model(options.model, options.registry)
    with loading():
        from omnidet.inference import drawing, pictures
        from omnidet.inference.detector import OmniDet

        picture = pictures.read(options.image)
        detector = OmniDet.from_pretrained(folder)
    prompt = detector.prompt(options.phrases)
    found = detector.detect(picture, prompt, threshold=options.threshold)
    print(_lines(found, options.phrases, options.threshold))
    drawing.draw(picture, found, options.phrases).save(out)
    print(out)


def _check(options: argparse.Namespace, out: Path) -> None:
    """Raise ValueError or OSError for an argument that is wrong."""
    from PIL import Image

    from omnidet import storage

    if not options.image.is_file():
        problem = (
            "is a folder: name one picture in it"
            if options.image.is_dir()
            else "does not exist: name a picture"
        )
        raise FileNotFoundError(f"image {options.image} {problem}")
    question.checked_phrases(options.phrases)
    question.checked_threshold(options.threshold, "--threshold")
    if out.suffix.lower() not in Image.registered_extensions() or not out.parent.is_dir():
        raise ValueError(
            f"--out {out}: give a picture file such as found.png in a folder that exists"
        )
    if out.resolve() == options.image.resolve():
        raise ValueError(
            f"--out {out} is the picture itself, which would be lost: give another file"
        )
    storage.require_file_target(out)
    storage.require_writable(out)


def _lines(found: Detections, phrases: list[str], threshold: float) -> str:
    """Score, box and phrase of each detection; or that there is none."""
    if not len(found.scores):
        return f"nothing scores {threshold} or more: lower --threshold to see what comes next"
    return "\n".join(
        f"{score:.3f}  {' '.join(f'{v:7.1f}' for v in box)}  {phrases[phrase]}"
        for box, score, phrase in zip(found.boxes_xyxy, found.scores, found.phrase, strict=True)
    )
