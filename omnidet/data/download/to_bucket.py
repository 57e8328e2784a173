"""A dataset of the catalogue -> its files in an `s3://` folder, by way of a local one that holds one of them at a time.

    download_to_folder ──archive, content──▶ scratch ──upload──▶ s3://.../ ──then──▶ .downloads/<file>.files ──last──▶ download.lock.json

The lock is written last, and objects are whole or not there. So a run that was killed is taken up by the next one, on any
machine: it lists the folder once, and fetches what is not in the lock, or not there in its size.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from omnidet import object_store, storage
from omnidet.data.download import lock_file, to_folder
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.partial_file import TransferError
from omnidet.data.download.to_folder import Options, Outcome


def download_to_bucket(
    dataset: Dataset,
    location: str,
    scratch: Path | None = None,
    options: Options | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Bring the files of a dataset into an `s3://` folder, which may hold other datasets too.

    Fails as `to_folder.download_to_folder` does. What lies there already is never replaced: it must be the same.

    Args:
        scratch: local folder with room for the largest file and its content; a killed run leaves there what it had fetched,
            and the next one goes on with it. A temporary folder by default.
        options: `num_threads` upload at once; with `verify` all is fetched again and compared with what is there.
    """
    options = options or Options()
    files = to_folder.selected(dataset, options)
    to_folder.require_by_hand(dataset, files, options)
    with _scratch_folder(scratch) as folder:
        run = _BucketRun(location, folder, options, progress)
        outcomes, problems = [], []
        for file in files:
            try:
                outcomes.append(run.one(dataset, file))
            except TransferError as error:
                problems.append(str(error))
    to_folder.raise_problems(problems, len(files))
    return outcomes


@contextmanager
def _scratch_folder(scratch: Path | None) -> Iterator[Path]:
    if scratch is None:
        with tempfile.TemporaryDirectory(prefix="omnidet-download-") as temporary:
            yield Path(temporary)
        return
    if scratch.exists() and not scratch.is_dir():
        raise ValueError(f"{scratch} is a file: give a folder to unpack in")
    work = scratch / to_folder.WORK_NAME
    work.mkdir(parents=True, exist_ok=True)
    with to_folder.alone(work):
        yield scratch


class _BucketRun:
    """One run of `download_to_bucket`."""

    def __init__(
        self, location: str, scratch: Path, options: Options, progress: Callable[[int], None]
    ) -> None:
        self.location, self.scratch, self.options, self.progress = (
            location,
            scratch,
            options,
            progress,
        )
        self.lock = storage.join(location, lock_file.NAME)
        self.there = object_store.versions(location)
        self.seen = lock_file.read(self.lock)

    def one(self, dataset: Dataset, file: RemoteFile) -> Outcome:
        """Fetch, upload and record one file, unless it is there."""
        wanted = lock_file.expected(file, self.seen, self.lock)
        if not self.options.verify and self._is_whole(file):
            entry = self.seen[file.name]
            self.progress(entry["size_bytes"])
            return Outcome(file.name, "there already", entry["size_bytes"], entry["sha256"], False)
        folder = self.scratch / to_folder.flat(file)
        try:
            how = dataclasses.replace(self.options, patterns=(), verify=False)
            (fetched,) = to_folder.download_to_folder(
                dataclasses.replace(dataset, files=(wanted,)), folder, how, self.progress
            )
        except TransferError as error:
            if file.name in self.seen:
                raise lock_file.with_hint(error, self.lock) from error
            raise
        members = (
            to_folder.read_members(folder / to_folder.members_name(file), file)
            if file.unpack
            else [file.name]
        )
        self._upload(folder, list(members))
        self._record(folder, file)
        shutil.rmtree(folder)
        state = "unpacked" if file.unpack else "fetched"
        return dataclasses.replace(
            fetched, state=state, is_learned=not (wanted.sha256 or wanted.md5)
        )

    def _is_whole(self, file: RemoteFile) -> bool:
        """Whether the file was recorded, and all of it is still there in its size."""
        if file.name not in self.seen:
            return False
        sizes = {file.name: self.seen[file.name]["size_bytes"]}
        if file.unpack:
            manifest = to_folder.members_name(file)
            if manifest not in self.there:
                return False
            try:
                sizes = to_folder.read_members(storage.join(self.location, manifest), file)
            except ValueError:
                return False
        return all(
            name in self.there and self.there[name].size_bytes == size
            for name, size in sizes.items()
        )

    def _upload(self, folder: Path, names: list[str]) -> None:
        """Put the files; nothing is put where one of them would take the place of something else."""
        there = object_store.versions(self.location)  # hours may have passed

        def compare(name: str) -> None:
            target = storage.join(self.location, name)
            if not object_store.has_content_of(folder / name, target, there[name]):
                raise ValueError(
                    f"{target} is there and is another file than the dataset's: move it away"
                )

        object_store.in_parallel(
            compare, [name for name in names if name in there], self.options.num_threads
        )
        object_store.in_parallel(
            lambda name: storage.upload(folder / name, storage.join(self.location, name)),
            [name for name in names if name not in there],
            self.options.num_threads,
        )

    def _record(self, folder: Path, file: RemoteFile) -> None:
        """The list of what was unpacked, then the lock, which another download into the same folder may have changed."""
        if file.unpack:
            manifest = to_folder.members_name(file)
            storage.upload(folder / manifest, storage.join(self.location, manifest))
        entry = lock_file.read(folder / lock_file.NAME)[file.name]
        self.seen = lock_file.read(self.lock)
        if self.seen.setdefault(file.name, entry)["sha256"] != entry["sha256"]:
            raise ValueError(
                f"{file.name}: another download wrote other bytes into {self.lock} meanwhile: fetch it again"
            )
        lock_file.write(self.lock, self.seen)
