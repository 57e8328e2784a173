"""A run into a folder: each picture's files as it is done, and those about all in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from omnidet.inference.detections import Detections
from omnidet.predictions.files import free_key
from omnidet.predictions.inputs import Item
from omnidet.predictions.journal import Journal
from omnidet.predictions.progress import Progress
from omnidet.predictions.run import Settings, predict
from omnidet.predictions.tables import Parts

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet
    from omnidet.inference.prompt import Prompt

Line = Mapping[str, Any]


class Files(Protocol):
    """What is written for each picture."""

    def write(self, line: Line, found: Detections) -> Line:
        """Write the files of a picture; returns the line that the journal keeps of it."""
        ...


@dataclass(frozen=True)
class Result:
    """What became of the pictures."""

    before: int
    """Done by an earlier run."""
    pictures: int
    failed: int


def run_into(
    journal: Journal,
    detector: OmniDet,
    prompt: Prompt,
    items: Sequence[Item],
    settings: Settings,
    files: Files,
    tables: Mapping[str, Parts],
    show: Callable[[Line], None],
    complain: Callable[[str], None],
) -> Result:
    """Look at every picture that the journal has not.

    Args:
        tables: files about all pictures, by their path in the folder.
        show: is told of each picture that is done.
        complain: is told of each picture that cannot be read.

    Raises ValueError if somebody changed one of the tables since it was written.
    """
    journal.require_ours(list(tables))
    before = sum(item.name in journal.done for item in items)
    is_counted = not any(item.is_video for item in items)
    progress = Progress(len(items) if is_counted else None, before)
    taken = {key.lower() for key in journal.done.values()}

    def take(item: Item, line: Line, found: Detections) -> None:
        key = free_key(item.key, taken)
        taken.add(key.lower())
        kept = files.write({"image": line["image"], "file": key, **line}, found)
        journal.add(kept)
        progress.clear()
        show(kept)
        progress.step()

    def failed(reason: str) -> None:
        progress.clear()
        complain(reason)
        progress.step()

    outcome = predict(detector, prompt, items, settings, take, failed, journal.done.__contains__)
    progress.clear()
    for name, parts in tables.items():
        journal.publish(name, parts())
    return Result(before, outcome.pictures, len(outcome.failed))
