"""A dataset of the catalogue -> its files in a folder: fetched in parallel, checked, unpacked, and locked.

    catalogue ──RemoteFile──▶ transfer ──archive──▶ archives ──files──▶ the folder
                                  └──size, SHA-256──▶ download.lock.json

The lock holds size and SHA-256 of every file as it was first seen: whoever downloads with it gets the same bytes or an error.
What is under way stands in `.downloads/`, so a killed run goes on where it stopped and nothing half-written is in the folder.
"""

from __future__ import annotations

import dataclasses
import filecmp
import fnmatch
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omnidet import storage
from omnidet.data import archives, partial_file, transfer
from omnidet.data.catalogue import Dataset, RemoteFile
from omnidet.data.http_transfer import Patience
from omnidet.data.partial_file import Fetched, TransferError

LOCK_NAME = "download.lock.json"
WORK_NAME = ".downloads"
SCHEMA_VERSION = 1


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


def acquire(
    dataset: Dataset, folder: Path, options: Options | None = None, progress: Callable[[int], None] = lambda _: None
) -> list[Outcome]:
    """Bring the files of a dataset into a folder, which may hold other datasets too.

    A file that fails does not keep the others from coming. Raises ValueError for what a person must mend, and TransferError
    that names every file that could not be had.
    """
    options = options or Options()
    files = _selected(dataset, options)
    _require_by_hand(dataset, files, options)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a folder to write into")
    work = folder / WORK_NAME
    work.mkdir(parents=True, exist_ok=True)
    # Two runs that write the same parts would spoil both.
    with storage.alone(work / "lock", f"another download into {folder} is under way: wait for it, or stop it"):
        return _Run(folder, work, options, progress).all(files)


def _selected(dataset: Dataset, options: Options) -> list[RemoteFile]:
    patterns = options.patterns or ("*",)
    files = [file for file in dataset.files if any(fnmatch.fnmatchcase(file.name, pattern) for pattern in patterns)]
    if not files:
        raise ValueError(
            f"{dataset.name} has no file that fits {' or '.join(patterns)}: it has {dataset.files[0].name} and the like"
        )
    return files


def _require_by_hand(dataset: Dataset, files: list[RemoteFile], options: Options) -> None:
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


