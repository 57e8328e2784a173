"""`.downloads/<file>.files`: which files an archive was unpacked into, and their sizes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePosixPath

from omnidet import storage
from omnidet.data.download.archives import Member
from omnidet.data.download.catalogue import RemoteFile
from omnidet.storage import Location

WORK_NAME = ".downloads"
"""Folder for manifests and unfinished work, inside the folder of the datasets."""


def flat(file: RemoteFile) -> str:
    """The name of a file, with its folders joined into the name."""
    return file.name.replace("/", "--")


def name_of(file: RemoteFile) -> str:
    """The manifest of a file, relative to the folder of the datasets."""
    return f"{WORK_NAME}/{flat(file)}.files"


def write(location: Location, members: Iterable[Member]) -> None:
    """Write a manifest: a line of JSON for each file."""
    lines = (
        json.dumps([member.name, member.size_bytes], ensure_ascii=False) + "\n"
        for member in members
    )
    storage.write_text(location, "".join(lines))


def read(location: Location, file: RemoteFile) -> dict[str, int]:
    """Size of each file, by its path relative to the folder of the datasets.

    Raises OSError or ValueError if the manifest is missing or damaged.
    """
    lines = [json.loads(line) for line in storage.read_text(location).split("\n") if line]
    return {(PurePosixPath(file.unpack) / name).as_posix(): size for name, size in lines}
