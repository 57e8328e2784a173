"""A dataset of the catalogue -> its files in a folder: fetched in parallel, checked, unpacked, and locked.

    catalogue ──RemoteFile──▶ transfer ──archive──▶ archives ──files──▶ the folder
                                  └──size, SHA-256──▶ download.lock.json

The lock holds size and SHA-256 of every file as it was first seen: whoever downloads with it gets the same bytes or an error.
What is under way stands in `.downloads/`, so a killed run goes on where it stopped and nothing half-written is in the folder.
"""

from __future__ import annotations

import filecmp
import fnmatch
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from omnidet import storage
from omnidet.data.download import archives, lock_file, mirrors, partial_file
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.http_range import Patience
from omnidet.data.download.partial_file import Fetched, TransferError

WORK_NAME = ".downloads"


@dataclass(frozen=True)
class Options:
    """How a dataset is fetched."""

    path: Path | None = None
    """Where files are that a person had to fetch: the file, or a folder that holds it by its name."""
    patterns: tuple[str, ...] = ()
    """Only files whose name fits one of these, as `cc12m-train-00[0-4]?.tar`; all where there is none."""
    num_threads: int = 4
    keep_archives: bool = False
    verify: bool = False
    """Hash again what is there already; else its size tells."""
    patience: Patience = field(default_factory=Patience)
    limits: archives.Limits = field(default_factory=archives.Limits)


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    name: str
    state: str
    """`fetched`, `unpacked`, or `there already`."""
    size_bytes: int
    sha256: str
    is_learned: bool
    """Whether this was the first sight of it: no public source told what it should be."""


class _StoppedError(Exception):
    """Another thread failed in a way that ends the run."""


