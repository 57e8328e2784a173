"""A run into a folder: each picture's files as it is done, and those about all in the end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

from omnidet.counted import counted
from omnidet.inference import hints
from omnidet.inference.detections import Detections
from omnidet.predictions import sources
from omnidet.predictions.files import free_key
from omnidet.predictions.inputs import STDIN, Item
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

    def by_name(self, line: Line) -> str | None:
        """A file of a line that readers look for by the name of the picture."""
        ...


@dataclass(frozen=True)
class Result:
    """What became of the pictures."""

    before: int
    """Done by an earlier run."""
    pictures: int
    failed: int
    notes: list[str]
    """What is missing of an earlier run, label files that readers will not find, and names that no
    picture has, for people."""


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
    told: Collection[str] = (),
) -> Result:
    """Look at every picture that the journal has not.

    Args:
        tables: files about all pictures, by their path in the folder.
        show: is told of each picture that is done.
        complain: is told of each picture that cannot be read.
        told: names of which it need not be said that no picture has them.

    A picture that changed since it was looked at is looked at again, if the journal allows it. Its
    old line stays until the new one is written.

    Raises ValueError if somebody changed one of the tables since it was written.
    """
    journal.require_ours(list(tables))
    run = _Run(journal, files, show, complain)
    journal.settle(run.replaced)
    before = {id(item) for item in items if journal.has(item)}  # others are refused before any work
    is_counted = not any(item.is_video for item in items)
    run.progress = Progress(len(items) if is_counted else None, len(before))

    def done(item: Item) -> bool:
        is_done = journal.has(item)
        if is_done and sources.is_remote(item):  # known only now that it was fetched
            before.add(id(item))
            run.progress.step()
        return is_done

    outcome = predict(detector, prompt, items, settings, run.take, run.failed, done)
    run.progress.clear()
    journal.settle(run.replaced)
    notes = [
        *_lost(journal, files),
        *run.notes(),
        *_misnamed(journal, files),
        *hints.of_found_nowhere([n for n in _unfound(journal, prompt.labels) if n not in told]),
    ]
    for name, parts in tables.items():
        journal.publish(name, parts())
    looked_at, failed = outcome.pictures - run.kept_old, len(outcome.failed) + run.kept_old
    return Result(len(before), looked_at, failed, notes)


class _Run:
    """What is done with each picture, and what has to be said of all of them."""

    def __init__(
        self,
        journal: Journal,
        files: Files,
        show: Callable[[Line], None],
        complain: Callable[[str], None],
    ) -> None:
        self.journal, self.files, self.show, self.complain = journal, files, show, complain
        self.progress = Progress(None, 0)
        self.taken = {key.lower() for key in journal.done.values()}
        self.numbers: dict[str, int] = {}
        """Of keys that several pictures have."""
        self.again: list[str] = []
        """Pictures that changed, and were looked at again."""
        self.kept_old = 0
        """Pictures that changed, and keep their results because somebody corrected them."""

    def take(self, item: Item, line: Line, found: Detections) -> None:
        """Write what was found in a picture."""
        old = self.journal.before(item) if self.journal.has_changed(item) else None
        if old is None:
            key = free_key(item.key, self.taken, self.numbers)
            self.taken.add(key.lower())
        else:
            key = str(old["file"])
            if path := self.files.corrected(old, {"file": key, **line}):
                self.kept_old += 1
                self.failed(
                    f"{item.name} changed, but {self.journal.folder / path} was corrected and "
                    "would be lost: move it away to have the picture looked at again"
                )
                return
            self.again.append(item.name)
        kept = self.files.write({"image": line["image"], "file": key, **line}, found)
        self.journal.add({**kept, "source": item.source})
        self.progress.clear()
        self.show(kept)
        self.progress.step()

    def failed(self, reason: str) -> None:
        """Say why nothing is written for a picture."""
        self.progress.clear()
        self.complain(reason)
        self.progress.step()

    def replaced(self, old: Line, new: Line) -> None:
        """Remove the files of an old line that the new one does not have, such as crops."""
        for path in set(self.files.written(old)) - set(self.files.written(new)):
            (self.journal.folder / path).unlink(missing_ok=True)

    def notes(self) -> list[str]:
        """Lines for people."""
        if not self.again:
            return []
        return [
            f"looked at again, with new results: {counted(len(self.again), 'picture')} changed "
            f"since, such as {json_line(self.again[0])}"
        ]


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
            f"gone from {journal.folder}: {counted(len(without), 'file')} written before, such as "
            f"{json_line(without[0])}; not written again: a new folder gets them all"
        )
    if gone:
        notes.append(
            f"gone: {counted(len(gone), 'picture')} looked at before, such as "
            f"{json_line(gone[0])}; the results stay in {journal.folder}"
        )
    return notes


def _misnamed(journal: Journal, files: Files) -> list[str]:
    """Label files that are not called as their picture is, since another one has that name."""
    found: list[tuple[str, str]] = []
    for line in journal.lines():
        path, source = files.by_name(line), str(line["source"]["path"])
        is_file = source != STDIN and "://" not in source and "frame" not in line["source"]
        if path and is_file and PurePath(path).stem != PurePath(source).stem:
            found.append((line["image"], path))
    if not found:
        return []
    image, path = found[0]
    return [
        "not called as the picture is, by whose name tools look for it: "
        f"{counted(len(found), 'label file')}, such as {journal.folder / path} of "
        f"{json_line(image)}; rename the picture, or look at it in a run of its own"
    ]


def _unfound(journal: Journal, labels: Sequence[str]) -> list[str]:
    """Labels without a box in any picture, in their order; none where no picture was looked at."""
    missing, is_empty = dict.fromkeys(labels), True
    for line in journal.lines():
        is_empty = False
        for entry in line["detections"]:
            missing.pop(entry["label"], None)
        if not missing:
            break
    return [] if is_empty else list(missing)