class _Run:
    """One run of `acquire`."""

    def __init__(self, folder: Path, work: Path, options: Options, progress: Callable[[int], None]) -> None:
        self.folder, self.work, self.options = folder, work, options
        self._progress = progress
        self._stopped = threading.Event()
        self._changing = threading.Lock()
        self.seen = _read_lock(folder / LOCK_NAME)

    def all(self, files: list[RemoteFile]) -> list[Outcome]:
        expected = [self._expected(file) for file in files]
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
        if problems:
            raise TransferError(f"{len(problems)} of {len(files)} files failed: {'; '.join(sorted(problems))}")
        return [outcomes[file.name] for file in files]

    def _expected(self, file: RemoteFile) -> RemoteFile:
        """The file with what the lock knows of it."""
        entry = self.seen.get(file.name)
        if entry is None:
            return file
        for known, told in ((file.size_bytes, entry["size_bytes"]), (file.sha256, entry["sha256"])):
            if known and known != told:
                raise ValueError(
                    f"{file.name}: {self.folder / LOCK_NAME} says {told}, the catalogue {known}: "
                    "remove its entry from the lock if the catalogue is right"
                )
        return dataclasses.replace(file, size_bytes=entry["size_bytes"], sha256=entry["sha256"])

    def _one(self, file: RemoteFile) -> Outcome:
        try:
            return self._unpacked(file) if file.unpack else self._plain(file)
        except TransferError as error:
            if file.name in self.seen:
                hint = f"what was first seen is in {self.folder / LOCK_NAME}: remove its entry there if a change is wanted"
                raise TransferError(f"{error} ({hint})") from error
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
            raise ValueError(f"{target} is there, and nothing tells whether it is whole: move it away to fetch it anew")
        size, sha256 = target.stat().st_size, file.sha256
        problem = None if size == file.size_bytes else f"it has {size} bytes, expected are {file.size_bytes}"
        if self.options.verify or file.name not in self.seen:
            size, sha256, md5 = partial_file.file_hashes(target)
            problem = partial_file.mismatch(file, size, sha256, md5)
        if problem:
            raise ValueError(f"{target} is not what it should be ({problem}): move it away to fetch it anew")
        self._progress(size)
        return self._note(file, Fetched(target.as_uri(), size, sha256), "there already")

    def _unpacked(self, file: RemoteFile) -> Outcome:
        manifest = self.work / f"{_flat(file)}.files"
        if file.name in self.seen and self._is_unpacked(file, manifest):
            entry = self.seen[file.name]
            self._progress(entry["size_bytes"])
            return Outcome(file.name, "there already", entry["size_bytes"], entry["sha256"], False)
        fetched = self._fetch(file)
        given = _given(file, self.options) if file.by_hand else None
        archive = given or self._work_path(file)
        stage = self.work / f"{_flat(file)}.unpacking"
        shutil.rmtree(stage, ignore_errors=True)
        try:
            members = archives.unpack(archive, stage, self.options.limits, lambda _: self._raise_if_stopped())
        except ValueError:
            if given is None:
                archive.unlink()  # a later run fetches it anew
            raise
        self._merge(stage, self.folder / file.unpack)
        lines = "".join(json.dumps([member.name, member.size_bytes], ensure_ascii=False) + "\n" for member in members)
        storage.write_text(manifest, lines)
        outcome = self._note(file, fetched, "unpacked")
        if given is None and not self.options.keep_archives:
            archive.unlink()
        return outcome

    def _is_unpacked(self, file: RemoteFile, manifest: Path) -> bool:
        """Whether everything that was unpacked is still there in its size."""
        if not manifest.is_file():
            return False
        root = self.folder / file.unpack
        try:
            members = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
            return all((root / name).stat().st_size == size for name, size in members)
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
                raise ValueError(f"{there} is there and is another file than the dataset's: move it away")
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
            return Fetched(given.as_uri(), size, sha256)
        target = self._work_path(file)
        if target.exists():  # an archive that was kept, or whose unpacking was broken off
            size, sha256, md5 = partial_file.file_hashes(target)
            if partial_file.mismatch(file, size, sha256, md5) is None:
                report(size)
                return Fetched(file.urls[0], size, sha256)
            target.unlink()
        return transfer.fetch_file(file, target, self.options.patience, report)

    def _work_path(self, file: RemoteFile) -> Path:
        return self.work / _flat(file)

    def _note(self, file: RemoteFile, fetched: Fetched, state: str) -> Outcome:
        """Write into the lock what was seen."""
        is_learned = not (file.sha256 or file.md5)
        with self._changing:
            if file.name not in self.seen:
                self.seen[file.name] = {"url": fetched.url, "size_bytes": fetched.size_bytes, "sha256": fetched.sha256}
                content = {"schema_version": SCHEMA_VERSION, "files": dict(sorted(self.seen.items()))}
                storage.write_text(self.folder / LOCK_NAME, json.dumps(content, indent=1) + "\n")
        return Outcome(file.name, state, fetched.size_bytes, fetched.sha256, is_learned)

    def _raise_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise _StoppedError


def _flat(file: RemoteFile) -> str:
    return file.name.replace("/", "--")


def _read_lock(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        files: dict[str, Any] = content["files"]
        if not all(isinstance(e["size_bytes"], int) and isinstance(e["sha256"], str) for e in files.values()):
            raise TypeError
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a lock of downloads: mend or remove it ({error!r})") from error
    if version != SCHEMA_VERSION:
        raise ValueError(f"{path} has schema version {version!r:.40}, this is {SCHEMA_VERSION}: fetch anew")
    return files
