"""The loop: pictures in batches through the detector, each one written and noted as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from omnidet import extras
from omnidet.inference.detections import Detections
from omnidet.predictions import sources, video
from omnidet.predictions.inputs import Item
from omnidet.predictions.loader import UNREADABLE, Loader

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet
    from omnidet.inference.pictures import Picture
    from omnidet.inference.prompt import Prompt


@dataclass(frozen=True)
class Settings:
    """How pictures are looked at."""

    threshold: float
    max_detections: int
    no_overlaps: bool = False
    batch: int = 8
    explain: bool = False
    every: int = 1
    """Every so manieth frame of videos."""
    most_frames: int | None = None
    allow_private: bool = False


@dataclass
class Outcome:
    """What became of the pictures."""

    pictures: int = 0
    detections: int = 0
    failed: list[str] = field(default_factory=list)
    """What could not be read, and why, for people."""


Take = Callable[[Item, Mapping[str, Any], Detections], None]
"""Is given each picture: the item, what was found as JSON, and the detections."""
Say = Callable[[str], None]


def predict(
    detector: OmniDet,
    prompt: Prompt,
    items: Sequence[Item],
    settings: Settings,
    take: Take,
    say: Say,
    done: Callable[[Item], bool] = lambda _: False,
) -> Outcome:
    """Look at every picture that is not done.

    Args:
        take: what is done with each picture; an error in it ends the run.
        say: is told of each picture that cannot be read; the rest goes on.
        done: whether a picture was done before; is asked again of one that had to be fetched.
    """
    outcome = Outcome()

    def failed(reason: str) -> None:
        outcome.failed.append(reason)
        say(reason)

    todo = _frames(items, settings, done, failed)
    with Loader(2 * settings.batch, settings.allow_private) as loader:
        opened = loader.opened(todo)
        while batch := list(islice(opened, settings.batch)):
            for item, found in _detected(detector, prompt, _new(batch, done), settings, failed):
                line = line_of(item, found, detector if settings.explain else None)
                outcome.pictures += 1
                outcome.detections += len(found)
                take(item, line, found)
    return outcome


def line_of(item: Item, found: Detections, detector: OmniDet | None) -> dict[str, Any]:
    """What is found in a picture as JSON.

    Args:
        detector: adds why each box has its score, if it is given.
    """
    line: dict[str, Any] = {"image": item.name, **found.to_dict()}
    if detector is not None:
        reasons = detector.explain_found(found)
        for entry, why in zip(line["detections"], reasons, strict=True):
            entry["why"] = why.to_dict()["tokens"]
            entry["unknown_words"] = list(why.unknown_words)
    return line


def _frames(
    items: Iterable[Item],
    settings: Settings,
    done: Callable[[Item], bool],
    failed: Say,
) -> Iterator[Item]:
    """The pictures, and the frames of the videos, that are not done."""
    for item in items:
        if not item.is_video:
            if not done(item):
                yield item
            continue
        try:
            source = sources.of_video(item)
            for number, pixels in video.frames(item.name, settings.every, settings.most_frames):
                digits = f"{number:0{video.DIGITS}}"
                name = f"{item.name}#{digits}"
                frame = Item(
                    name, f"{item.key}/{digits}", pixels, source={**source, "frame": number}
                )
                if not done(frame):
                    yield frame
        except UNREADABLE as error:
            failed(str(error))
        except extras.MissingError as error:
            failed(f"{item.name}: {error}")


def _new(
    batch: Iterable[tuple[Item, Picture | Exception]], done: Callable[[Item], bool]
) -> list[tuple[Item, Picture | Exception]]:
    """Without what turns out to be done now that it was fetched."""
    return [
        (item, picture)
        for item, picture in batch
        if isinstance(picture, Exception) or not (sources.is_remote(item) and done(item))
    ]


def _detected(
    detector: OmniDet,
    prompt: Prompt,
    batch: Sequence[tuple[Item, Picture | Exception]],
    settings: Settings,
    failed: Say,
) -> Iterator[tuple[Item, Detections]]:
    """What is found in each picture of a batch that can be read."""
    whole = []
    for item, picture in batch:
        if isinstance(picture, Exception):
            failed(_named(item, picture))
        else:
            whole.append((item, picture))
    how = settings.max_detections, settings.threshold

    def detect(pictures: list[Picture]) -> list[Detections]:
        return detector.detect(
            pictures, prompt, *how, no_overlaps=settings.no_overlaps, batch=settings.batch
        )

    try:
        found = detect([picture for _, picture in whole])
    except UNREADABLE:  # damage that shows when the pixels are decoded: find out which one it is
        for item, picture in whole:
            try:
                (own,) = detect([picture])
            except UNREADABLE as error:
                failed(_named(item, error))
            else:
                yield item, own
        return
    yield from zip((item for item, _ in whole), found, strict=True)


def _named(item: Item, error: Exception) -> str:
    """The error in one line that names the picture."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return reason if item.name in reason else f"{item.name}: {reason}"
