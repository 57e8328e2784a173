"""`download.lock.json`: URL, size and SHA-256 of every downloaded file as it was first seen.

Whoever downloads with it gets the same bytes or an error. It is in the folder of the datasets,
local or `s3://`.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from omnidet import storage
from omnidet.data.download.catalogue import RemoteFile
from omnidet.data.download.partial_file import TransferError
from omnidet.storage import Location

NAME = "download.lock.json"
SCHEMA_VERSION = 1

Entries = dict[str, dict[str, Any]]
"""`url`, `size_bytes` and `sha256` of each file, by its name."""


def read(location: Location) -> Entries:
    """The entries of a lock file; {} if it does not exist. Raises ValueError for a damaged one."""
    if not storage.exists(location):
        return {}
    try:
        content = json.loads(storage.read_text(location))
        version = content["schema_version"]
        files: Entries = content["files"]
        if not all(
            isinstance(e["size_bytes"], int) and isinstance(e["sha256"], str)
            for e in files.values()
        ):
            raise TypeError
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{location} is not a lock file of downloads ({error!r}): correct or remove it"
        ) from error
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{location} has schema version {version!r:.40}, this program reads {SCHEMA_VERSION}: "
            "remove it and download again"
        )
    return files


def write(location: Location, entries: Entries) -> None:
    """Replace the lock file."""
    content = {"schema_version": SCHEMA_VERSION, "files": dict(sorted(entries.items()))}
    storage.write_text(location, json.dumps(content, indent=1) + "\n")


def expected(file: RemoteFile, entries: Entries, location: Location) -> RemoteFile:
    """The file with size and hash from the lock. Raises ValueError if the catalogue disagrees."""
    entry = entries.get(file.name)
    if entry is None:
        return file
    for known, locked in ((file.size_bytes, entry["size_bytes"]), (file.sha256, entry["sha256"])):
        if known and known != locked:
            raise ValueError(
                f"{file.name}: {location} says {locked}, the catalogue {known}: "
                "remove its entry from the lock file if the catalogue is right"
            )
    return dataclasses.replace(file, size_bytes=entry["size_bytes"], sha256=entry["sha256"])


def with_hint(error: TransferError, location: Location) -> TransferError:
    """The error of a file that the lock file knows, with the remedy."""
    return TransferError(
        f"{error} ({location} records what was first seen: "
        "remove its entry there if the change is intended)"
    )
