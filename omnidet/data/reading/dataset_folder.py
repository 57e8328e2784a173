"""The files of a dataset, in a local folder or on an object store, which are fetched when read."""

from __future__ import annotations

import errno
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from omnidet import storage

CACHE = ".cache/data"
"""Local copies of annotation files from an object store. Images and tars are not kept."""
NUM_THREADS = 8
IMAGE_FOLDERS = ("", "images/")
"""Images are in the dataset's folder under their name, or below `images/`."""


@dataclass(frozen=True)
class DataFolder:
    """Files below one location, by their relative names."""

    location: str
    _last_folder: list[str] = field(default_factory=list, compare=False, repr=False)
    """The folder of the last image. On an object store, each wrong guess costs a request."""

    def has(self, name: str) -> bool:
        """Whether there is a file with this name."""
        if storage.is_s3(self.location):
            return storage.exists(storage.join(self.location, name))
        return Path(self.location, name).is_file()

    def path(self, name: str) -> Path:
        """A local path of the file. A local file need not exist."""
        if storage.is_s3(self.location):
            return storage.local_copy(storage.join(self.location, name), CACHE)
        return Path(self.location, name)

    def read(self, name: str) -> bytes | None:
        """The content, or None if there is no such file.

        The name may come from an annotation file, so it cannot lead out of the folder.
        """
        if not name or name.startswith("/") or "\0" in name or ".." in name.split("/"):
            return None
        if storage.is_s3(self.location):
            try:
                return storage.read_bytes(storage.join(self.location, name))
            except FileNotFoundError:
                return None
        try:
            with open(f"{self.location}/{name}", "rb") as file:
                return file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, UnicodeEncodeError):
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None
            raise

    def read_image(self, names: Iterable[str]) -> bytes | None:
        """The first of the images that exists, under its name or below `images/`."""
        places = [f"{folder}{name}" for name in names for folder in IMAGE_FOLDERS]
        if storage.is_s3(self.location):
            places.sort(key=lambda place: place.rpartition("/")[0] not in self._last_folder)
        for place in places:
            content = self.read(place)
            if content is not None:
                self._last_folder[:1] = [place.rpartition("/")[0]]
                return content
        return None

    def read_images(self, wanted: Sequence[Sequence[str]]) -> Iterator[bytes | None]:
        """`read_image` of each, in order. From an object store, several are fetched at once."""
        if not storage.is_s3(self.location):
            yield from map(self.read_image, wanted)
            return
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            ahead: deque[Future[bytes | None]] = deque()
            for names in wanted:
                ahead.append(pool.submit(self.read_image, names))
                if len(ahead) > 2 * NUM_THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def names(self, suffix: str) -> list[str]:
        """Files directly in the folder whose names end with the suffix, sorted."""
        if storage.is_s3(self.location):
            found = storage.list_files(self.location)
            return [name for name in found if "/" not in name and name.endswith(suffix)]
        return sorted(path.name for path in Path(self.location).glob(f"*{suffix}"))

    def stamps(self, folder: str = "") -> dict[str, str]:
        """For each file of a folder, by its name, a text that changes when the file does."""
        place = storage.join(self.location, folder) if folder else self.location
        if storage.is_s3(place):
            return storage.fingerprints(place)
        if not Path(place).is_dir():
            return {}
        with os.scandir(place) as found:
            states = {entry.name: entry.stat() for entry in found if entry.is_file()}
        return {name: f"{state.st_size} {state.st_mtime_ns}" for name, state in states.items()}

    @contextmanager
    def fetched(self, name: str) -> Iterator[Path]:
        """A local path of a large file during the block.

        A copy from an object store is not kept.
        """
        if not storage.is_s3(self.location):
            yield Path(self.location, name)
            return
        with tempfile.TemporaryDirectory(prefix="omnidet-") as temporary:
            yield storage.local_copy(storage.join(self.location, name), temporary)
