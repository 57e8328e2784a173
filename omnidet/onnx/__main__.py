"""`python -m omnidet.onnx FOLDER IMAGE ...`: one line of JSON for each picture, without torch."""

from __future__ import annotations

import functools
import sys
import warnings

from omnidet import extras, standard_output
from omnidet.inference import hints, names, question
from omnidet.onnx import OnnxDetector
from omnidet.parsing import Parser

PROGRAM = "python -m omnidet.onnx"
WRONG_INPUT = 2
"""The exit code."""


def main(arguments: list[str] | None = None) -> int:
    """Run the detector and return the exit code: 2 if something that was given is wrong."""
    return standard_output.run(PROGRAM, functools.partial(_main, arguments))


def _main(arguments: list[str] | None) -> int:
    parser = Parser(prog=PROGRAM, description=__doc__)
    parser.add_argument("model", help="folder that `omnidet export --format onnx` wrote")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--phrases",
        nargs="+",
        metavar="WORDS",
        help="not for a model with words folded in (default: the detector's own names)",
    )
    parser.add_argument("--threshold", type=float, help="default: the model's own")
    parser.add_argument(
        "--no-overlaps",
        action="store_true",
        help="keep only the better of two boxes of one phrase that overlap by more than .7",
    )
    parser.add_argument("--threads", type=int, default=0, help="default: one for each core")
    options = parser.parse_args(arguments)
    try:
        phrases = question.checked_phrases(options.phrases or ())
        question.require_distinct(phrases)
        _say(hints.of_spelling(phrases))
        detector = OnnxDetector.from_pretrained(options.model, options.threads)
        if detector.words:
            _say(hints.of_words(detector.words.vocabulary, names.wanted(phrases)))
        threshold = detector.threshold if options.threshold is None else options.threshold
        question.checked_threshold(threshold, "--threshold")
        asked = detector.asked(options.phrases)
        if options.phrases is None and detector.words:
            print(hints.of_own_names(asked), file=sys.stderr)
    except (ValueError, OSError, extras.MissingError) as error:
        return _failed(error)
    return _look_at(
        options.images, detector, options.phrases, threshold, no_overlaps=options.no_overlaps
    )


def _look_at(
    images: list[str],
    detector: OnnxDetector,
    phrases: list[str] | None,
    threshold: float,
    *,
    no_overlaps: bool,
) -> int:
    """A line for each picture; one that cannot be read is named, and the rest goes on."""
    code = 0
    for image in images:
        try:
            with warnings.catch_warnings(action="ignore"):  # said as hints
                found = detector.detect(
                    image, phrases, threshold=threshold, no_overlaps=no_overlaps
                )
        except (ValueError, OSError) as error:
            _failed(error)
            code = WRONG_INPUT if len(images) == 1 else standard_output.FAILED
            continue
        line = standard_output.json_line({"image": image, **found.to_dict()})
        print(line, flush=True)
    return code


def _say(found: list[str]) -> None:
    for line in found:
        print(f"hint: {line}", file=sys.stderr)


def _failed(error: Exception) -> int:
    print(f"{PROGRAM}: {' '.join(str(error).split())}", file=sys.stderr)
    return WRONG_INPUT


if __name__ == "__main__":
    sys.exit(main())
