"""Which files of a dataset are downloaded, and how."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path

from omnidet.data.download.archives import Limits
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.http_range import Patience
from omnidet.data.download.partial_file import TransferError


@dataclass(frozen=True)
class Options:
    """How a dataset is downloaded."""

    path: Path | None = None
    """A file that a person had to get, or a folder that holds such files by name."""
    patterns: tuple[str, ...] = ()
    """Only files that match one of these, such as `cc12m-train-00[0-4]?.tar`; () for all."""
    num_threads: int = 4
    keep_archives: bool = False
    verify: bool = False
    """Hash existing files again; otherwise their size is enough."""
    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    name: str
    state: str
    """`fetched`, `unpacked` or `already there`."""
    size_bytes: int
    sha256: str
    is_first_seen: bool
    """Whether no public source or lock said what the file must be."""


def matching(dataset: Dataset, options: Options) -> list[RemoteFile]:
    """The files of a dataset that match the patterns; perhaps none."""
    patterns = options.patterns or ("*",)
    return [
        file
        for file in dataset.files
        if any(fnmatch.fnmatchcase(file.name, pattern) for pattern in patterns)
    ]


def selected(dataset: Dataset, options: Options) -> list[RemoteFile]:
    """The files of a dataset that match the patterns. Raises ValueError if there is none.

    Also raises ValueError if one of them must be given by a person, and is not.
    """
    files = matching(dataset, options)
    if not files:
        raise ValueError(
            f"{dataset.name} has no file that matches {' or '.join(options.patterns)}: "
            f"its files are {dataset.files[0].name} and the like"
        )
    require_by_hand(dataset, files, options)
    return files


def require_by_hand(dataset: Dataset, files: list[RemoteFile], options: Options) -> None:
    """Raise ValueError if a file that only a person can get is not given.

    Called before anything is fetched, so that nobody learns of it hours later.
    """
    for file in files:
        if file.by_hand and given(file, options) is None:
            problem = f"; {options.path} does not hold it" if options.path else ""
            raise ValueError(
                f"{dataset.name}: {file.name} is available only to those who accept its licence: "
                f"request it at {file.by_hand}, then give the file with --path{problem} "
                "(or leave it out with --files)"
            )


def given(file: RemoteFile, options: Options) -> Path | None:
    """Where a person put the file, or None."""
    if options.path is None:
        return None
    found = options.path / file.name if options.path.is_dir() else options.path
    return found if found.is_file() and found.name == Path(file.name).name else None


def raise_problems(problems: list[str], num_files: int) -> None:
    """Raise TransferError with everything that went wrong, if anything did."""
    if problems:
        text = "; ".join(sorted(problems))
        raise TransferError(
            text if num_files == 1 else f"{len(problems)} of {num_files} files failed: {text}"
        )
