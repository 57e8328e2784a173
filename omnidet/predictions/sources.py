"""Where a picture came from, and whether what is there is still the same picture."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.predictions.inputs import CAMERA, STDIN, Item, absolute

Source = dict[str, Any]
"""`path`: see `path_of`. `sha256` of the content. Of a file also `size`, `mtime_ns` and
`ctime_ns`, which spare reading it again; of a video's frame its number, `frame`."""
_STATUS = ("size", "mtime_ns", "ctime_ns")


def path_of(item: Item) -> str:
    """The absolute path, the address, or `-` for standard input."""
    if item.source is not None:
        return str(item.source["path"])
    return STDIN if item.content is not None else absolute(item.name)


def is_remote(item: Item) -> bool:
    """Whether it has to be fetched to know whether it changed."""
    return item.content is None and "://" in item.name


def of_content(path: str, content: bytes, status: Mapping[str, int]) -> Source:
    """The source of what was read as a whole.

    Args:
        status: of a file, from before it was read.
    """
    return {"path": path, **status, "sha256": hashlib.sha256(content).hexdigest()}


def of_video(item: Item) -> Source:
    """The source of a file, or of a camera."""
    path = absolute(item.name)
    try:
        return {"path": path, **status_of(path), "sha256": storage.sha256(Path(path))}
    except OSError:  # a camera, never the same again; whoever opens a lost file says so
        return {"path": path, "sha256": uuid.uuid4().hex}


def is_same(before: Mapping[str, Any], item: Item) -> bool | None:
    """Whether the picture is the one of before; None if nobody knows before it is fetched, or if
    it cannot be read.
    """
    if item.source is not None:
        return bool(before["sha256"] == item.source["sha256"])
    if isinstance(item.content, bytes):
        return bool(before["sha256"] == hashlib.sha256(item.content).hexdigest())
    if is_remote(item):
        return None
    if before["path"].startswith(CAMERA):
        return False
    try:
        now = status_of(before["path"])
        if all(before[key] == now[key] for key in _STATUS):
            return True
        return bool(
            now["size"] == before["size"]
            and storage.sha256(Path(before["path"])) == before["sha256"]
        )
    except OSError:
        return None


def is_replaceable(before: Mapping[str, Any], item: Item) -> bool:
    """Whether a picture that changed is another state of the same one: of a file and an address it
    is; what comes from standard input or a camera is another picture, and of a video that has fewer
    frames now the last ones would stay.
    """
    return before["path"] != STDIN and "frame" not in before and not item.is_video


def is_gone(source: Mapping[str, Any]) -> bool:
    """Whether a file is there no more; of others nobody knows."""
    return "size" in source and not Path(source["path"]).exists()


def status_of(path: str) -> dict[str, int]:
    """What changes with the content of a file; raises OSError."""
    status = Path(path).stat()
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
    }
