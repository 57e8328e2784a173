"""Aliases: which version each points to, and every step that led there.

    <registry>/<name>/aliases/champion/00000003.json
        {"version": 2, "history": [1], "time": "2026-11-22T20:00:00+00:00"}

Each change is a file with the next number, written only if that file does not exist. Of two
simultaneous changes one gets the number; the other one sees that, and decides again. So changes
have an order, none is lost, and the files are the alias's whole history.

Each change is copied to `promoted/champion/`. Where both are there they must be the same, or one of
them was damaged. An alias that lacks changes which are there was lost, and that is another thing
than an alias that was never set: a gate that took one for the other would compare with nothing.

A registry of version 0.1 has one file, `aliases/champion.json`; it counts as number 0.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass

from omnidet import storage
from omnidet.storage import Location

FOLDER = "aliases"
COPIES = "promoted"
ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,62}")

_CHANGE = re.compile(r"([0-9]{8})\.json")


@dataclass(frozen=True)
class Pointer:
    """What an alias says now.

    Attributes:
        history: the versions to go back to; the last of them is the first to return to.
        change: number of the change that made it so.
    """

    version: int
    history: tuple[int, ...]
    change: int


class LostError(ValueError):
    """An alias was set and is not there any more.

    Attributes:
        last: what it said last.
    """

    def __init__(self, message: str, last: Pointer) -> None:
        super().__init__(message)
        self.last = last


def names(registry: Location, model: str) -> list[str]:
    """The aliases of a model that were ever set, sorted."""
    found = set()
    folders = [storage.join(registry, model, folder) for folder in (FOLDER, COPIES)]
    for file in [file for folder in folders for file in storage.list_files(folder)]:
        alias, slash, change = file.partition("/")
        if slash and _CHANGE.fullmatch(change):
            found.add(alias)
        elif not slash and file.endswith(".json"):
            found.add(file.removesuffix(".json"))
    return sorted(alias for alias in found if ALIAS.fullmatch(alias))


def read(registry: Location, model: str, alias: str) -> Pointer | None:
    """What the alias says, or None if it was never set.

    Raises LostError if it was set later than its files say, ValueError if it is damaged or its copy
    says something else.
    """
    # Before the changes themselves: of one that is made meanwhile the copy comes after the change,
    # and a copy alone would say that the change was lost.
    copies = storage.list_files(storage.join(registry, model, COPIES, alias))
    files = storage.list_files(storage.join(registry, model, FOLDER, alias))
    change = max((int(match[1]) for match in map(_CHANGE.fullmatch, files) if match), default=0)
    # Some object stores list a new file late.
    while storage.exists(_location(registry, model, alias, change + 1)):
        change += 1
    last = max((int(match[1]) for match in map(_CHANGE.fullmatch, copies) if match), default=0)
    if last > change:
        pointer = _parsed(storage.join(registry, model, COPIES, alias, f"{last:08}.json"), last)
        raise LostError(
            f"{model}@{alias} in {registry} is lost: {FOLDER}/{alias}/{last:08}.json is missing, "
            f"which said version {pointer.version}: restore it, or set it again with "
            f"`omnidet models promote {model}@{pointer.version} --alias {alias}`",
            pointer,
        )
    location = _location(registry, model, alias, change)
    if not storage.exists(location):
        return None
    pointer = _parsed(location, change)
    copy = f"{change:08}.json"
    if change and copy in copies:
        kept = storage.join(registry, model, COPIES, alias, copy)
        if _parsed(kept, change) != pointer:
            raise ValueError(
                f"{model}@{alias} in {registry} is damaged: {location} says version "
                f"{pointer.version} after {list(pointer.history)}, and its copy {kept} says "
                "something else: put the one that is right in place of the other"
            )
    return pointer


def taken_back(registry: Location, model: str, alias: str) -> set[int]:
    """The versions from which somebody rolled the alias back: it pointed to them once, and neither
    does so now nor came to where it is now by way of them.
    """
    now = read(registry, model, alias)
    if now is None:
        return set()
    folder = storage.join(registry, model, FOLDER, alias)
    changes = [match for match in map(_CHANGE.fullmatch, storage.list_files(folder)) if match]
    once = {_parsed(storage.join(folder, found[0]), int(found[1])).version for found in changes}
    return once - {now.version, *now.history}


def _parsed(location: str, change: int) -> Pointer:
    try:
        content = json.loads(storage.read_text(location))
    except ValueError as error:
        raise ValueError(
            f"{location} is not JSON ({error}): remove it and promote a version"
        ) from error
    if not isinstance(content, dict) or not _is_pointer(
        content.get("version"), content.get("history")
    ):
        raise ValueError(
            f'{location} is not of the form {{"version": 2, "history": [1]}}: '
            "remove it and promote a version"
        )
    return Pointer(content["version"], tuple(content["history"]), change)


def change(
    registry: Location,
    model: str,
    alias: str,
    before: Pointer | None,
    version: int,
    history: tuple[int, ...],
) -> bool:
    """Let the alias point to a version.

    Returns False, and changes nothing, if the alias no longer is what it was `before`.
    """
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = json.dumps({"version": version, "history": history, "time": time}, indent=1) + "\n"
    number = before.change + 1 if before else 1
    location = _location(registry, model, alias, number)
    storage.require_writable(location)
    if not storage.write_bytes_if_absent(location, content.encode()):
        return False
    copy = storage.join(registry, model, COPIES, alias, f"{number:08}.json")
    storage.write_bytes(copy, content.encode())
    return True


def _is_pointer(version: object, history: object) -> bool:
    return (
        type(version) is int
        and isinstance(history, list)
        and all(type(number) is int for number in history)
    )


def _location(registry: Location, model: str, alias: str, change: int) -> str:
    folder = storage.join(registry, model, FOLDER)
    if not change:
        return storage.join(folder, f"{alias}.json")
    return storage.join(folder, alias, f"{change:08}.json")
