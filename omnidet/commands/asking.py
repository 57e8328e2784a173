"""What commands that ask a detector share: the phrases, the detector, and how it is asked."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnidet.commands.arguments import add_registry
from omnidet.commands.loading import DEMO, find_model, loading, model_or_only
from omnidet.inference import hints, names, question
from omnidet.inference.defaults import BATCH, MAX_DETECTIONS, THRESHOLD

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet
    from omnidet.inference.prompt import Prompt

OF_MODEL = ("model", "model_settings")
"""What a run's settings say of the detector."""
MOST_SHOWN = 2000
"""Letters of a question that is stored as it is: a longer one by its hash."""


def add_question(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is looked for, and by which detector."""
    parser.add_argument(
        "--phrases",
        nargs="+",
        metavar="WORDS",
        help='one or more phrases, for example "red star" "star left of circle" (default: the '
        "names that the detector was trained on)",
    )
    parser.add_argument(
        "--phrases-file",
        metavar="FILE",
        help="phrases, one a line; or YAML with lines `name: [phrase, phrase]` or "
        "`name: {phrases: [...], threshold: 0.4}`",
    )
    parser.add_argument(
        "--like",
        nargs="+",
        metavar="PICTURE",
        help="look for what a picture shows: a cut-out, or PICTURE:x0,y0,x1,y1 for a box in it",
    )
    parser.add_argument(
        "--model",
        help="registered model (NAME for its champion, NAME@3, NAME@ALIAS), a folder, local or "
        f"s3://, or OWNER/NAME of the Hugging Face hub (default: {DEMO}, or the only model of a "
        "registry without it)",
    )
    add_registry(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        help="lowest score that is shown (default: the detector's own, at which F1 was best on "
        f"held-out pictures; {THRESHOLD} for a detector without)",
    )
    parser.add_argument(
        "--max-detections",
        type=int,
        default=MAX_DETECTIONS,
        help="most boxes of a picture (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda, cuda:1 or mps (default: %(default)s)"
    )
    parser.add_argument(
        "--precision",
        default="float32",
        help="float32, bfloat16, or float16 on a GPU (default: %(default)s)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=BATCH,
        help="pictures that go through the detector together (default: %(default)s)",
    )


@dataclass(frozen=True)
class Asked:
    """What is looked for, as it was given and checked."""

    wanted: tuple[names.Name, ...]
    """Empty where only pictures are given, or nothing."""
    like: tuple[str, ...]
    like_threshold: float | None = None
    """Lowest score of what looks like the pictures; None for that of the words. Their scores are
    likenesses, for which no fitted threshold stands."""

    def facts(self) -> list[Any]:
        """What the results depend on."""
        words: list[Any] = [[one.name, one.phrases, one.threshold] for one in self.wanted]
        return [*words, *([given, _content(given)] for given in self.like)]


def _content(given: str) -> str:
    """The hash of the picture of an example: another picture may take its name.

    Empty where there is none, which is said when the example is read.
    """
    from omnidet import storage

    for name in (given, given.rpartition(":")[0]):  # a box may follow
        if storage.is_s3(name) and storage.exists(name):
            return hashlib.sha256(storage.read_bytes(name)).hexdigest()
        if Path(name).is_file():
            return storage.sha256(Path(name))
    return ""


def asked(options: argparse.Namespace) -> Asked:
    """The question. Raises ValueError or OSError before anything heavy is loaded."""
    if options.threshold is not None:
        question.checked_threshold(options.threshold, "--threshold")
    question.checked_count(options.max_detections, "--max-detections", least=1)
    question.checked_count(options.batch, "--batch", least=1)
    for given in options.like or ():
        if given.startswith(("http://", "https://")):
            raise ValueError(f"--like {given}: fetch the picture, and give its file")
    found: list[names.Name] = []
    if options.phrases is not None:
        found += names.wanted(options.phrases)
        question.require_distinct(options.phrases)
    if options.phrases_file is not None:
        found += names.read(options.phrases_file)
    say(hints.of_spelling([phrase for one in found for phrase in one.phrases]))
    seen: dict[str, names.Name] = {}
    for one in found:
        other = seen.setdefault(one.name, one)
        if other != one:
            raise ValueError(
                f"{question.shown(one.name)} is given by --phrases and by --phrases-file: take "
                "one out"
            )
    least = THRESHOLD if options.threshold is None else None
    return Asked(tuple(seen.values()), tuple(options.like or ()), least)


def facts(options: argparse.Namespace, question_asked: Asked) -> dict[str, Any]:
    """What the results depend on, for a run that is gone on with; `OF_MODEL` comes later."""
    from omnidet.predictions.journal import digest_of

    words = question_asked.facts()
    return {
        "question": words if len(str(words)) < MOST_SHOWN else digest_of(words),
        "threshold": options.threshold,
        "max_detections": options.max_detections,
        "precision": options.precision,
        **dict.fromkeys(OF_MODEL, ""),
    }


def open_detector(options: argparse.Namespace) -> tuple[OmniDet, dict[str, str]]:
    """The detector, and hashes of it that take the place of those in `facts`; model and threshold
    are filled in if none was given.
    """
    options.model = model_or_only(options.model, options.registry)
    folder, _, _ = find_model(options.model, options.registry)
    with loading():
        from omnidet.inference.detector import OmniDet

        detector = OmniDet.from_pretrained(folder, options.device, options.precision)
    if options.threshold is None:
        options.threshold = detector.threshold
    return detector, _identity(detector.config)


def _identity(config: Mapping[str, Any]) -> dict[str, str]:
    """What boxes and scores depend on: the weights, and how they are read. Scores that were fitted
    again have another scale and another threshold."""
    from omnidet.predictions.journal import digest_of

    history = ("provenance", "weights_sha256")
    settings = {key: value for key, value in config.items() if key not in history}
    return {"model": str(config["weights_sha256"]), "model_settings": digest_of(settings)}


def prompt_of(detector: OmniDet, question_asked: Asked) -> Prompt:
    """The question in the detector's numbers; its own names where nothing was asked."""
    from omnidet.inference import likeness

    wanted = question_asked.wanted
    if not wanted and not question_asked.like:
        wanted = names.wanted(detector.own_names())
        print(hints.of_own_names(detector.own_names()), file=sys.stderr)
    prompt = detector.prompt(wanted)
    if question_asked.like:
        like = detector.like(likeness.examples(question_asked.like), lambda line: say([line]))
        thresholds = (question_asked.like_threshold,) * len(like.labels)
        prompt = likeness.joined(prompt, dataclasses.replace(like, thresholds=thresholds))
    say(hints.of_words(detector.vocabulary, wanted))
    return prompt


def say(found: Iterable[str]) -> None:
    """Hints, a line each, on standard error."""
    for line in found:
        print(f"hint: {line}", file=sys.stderr)
