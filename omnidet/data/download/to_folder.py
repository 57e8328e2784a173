"""A dataset of the catalogue -> its files in a folder: fetched in parallel, checked and unpacked.

    catalogue ──RemoteFile──▶ mirrors ──archive──▶ archives ──files──▶ the folder
                                 └──size, SHA-256──▶ download.lock.json

The lock file holds size and SHA-256 of every file as it was first seen: whoever downloads with it
gets the same bytes or an error. Unfinished work is in `.downloads/`, so a run that was killed
resumes where it stopped, and nothing half-written is in the folder.
"""

from __future__ import annotations

import filecmp
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from omnidet import storage
from omnidet.data.download import archives, lock_file, manifest, mirrors, partial_file, selection
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.manifest import WORK_NAME, flat
from omnidet.data.download.partial_file import Fetched, TransferError
from omnidet.data.download.selection import Options, Outcome


class _StoppedError(Exception):
    """Another thread failed in a way that ends the run."""


def download_to_folder(
    dataset: Dataset,
    folder: Path,
    options: Options | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Download the files of a dataset into a folder, which may hold other datasets too.

    One file that fails does not keep the others from being fetched. Raises ValueError for what a
    person must correct, and TransferError that names every file that could not be fetched.
    """
    options = options or Options()
    files = selection.selected(dataset, options)
    if storage.is_other_than_folder(folder):
        raise ValueError(f"{folder} is a file: give a folder to write into")
    work = folder / WORK_NAME
    work.mkdir(parents=True, exist_ok=True)
    with locked(work):
        return _FolderRun(folder, work, options, progress).download(files)


def locked(work: Path) -> AbstractContextManager[None]:
    """Hold the lock of a folder. Raises ValueError if another run holds it.

    Two runs that write the same unfinished files would spoil both.
    """
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

    def download(self, files: list[RemoteFile]) -> list[Outcome]:
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
        selection.raise_problems(problems, len(files))
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
            return self._already_there(file, target)
        fetched = self._fetch(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._work_path(file).replace(target)
        return self._record(file, fetched, "fetched")

    def _already_there(self, file: RemoteFile, target: Path) -> Outcome:
        if not (file.sha256 or file.md5):
            raise ValueError(
                f"{target} exists, and no known hash tells whether it is complete: "
                "move it away to fetch it again"
            )
        size, sha256 = target.stat().st_size, file.sha256
        problem = partial_file.size_mismatch(file, size)
        if self.options.verify or file.name not in self.seen:
            size, sha256, md5 = partial_file.file_hashes(target)
            problem = partial_file.mismatch(file, size, sha256, md5)
        if problem:
            raise ValueError(
                f"{target} is not the dataset's file ({problem}): move it away to fetch it again"
            )
        self._progress(size)
        return self._record(file, Fetched(target.resolve().as_uri(), size, sha256), "already there")

    def _unpacked(self, file: RemoteFile) -> Outcome:
        members_list = self.folder / manifest.name_of(file)
        if file.name in self.seen and self._is_unpacked(file, members_list):
            entry = self.seen[file.name]
            self._progress(entry["size_bytes"])
            return Outcome(file.name, "already there", entry["size_bytes"], entry["sha256"], False)
        fetched = self._fetch(file)
        given = selection.given(file, self.options) if file.by_hand else None
        archive = given or self._work_path(file)
        stage = self.work / f"{flat(file)}.unpacking"
        shutil.rmtree(stage, ignore_errors=True)
        try:
            members = archives.unpack(
                archive, stage, self.options.limits, lambda _: self._raise_if_stopped()
            )
            _require_no_own_names(file, members)
        except ValueError:
            shutil.rmtree(stage, ignore_errors=True)
            if given is None:
                archive.unlink()  # a later run fetches it again
            raise
        self._merge(stage, self.folder / file.unpack)
        manifest.write(members_list, members)
        outcome = self._record(file, fetched, "unpacked")
        if given is None and not self.options.keep_archives:
            archive.unlink()
        return outcome

    def _is_unpacked(self, file: RemoteFile, members_list: Path) -> bool:
        """Whether everything that was unpacked still exists with its size."""
        try:
            members = manifest.read(members_list, file)
            return all(
                (self.folder / name).stat().st_size == size for name, size in members.items()
            )
        except (OSError, ValueError):
            return False

    def _merge(self, stage: Path, root: Path) -> None:
        """Move all files below `root`. An existing file must be the same, and is never replaced."""
        paths = [path.relative_to(stage) for path in sorted(stage.rglob("*")) if path.is_file()]
        for path in paths:
            existing = root / path
            if (existing.exists() or existing.is_symlink()) and not (
                existing.is_file() and filecmp.cmp(stage / path, existing, shallow=False)
            ):
                shutil.rmtree(stage)
                raise ValueError(
                    f"{existing} exists and differs from the dataset's file: move it away"
                )
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / path).replace(root / path)
        shutil.rmtree(stage)

    def _fetch(self, file: RemoteFile) -> Fetched:
        def report(count: int) -> None:
            self._raise_if_stopped()
            self._progress(count)

        target = self._work_path(file)
        given = selection.given(file, self.options) if file.by_hand else None
        if given is not None:
            size, sha256, md5 = partial_file.file_hashes(given)
            problem = partial_file.mismatch(file, size, sha256, md5)
            if problem:
                raise TransferError(f"{given} is not {file.name}: {problem}")
            if not file.unpack:
                shutil.copyfile(given, target)
            report(size)
            return Fetched(given.resolve().as_uri(), size, sha256)
        if target.exists():  # an archive that was kept, or whose unpacking was interrupted
            size, sha256, md5 = partial_file.file_hashes(target)
            if partial_file.mismatch(file, size, sha256, md5) is None:
                report(size)
                return Fetched(file.urls[0], size, sha256)
            target.unlink()
        return mirrors.fetch_file(file, target, self.options.patience, report)

    def _work_path(self, file: RemoteFile) -> Path:
        return self.work / flat(file)

    def _record(self, file: RemoteFile, fetched: Fetched, state: str) -> Outcome:
        """Write to the lock file what was seen."""
        is_first_seen = not (file.sha256 or file.md5)
        with self._changing:
            if file.name not in self.seen:
                self.seen[file.name] = {
                    "url": fetched.url,
                    "size_bytes": fetched.size_bytes,
                    "sha256": fetched.sha256,
                }
                lock_file.write(self.lock, self.seen)
        return Outcome(file.name, state, fetched.size_bytes, fetched.sha256, is_first_seen)

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError


def _require_no_own_names(file: RemoteFile, members: list[archives.Member]) -> None:
    """Refuse an archive with a lock file in it, which would decide what its own hash must be."""
    for member in members:
        # In lower case, because some file systems ignore case.
        first = PurePosixPath(file.unpack, member.name).parts[0].lower()
        if first in (lock_file.NAME, WORK_NAME):
            raise ValueError(
                f"{file.name} has a member {member.name!r}, a name that omnidet reserves: "
                "it is not unpacked; fetch it from a source that you trust"
            )
