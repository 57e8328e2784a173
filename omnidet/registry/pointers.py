"""Aliases: which version each points to, and every step that led there.

    <registry>/<name>/aliases/champion/00000003.json   {"version": 2, "history": [1], "time": "2026-11-22T20:00:00+00:00"}

Each change is a file of its own with the next number, written where there is none: of two changes at once one gets the number,
and the other sees it and decides anew. So changes have an order, none is lost, and the files are the alias's whole story.
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
ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,62}")

_CHANGE = re.compile(r"([0-9]{8})\.json")


@dataclass(frozen=True)
class Pointer:
    """What an alias says now."""

    version: int
    history: tuple[int, ...]
    """The versions to go back to, the last one first to be gone back to."""
    change: int
    """Number of the change that made it so."""


def names(registry: Location, model: str) -> list[str]:
    """The aliases of a model, sorted."""
    found = set()
    for file in storage.list_files(storage.join(registry, model, FOLDER)):
        alias, slash, change = file.partition("/")
        if slash and _CHANGE.fullmatch(change):
            found.add(alias)
        elif not slash and file.endswith(".json"):
            found.add(file.removesuffix(".json"))
    return sorted(alias for alias in found if ALIAS.fullmatch(alias))


def read(registry: Location, model: str, alias: str) -> Pointer | None:
    """What the alias says, or None where it was never set. Raises ValueError for a damaged one."""
    files = storage.list_files(storage.join(registry, model, FOLDER, alias))
    change = max((int(match[1]) for match in map(_CHANGE.fullmatch, files) if match), default=0)
    while storage.exists(
        _location(registry, model, alias, change + 1)
    ):  # some object stores list late what they hold
        change += 1
    location = _location(registry, model, alias, change)
    try:
        content = json.loads(storage.read_text(location))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            f"{location} is not JSON ({error}): remove it and promote a version"
        ) from error
    if not isinstance(content, dict) or not _is_pointer(
        content.get("version"), content.get("history")
    ):
        raise ValueError(
            f'{location} is not of the form {{"version": 2, "history": [1]}}: remove it and promote a version'
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
    """Let the alias point to a version; False, and nothing done, where it is no longer what it was `before`."""
    time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = json.dumps({"version": version, "history": history, "time": time}, indent=1) + "\n"
    number = before.change + 1 if before else 1
    return storage.write_bytes_if_absent(
        _location(registry, model, alias, number), content.encode()
    )


def _is_pointer(version: object, history: object) -> bool:
    return (
        type(version) is int
        and isinstance(history, list)
        and all(type(number) is int for number in history)
    )


def _location(registry: Location, model: str, alias: str, change: int) -> str:
    place = storage.join(registry, model, FOLDER)
    return (
        storage.join(place, alias, f"{change:08}.json")
        if change
        else storage.join(place, f"{alias}.json")
    )