def download_to_folder(
    dataset: Dataset,
    folder: Path,
    options: Options | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Bring the files of a dataset into a folder, which may hold other datasets too.

    A file that fails does not keep the others from coming. Raises ValueError for what a person must mend, and TransferError
    that names every file that could not be had.
    """
    options = options or Options()
    files = selected(dataset, options)
    require_by_hand(dataset, files, options)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a folder to write into")
    work = folder / WORK_NAME
    work.mkdir(parents=True, exist_ok=True)
    with alone(work):
        return _FolderRun(folder, work, options, progress).all(files)


def selected(dataset: Dataset, options: Options) -> list[RemoteFile]:
    """The files of a dataset that are wanted; at least one."""
    files = fitting(dataset, options)
    if not files:
        raise ValueError(
            f"{dataset.name} has no file that fits {' or '.join(options.patterns)}: it has {dataset.files[0].name} and the like"
        )
    return files


def fitting(dataset: Dataset, options: Options) -> list[RemoteFile]:
    """The files of a dataset that are wanted, if there are any."""
    patterns = options.patterns or ("*",)
    return [
        file
        for file in dataset.files
        if any(fnmatch.fnmatchcase(file.name, pattern) for pattern in patterns)
    ]


def require_by_hand(dataset: Dataset, files: list[RemoteFile], options: Options) -> None:
    """Before anything is fetched, so that nobody finds out after hours."""
    for file in files:
        if file.by_hand and _given(file, options) is None:
            given = f"; {options.path} does not hold it" if options.path else ""
            raise ValueError(
                f"{dataset.name}: {file.name} is given only to who accepts its licence: ask for it at {file.by_hand}, "
                f"then give the file with --path{given} (or leave it out with --files)"
            )


def _given(file: RemoteFile, options: Options) -> Path | None:
    if options.path is None:
        return None
    found = options.path / file.name if options.path.is_dir() else options.path
    return found if found.is_file() and found.name == Path(file.name).name else None


def alone(work: Path) -> AbstractContextManager[None]:
    """Two runs that write the same parts would spoil both: the second one gets a ValueError."""
    return storage.locked(
        work / "lock", f"another download into {work.parent} is under way: wait for it, or stop it"
    )


class _FolderRun:
    """One run of `download_to_folder`."""

    def __init__(
        self, folder: Path, work: Path, options: Options, progress: Callable[[int], None]
    ) -> None:
        self.folder, self.work, self.options = folder, work, options
        self._progress = progress
        self._stopped = threading.Event()
        self._changing = threading.Lock()
        self.lock = folder / lock_file.NAME
        self.seen = lock_file.read(self.lock)

    def all(self, files: list[RemoteFile]) -> list[Outcome]:
        expected = [lock_file.expected(file, self.seen, self.lock) for file in files]
        outcomes: dict[str, Outcome] = {}
        problems: list[str] = []
        with ThreadPoolExecutor(self.options.num_threads) as pool:
            futures = [pool.submit(self._one, file) for file in expected]
            try:
                for future in as_completed(futures):
                    try:
                        outcome = future.result()
                        outcomes[outcome.name] = outcome
                    except TransferError as error:
                        problems.append(str(error))
            except BaseException:
                self._stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
        raise_problems(problems, len(files))
        return [outcomes[file.name] for file in files]

    def _one(self, file: RemoteFile) -> Outcome:
        try:
            return self._unpacked(file) if file.unpack else self._plain(file)
        except TransferError as error:
            if file.name in self.seen:
                raise lock_file.with_hint(error, self.lock) from error
            raise

    def _plain(self, file: RemoteFile) -> Outcome:
        target = self.folder / file.name
        if target.exists():
            return self._there_already(file, target)
        fetched = self._fetch(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._work_path(file).replace(target)
        return self._note(file, fetched, "fetched")

    def _there_already(self, file: RemoteFile, target: Path) -> Outcome:
        if not (file.sha256 or file.md5):
            raise ValueError(
                f"{target} is there, and nothing tells whether it is whole: move it away to fetch it anew"
            )
        size, sha256 = target.stat().st_size, file.sha256
        problem = (
            None
            if size == file.size_bytes
            else f"it has {size} bytes, expected are {file.size_bytes}"
        )
        if self.options.verify or file.name not in self.seen:
            size, sha256, md5 = partial_file.file_hashes(target)
            problem = partial_file.mismatch(file, size, sha256, md5)
        if problem:
            raise ValueError(
                f"{target} is not what it should be ({problem}): move it away to fetch it anew"
            )
        self._progress(size)
        return self._note(file, Fetched(target.resolve().as_uri(), size, sha256), "there already")

    def _unpacked(self, file: RemoteFile) -> Outcome:
        manifest = self.folder / members_name(file)
        if file.name in self.seen and self._is_unpacked(file, manifest):
            entry = self.seen[file.name]
            self._progress(entry["size_bytes"])
            return Outcome(file.name, "there already", entry["size_bytes"], entry["sha256"], False)
        fetched = self._fetch(file)
        given = _given(file, self.options) if file.by_hand else None
        archive = given or self._work_path(file)
        stage = self.work / f"{flat(file)}.unpacking"
        shutil.rmtree(stage, ignore_errors=True)
        try:
            members = archives.unpack(
                archive, stage, self.options.limits, lambda _: self._raise_if_stopped()
            )
            _require_no_own(file, members)
        except ValueError:
            shutil.rmtree(stage, ignore_errors=True)
            if given is None:
                archive.unlink()  # a later run fetches it anew
            raise
        self._merge(stage, self.folder / file.unpack)
        lines = "".join(
            json.dumps([member.name, member.size_bytes], ensure_ascii=False) + "\n"
            for member in members
        )
        storage.write_text(manifest, lines)
        outcome = self._note(file, fetched, "unpacked")
        if given is None and not self.options.keep_archives:
            archive.unlink()
        return outcome

    def _is_unpacked(self, file: RemoteFile, manifest: Path) -> bool:
        """Whether everything that was unpacked is still there in its size."""
        try:
            members = read_members(manifest, file)
            return all(
                (self.folder / name).stat().st_size == size for name, size in members.items()
            )
        except (OSError, ValueError):
            return False

    def _merge(self, stage: Path, root: Path) -> None:
        """Move everything below `root`; what is there already must be the same, and is never replaced."""
        paths = [path.relative_to(stage) for path in sorted(stage.rglob("*")) if path.is_file()]
        for path in paths:
            there = root / path
            if (there.exists() or there.is_symlink()) and not (
                there.is_file() and filecmp.cmp(stage / path, there, shallow=False)
            ):
                shutil.rmtree(stage)
                raise ValueError(
                    f"{there} is there and is another file than the dataset's: move it away"
                )
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / path).replace(root / path)
        shutil.rmtree(stage)

    def _fetch(self, file: RemoteFile) -> Fetched:
        def report(count: int) -> None:
            self._raise_if_stopped()
            self._progress(count)

        given = _given(file, self.options) if file.by_hand else None
        if given is not None:
            size, sha256, md5 = partial_file.file_hashes(given)
            problem = partial_file.mismatch(file, size, sha256, md5)
            if problem:
                raise TransferError(f"{given} is not {file.name}: {problem}")
            if not file.unpack:
                shutil.copyfile(given, self._work_path(file))
            report(size)
            return Fetched(given.resolve().as_uri(), size, sha256)
        target = self._work_path(file)
        if target.exists():  # an archive that was kept, or whose unpacking was broken off
            size, sha256, md5 = partial_file.file_hashes(target)
            if partial_file.mismatch(file, size, sha256, md5) is None:
                report(size)
                return Fetched(file.urls[0], size, sha256)
            target.unlink()
        return mirrors.fetch_file(file, target, self.options.patience, report)

    def _work_path(self, file: RemoteFile) -> Path:
        return self.work / flat(file)

    def _note(self, file: RemoteFile, fetched: Fetched, state: str) -> Outcome:
        """Write into the lock what was seen."""
        is_learned = not (file.sha256 or file.md5)
        with self._changing:
            if file.name not in self.seen:
                self.seen[file.name] = {
                    "url": fetched.url,
                    "size_bytes": fetched.size_bytes,
                    "sha256": fetched.sha256,
                }
                lock_file.write(self.lock, self.seen)
        return Outcome(file.name, state, fetched.size_bytes, fetched.sha256, is_learned)

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError


def _require_no_own(file: RemoteFile, members: list[archives.Member]) -> None:
    """An archive that brought a lock would decide what its own hash must be."""
    for member in members:
        first = (
            PurePosixPath(file.unpack, member.name).parts[0].lower()
        )  # some file systems know no capitals
        if first in (lock_file.NAME, WORK_NAME):
            raise ValueError(
                f"{file.name} has a member {member.name!r}, a name that omnidet keeps for itself: it is not unpacked; "
                "fetch it from a source that you trust"
            )


def raise_problems(problems: list[str], num_files: int) -> None:
    """Raise TransferError with all that went wrong, if anything did."""
    if problems:
        told = "; ".join(sorted(problems))
        raise TransferError(
            told if num_files == 1 else f"{len(problems)} of {num_files} files failed: {told}"
        )


def members_name(file: RemoteFile) -> str:
    """Below the folder: the list of what an archive was unpacked into."""
    return f"{WORK_NAME}/{flat(file)}.files"


def read_members(location: storage.Location, file: RemoteFile) -> dict[str, int]:
    """Size of each file that the archive was unpacked into, by its path below the folder. Raises OSError or ValueError."""
    lines = [json.loads(line) for line in storage.read_text(location).split("\n") if line]
    return {(PurePosixPath(file.unpack) / name).as_posix(): size for name, size in lines}


def flat(file: RemoteFile) -> str:
    """The name of a file without folders."""
    return file.name.replace("/", "--")
