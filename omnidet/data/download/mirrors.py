"""One large file from its URLs into a folder: resumed where it stopped, checked, whole or nothing.

From `http(s)://`, the rest of a file is requested with `Range` and `If-Range`, so that a file that
changed meanwhile is fetched from the start (RFC 9110, 13.1.5 and 14). `file://` is copied, and
`storage` fetches `s3://`. `reading/urls.py` fetches small files that fit in memory.
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
    Fetched,
    GiveUpError,
    PartialFile,
    TransferError,
    TryAgainError,
    require_room,
)

PROGRESS_BYTES = 1 << 20
"""A try that brought this much is not a failure: a large file may need many connections."""


def fetch_file(
    file: RemoteFile,
    target: Path,
    patience: Patience | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Fetch the file to `target`. Raises TransferError that names every mirror and its problem.

    Until it is whole and checked, it is `<target>.part`, from which a later call resumes. Bytes
    from one mirror are continued from another only if a hash can tell that they hold the same file.

    Args:
        progress: called with the number of further bytes (negative if some were discarded).
    """
    patience = patience or Patience()
    problems = []
    for url in file.urls:
        part = PartialFile(target, file, url, progress)
        # The fault may lie in what another mirror or run left: then start over from this mirror.
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
    """Complete the partial file, as far as can be known before it is hashed."""
    scheme = urlsplit(url).scheme
    try:
        if scheme == "file":
            part.write(_local_chunks(Path(url2pathname(urlsplit(url).path)), part), append=False)
            return
        if scheme == "s3":
            cache = part.target.with_name(f"{part.target.name}.s3")
            shutil.move(storage.local_copy(url, cache), part.path)
            shutil.rmtree(cache)
            part.write(iter(()), append=True)
            return
    except (FileNotFoundError, PermissionError, IsADirectoryError, ConnectionError) as error:
        raise GiveUpError(str(error)) from error
    failures = 0
    while True:
        before = part.size
        try:
            request(url, file, part, patience)
        except TryAgainError as error:
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
        else:
            return


def _local_chunks(path: Path, part: PartialFile) -> Iterator[bytes]:
    require_room(path.stat().st_size, part)
    with path.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
