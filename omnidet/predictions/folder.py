"""A run into a folder: each picture's files as it is done, and those about all in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from omnidet.inference.detections import Detections
from omnidet.predictions import sources
from omnidet.predictions.files import free_key
from omnidet.predictions.inputs import Item
from omnidet.predictions.journal import Journal
from omnidet.predictions.progress import Progress
from omnidet.predictions.run import Settings, predict
from omnidet.predictions.tables import Parts
from omnidet.standard_output import json_line

if TYPE_CHECKING:
    from omnidet.inference.detector import OmniDet
    from omnidet.inference.prompt import Prompt

Line = Mapping[str, Any]


class Files(Protocol):
    """What is written for each picture."""

    def write(self, line: Line, found: Detections) -> Line:
        """Write the files of a picture; returns the line that the journal keeps of it."""
        ...

    def written(self, line: Line) -> list[str]:
        """The files of a line of the journal, by their path in the folder."""
        ...

    def corrected(self, old: Line, new: Line) -> str | None:
        """A file that is neither as the old line of a picture had it nor as the new one will: it
        would be lost.
        """
        ...


@dataclass(frozen=True)
class Result:
    """What became of the pictures."""

    before: int
    """Done by an earlier run."""
    pictures: int
    failed: int
    notes: list[str]
    """What is missing of an earlier run, for people."""


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

    A picture that changed since it was looked at is looked at again, if the journal allows it. Its
    old line stays until the new one is written.

    Raises ValueError if somebody changed one of the tables since it was written.
    """
    journal.require_ours(list(tables))

    def replaced(old: Line, new: Line) -> None:
        for path in set(files.written(old)) - set(files.written(new)):
            (journal.folder / path).unlink(missing_ok=True)

    journal.settle(replaced)
    before = {id(item) for item in items if journal.has(item)}  # others are refused before any work
    is_counted = not any(item.is_video for item in items)
    progress = Progress(len(items) if is_counted else None, len(before))
    taken = {key.lower() for key in journal.done.values()}
    again: list[str] = []
    kept_old = 0

    def take(item: Item, line: Line, found: Detections) -> None:
        nonlocal kept_old
        if journal.has_changed(item) and (old := journal.before(item)):
            key = str(old["file"])
            if path := files.corrected(old, {"file": key, **line}):
                kept_old += 1
                failed(
                    f"{item.name} changed, but {journal.folder / path} was corrected and would be "
                    "lost: move it away to have the picture looked at again"
                )
                return
            again.append(item.name)
        else:
            key = free_key(item.key, taken)
            taken.add(key.lower())
        kept = files.write({"image": line["image"], "file": key, **line}, found)
        journal.add({**kept, "source": item.source})
        progress.clear()
        show(kept)
        progress.step()

    def failed(reason: str) -> None:
        progress.clear()
        complain(reason)
        progress.step()

    def done(item: Item) -> bool:
        is_done = journal.has(item)
        if is_done and sources.is_remote(item):  # known only now that it was fetched
            before.add(id(item))
            progress.step()
        return is_done

    outcome = predict(detector, prompt, items, settings, take, failed, done)
    progress.clear()
    journal.settle(replaced)
    notes = _lost(journal, files)
    if again:
        notes.append(
            f"{len(again)} pictures that changed since were looked at again, such as "
            f"{json_line(again[0])}: their results are replaced"
        )
    for name, parts in tables.items():
        journal.publish(name, parts())
    looked_at = outcome.pictures - kept_old
    return Result(len(before), looked_at, len(outcome.failed) + kept_old, notes)


def _lost(journal: Journal, files: Files) -> list[str]:
    """What is no more there of an earlier run: its files, and the pictures that it looked at."""
    gone: list[str] = []
    without: list[str] = []
    for line in journal.lines():
        without += [path for path in files.written(line) if not (journal.folder / path).exists()]
        if sources.is_gone(line["source"]):
            gone.append(line["image"])
    notes = []
    if without:
        notes.append(
            f"{len(without)} files that were written before are gone from {journal.folder}, "
            f"such as {json_line(without[0])}, and are not written again: a new folder has them all"
        )
    if gone:
        notes.append(
            f"{len(gone)} pictures that were looked at before are gone, such as "
            f"{json_line(gone[0])}: their results stay in {journal.folder}"
        )
    return notes
