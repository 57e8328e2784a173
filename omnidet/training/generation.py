"""Two writers of one run's folder find each other: the last one to start writes, the other ends.

    <run>/writers/00000003.json     the third start of a training in this folder

A lock would not do: object stores have none, and the process that holds one may be cut off rather
than dead. So each start takes the next number, and a writer looks before and after each checkpoint
whether its number is still the highest.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.storage import Location

FOLDER = "writers"
_KEPT = 8


class SupersededError(ValueError):
    """Another process trains in the same folder, and started later."""


@dataclass(frozen=True)
class Generation:
    """The number of one start.

    Attributes:
        folder: of the run.
        token: distinguishes two starts that got the same number, from a store that cannot tell
            which was first.
    """

    folder: str
    number: int
    token: str

    @classmethod
    def take(cls, folder: Location) -> Generation:
        """Begin to write in a run's folder: whoever did so before ends.

        Raises SupersededError if this is a restart by a `torchrun` whose processes were superseded:
        else the two would take turns.
        """
        folder = str(folder)
        numbers = _numbers(folder)
        _require_not_superseded(folder, numbers)
        number, token = max(numbers, default=0) + 1, uuid.uuid4().hex
        while not storage.write_bytes_if_absent(_place(folder, number), _record(token)):
            number += 1
        for old in sorted(numbers)[:-_KEPT]:
            storage.remove(_place(folder, old))
        return cls(folder, number, token)

    def check(self) -> None:
        """Raise SupersededError if another process has begun to write since."""
        newest = max(_numbers(self.folder), default=self.number)
        record = _read(self.folder, newest)
        if record.get("writer", self.token) != self.token:
            raise _superseded(self.folder, record)


def _require_not_superseded(folder: str, numbers: list[int]) -> None:
    if not int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")):
        return
    own = _launch()
    for position, number in enumerate(sorted(numbers, reverse=True)):
        record = _read(folder, number)
        if record.get("launch") == own:
            if position:
                raise _superseded(folder, _read(folder, max(numbers)))
            return


def _superseded(folder: str, record: dict[str, Any]) -> SupersededError:
    return SupersededError(
        f"another process trains in {folder} since {record.get('started', 'now')} "
        f"(on {record.get('host', 'another host')}): this one stops and writes nothing more; wait "
        "for the other to end, or give another --work"
    )


def _numbers(folder: str) -> list[int]:
    names = storage.list_files(storage.join(folder, FOLDER))
    stems = (name.removesuffix(".json") for name in names)
    return [int(stem) for stem in stems if stem.isdigit()]


def _place(folder: str, number: int) -> str:
    return storage.join(folder, FOLDER, f"{number:08d}.json")


def _read(folder: str, number: int) -> dict[str, Any]:
    """A record; empty if it is not there any more."""
    try:
        content = json.loads(storage.read_text(_place(folder, number)))
    except FileNotFoundError:
        return {}
    return content if isinstance(content, dict) else {}


def _record(token: str) -> bytes:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = {"writer": token, "host": socket.gethostname(), "started": now, "launch": _launch()}
    return (json.dumps({**content, "process": os.getpid()}) + "\n").encode()


def _launch() -> str:
    """The parent process, such as torchrun, beyond pods of the same name and numbers used again."""
    parent = os.getppid()
    try:
        started = Path(f"/proc/{parent}/stat").read_text(encoding="utf-8").rsplit(")")[-1].split()
        since = started[19]  # field 22: clock ticks since the machine started
    except (OSError, IndexError):
        since = ""
    return f"{socket.gethostname()} {parent} {since}"
