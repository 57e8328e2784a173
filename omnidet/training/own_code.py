"""The code that trains, as a hash: what other code has trained is not given for the work of this.

A run is recognised by its recipe and data (`runs.py`). Code is not part of that, so that a training
goes on after a fault was mended. But once its detector is written, changed code trains anew: who
changes a loss and trains again wants to know what the change did.

    <run>/code.json          hash of the code that trained, and whether the detector was written
    <run>-<hash of code>/    the same run by code that came after that
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import omnidet
from omnidet import storage
from omnidet.storage import Location

NAME = "code.json"
PARTS = (
    *("boxes.py", "losses", "matching", "model", "schema.py", "training"),
    *("data/asked_words.py", "data/mixing", "data/reading", "data/relations.py"),
    *("data/shard_cache.py", "data/shards.py", "data/tokenization.py", "data/transforms"),
    *("data/vocabulary.py", "data/wording.py"),
)
"""Files and folders of the library that the weights depend on besides the recipe. A test compares
them with the imports."""


@functools.cache
def digest() -> str:
    """Hash of the code, as it is when this process first asks."""
    root = Path(omnidet.__file__).parent
    found = {path for part in PARTS for path in ((root / part), *(root / part).rglob("*.py"))}
    own = hashlib.sha256()
    for path in sorted(path for path in found if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        own.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return own.hexdigest()


def folder(run: str) -> tuple[str, tuple[str, ...]]:
    """Where this code trains the run of that folder, and what people should know about it."""
    known = _read(run)
    if known.get("sha256", digest()) == digest():
        return run, ()
    if not known["is_written"]:
        return run, (
            f"the code of training has changed since {run} began, and the run goes on with what "
            "there is now: remove that folder to train anew",
        )
    own = f"{run}-{digest()[:8]}"
    if _read(own):
        return own, ()
    return own, (f"a new run starts in {own}: other code has trained the one in {run}",)


def note(run: Location, is_written: bool = False) -> None:
    """Note that this code trains here, or that it has written the detector."""
    if is_written or _read(run).get("sha256") != digest():
        content = {"sha256": digest(), "is_written": is_written}
        storage.write_text(storage.join(run, NAME), json.dumps(content) + "\n")


def _read(run: Location) -> dict[str, Any]:
    """What was noted; empty where nothing was trained yet."""
    place = storage.join(run, NAME)
    known: dict[str, Any] = json.loads(storage.read_text(place)) if storage.exists(place) else {}
    return known
