"""A dataset of the catalogue -> its files in an `s3://` folder, one at a time through a local one.

    to_folder ──archive, content──▶ scratch ──upload──▶ s3://.../
                     then ──▶ .downloads/<file>.files, and last ──▶ download.lock.json

The lock file is written last, and an object is complete or does not exist. So the next run, on any
machine, resumes one that was killed: it lists the folder once and fetches what the lock file does
not name, or what is missing or has another size.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from omnidet import object_store, storage
from omnidet.data.download import lock_file, manifest, selection, to_folder
from omnidet.data.download.catalogue import Dataset, RemoteFile
from omnidet.data.download.partial_file import TransferError
from omnidet.data.download.selection import Options, Outcome


def download_to_bucket(
    dataset: Dataset,
    location: str,
    scratch: Path | None = None,
    options: Options | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Download the files of a dataset into an `s3://` folder, which may hold other datasets too.

    Fails as `to_folder.download_to_folder` does. Existing objects are never replaced: they must
    have the same content.

    Args:
        scratch: local folder with room for the largest file and its content. What a killed run had
            fetched stays there for the next run. A temporary folder by default.
        options: `num_threads` is the number of uploads at once. With `verify`, everything is
            fetched again and compared with the existing objects.
    """
    options = options or Options()
    files = selection.selected(dataset, options)
    with _scratch_folder(scratch) as folder:
        run = _BucketRun(location, folder, options, progress)
        outcomes, problems = [], []
        for file in files:
            try:
                outcomes.append(run.download(dataset, file))
            except TransferError as error:
                problems.append(str(error))
    selection.raise_problems(problems, len(files))
    return outcomes


@contextmanager
def _scratch_folder(scratch: Path | None) -> Iterator[Path]:
    if scratch is None:
        with tempfile.TemporaryDirectory(prefix="omnidet-download-") as temporary:
            yield Path(temporary)
        return
    if storage.is_other_than_folder(scratch):
        raise ValueError(f"{scratch} is a file: give a folder to unpack into")
    work = scratch / manifest.WORK_NAME
    work.mkdir(parents=True, exist_ok=True)
    with to_folder.locked(work):
        yield scratch


class _BucketRun:
    """One run of `download_to_bucket`."""

    def __init__(
        self, location: str, scratch: Path, options: Options, progress: Callable[[int], None]
    ) -> None:
        self.location, self.scratch = location, scratch
        self.options, self.progress = options, progress
        self.lock = storage.join(location, lock_file.NAME)
        self.existing = object_store.versions(location)
        self.seen = lock_file.read(self.lock)

    def download(self, dataset: Dataset, file: RemoteFile) -> Outcome:
        """Fetch, upload and record one file, unless it is already there."""
        wanted = lock_file.expected(file, self.seen, self.lock)
        if not self.options.verify and self._is_complete(file):
            entry = self.seen[file.name]
            self.progress(entry["size_bytes"])
            return Outcome(file.name, "already there", entry["size_bytes"], entry["sha256"], False)
        folder = self.scratch / manifest.flat(file)
        try:
            how = dataclasses.replace(self.options, patterns=(), verify=False)
            (fetched,) = to_folder.download_to_folder(
                dataclasses.replace(dataset, files=(wanted,)), folder, how, self.progress
            )
        except TransferError as error:
            if file.name in self.seen:
                raise lock_file.with_hint(error, self.lock) from error
            raise
        names = [file.name]
        if file.unpack:
            names = list(manifest.read(folder / manifest.name_of(file), file))
        self._upload(folder, names)
        self._record(folder, file)
        shutil.rmtree(folder)
        return dataclasses.replace(
            fetched,
            state="unpacked" if file.unpack else "fetched",
            is_first_seen=not (wanted.sha256 or wanted.md5),
        )

    def _is_complete(self, file: RemoteFile) -> bool:
        """Whether the file was recorded, and all of it still exists with its size."""
        if file.name not in self.seen:
            return False
        sizes = {file.name: self.seen[file.name]["size_bytes"]}
        if file.unpack:
            if manifest.name_of(file) not in self.existing:
                return False
            try:
                place = storage.join(self.location, manifest.name_of(file))
                sizes = manifest.read(place, file)
            except ValueError:
                return False
        return all(
            name in self.existing and self.existing[name].size_bytes == size
            for name, size in sizes.items()
        )

    def _upload(self, folder: Path, names: list[str]) -> None:
        """Upload the files; none if one of them would replace different content."""
        existing = object_store.versions(self.location)  # hours may have passed

        def compare(name: str) -> None:
            target = storage.join(self.location, name)
            if not object_store.has_content_of(folder / name, target, existing[name]):
                raise ValueError(
                    f"{target} exists and differs from the dataset's file: move it away"
                )

        object_store.in_parallel(
            compare, [name for name in names if name in existing], self.options.num_threads
        )
        object_store.in_parallel(
            lambda name: storage.upload(folder / name, storage.join(self.location, name)),
            [name for name in names if name not in existing],
            self.options.num_threads,
        )

    def _record(self, folder: Path, file: RemoteFile) -> None:
        """Write the manifest, then the lock file, which another download may have changed."""
        if file.unpack:
            name = manifest.name_of(file)
            storage.upload(folder / name, storage.join(self.location, name))
        entry = lock_file.read(folder / lock_file.NAME)[file.name]
        self.seen = lock_file.read(self.lock)
        if self.seen.setdefault(file.name, entry)["sha256"] != entry["sha256"]:
            raise ValueError(
                f"{file.name}: another download recorded other bytes in {self.lock} meanwhile: "
                "fetch it again"
            )
        lock_file.write(self.lock, self.seen)
