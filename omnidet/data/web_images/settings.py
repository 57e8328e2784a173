"""How pictures are fetched, and the `fetch.json` that keeps a folder to one list and one way."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.data.reading import url_lists
from omnidet.data.web_images.checks import Taste
from omnidet.data.web_images.fetcher import Manners
from omnidet.data.web_images.report import read_checked

SETTINGS_NAME = "fetch.json"
WORK_NAME = ".work"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Options:
    """How pictures are fetched."""

    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Number of processes."""
    rows_per_shard: int = 5000
    part: int = 0
    parts: int = 1
    """This run takes the shards whose number modulo `parts` is `part`: machines share a list."""
    digest_column: str = ""
    """Column with the hash of each picture as the list's makers saw it.

    A picture with another hash is refused: its link may have been poisoned.
    """
    near_copies: bool = True
    """Leave out pictures that look like an earlier one."""
    dead_links: bool = False
    """Accept a shard none of whose hosts can be reached.

    Otherwise the network is taken to be down.
    """
    manners: Manners = field(default_factory=Manners)
    taste: Taste = field(default_factory=Taste)


def check(options: Options) -> None:
    """Raise ValueError for numbers that do not make sense."""
    for name in ("rows_per_shard", "workers"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} {getattr(options, name)} is less than 1")
    if not 0 <= options.part < options.parts:
        raise ValueError(
            f"part {options.part} of {options.parts} does not exist: parts are numbered from 0"
        )


def as_dict(paths: Sequence[Path], options: Options) -> dict[str, Any]:
    """Everything that determines the content of the shards."""
    return {
        "schema_version": SCHEMA_VERSION,
        "lists": [path.name for path in paths],
        "fingerprint": url_lists.fingerprint(paths),
        "rows_per_shard": options.rows_per_shard,
        "parts": options.parts,
        "digest_column": options.digest_column,
        "near_copies": options.near_copies,
        "taste": dataclasses.asdict(options.taste),
    }


def prepare(out: Path, wanted: dict[str, Any]) -> None:
    """Create the folder unless an earlier run has. Raises ValueError if it holds other things."""
    storage.require_replaceable(out, SETTINGS_NAME)
    out.mkdir(parents=True, exist_ok=True)
    storage.write_bytes_if_absent(
        out / SETTINGS_NAME, (json.dumps(wanted, indent=1) + "\n").encode()
    )


def locked(out: Path, part: int, busy: str) -> AbstractContextManager[None]:
    """Hold the lock of one part of a folder. Raises ValueError(busy) if another process does."""
    (out / WORK_NAME).mkdir(exist_ok=True)
    return storage.locked(out / WORK_NAME / f"lock-{part}", busy)


def require_same(out: Path, wanted: dict[str, Any], part: int) -> None:
    """Raise ValueError if the folder was begun with other lists or settings.

    Its shards would not fit together. A folder without a shard takes the new settings. The caller
    holds the lock of its part.
    """
    path = out / SETTINGS_NAME
    before = read_checked(path, {"parts": int}, "give a new folder")
    changed = next((name for name in wanted if wanted[name] != before.get(name)), None)
    if changed is None:
        return
    problem = (
        f"{out} was begun with other settings "
        f"({changed} {before.get(changed)!r}, now {wanted[changed]!r}): give a new folder"
    )
    with ExitStack() as held:
        for other in {*range(before["parts"])} - {part}:  # no other part may be at work
            held.enter_context(locked(out, other, problem))
        if any(any(out.glob(pattern)) for pattern in ("*.tar", "stats/*", "quarantine/*")):
            raise ValueError(problem)
        storage.write_text(path, json.dumps(wanted, indent=1) + "\n")
