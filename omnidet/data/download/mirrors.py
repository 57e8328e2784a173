"""One large file from an address into a folder: resumed where it stopped, checked, whole or not at all.

`http(s)://` is asked for the rest of a file with `Range` and `If-Range`, so that a file that changed in the meantime is
fetched anew (RFC 9110, 13.1.5 and 14). `file://` is copied and `s3://` fetched by `storage`. Small things that fit in memory
are fetched by `download`.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from omnidet import storage
from omnidet.data.download.catalogue import RemoteFile
from omnidet.data.download.http_range import Patience, request
from omnidet.data.download.partial_file import (
    CHUNK_BYTES,
    AgainError,
    Fetched,
    GiveUpError,
    PartialFile,
    TransferError,
    require_room,
)

PROGRESS_BYTES = 1 << 20
"""A try that brought so much does not count as a failure: a large file may need many connections."""


def fetch_file(
    file: RemoteFile,
    target: Path,
    patience: Patience | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Bring the file to `target`. Raises TransferError that names every mirror and its problem.

    Until it is whole and checked it stands as `<target>.part`, from which a later call goes on; what has been fetched from
    one mirror is continued from another only where a hash tells that they hold the same.

    Args:
        progress: called with the number of further bytes that are there (negative where some were thrown away).
    """
    patience = patience or Patience()
    problems = []
    for url in file.urls:
        part = PartialFile(target, file, url, progress)
        # What another mirror or an earlier run left may be what is wrong: then the same mirror once more, from the start.
        for _ in range(2 if part.size else 1):
            try:
                _fetch_from(url, file, part, patience)
                return part.publish()
            except GiveUpError as error:
                problem = f"{url}: {error}"
                if part.size:
                    break
        problems.append(problem)
    raise TransferError(f"{file.name} cannot be fetched: {'; '.join(problems)}")


def _fetch_from(url: str, file: RemoteFile, part: PartialFile, patience: Patience) -> None:
    """Make the part whole, as far as one can tell before it is hashed."""
    scheme = urlsplit(url).scheme
    try:
        if scheme == "file":
            part.write(_local_chunks(Path(url2pathname(urlsplit(url).path)), part), append=False)
            return None
        if scheme == "s3":
            with_cache = part.target.with_name(f"{part.target.name}.s3")
            shutil.move(storage.local_copy(url, with_cache), part.path)
            shutil.rmtree(with_cache)
            part.write(iter(()), append=True)
            return None
    except (FileNotFoundError, PermissionError, IsADirectoryError, ConnectionError) as error:
        raise GiveUpError(str(error)) from error
    failures = 0
    while True:
        before = part.size
        try:
            return request(url, file, part, patience)
        except AgainError as error:
            failures = 0 if part.size - before >= PROGRESS_BYTES else failures + 1
            if failures >= patience.tries:
                raise GiveUpError(f"{error} ({failures} times in a row)") from error
            wait = error.wait_seconds
            if wait is None:
                wait = (
                    patience.wait_seconds * 2 ** max(failures - 1, 0) * random.uniform(0.75, 1.25)
                )
            if wait > patience.max_wait_seconds:
                raise GiveUpError(f"{error}, and asks to wait {wait:.0f} seconds") from error
            time.sleep(wait)


def _local_chunks(path: Path, part: PartialFile) -> Iterator[bytes]:
    require_room(path.stat().st_size, part)
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
