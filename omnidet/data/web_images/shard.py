"""One shard of web pictures, in a process of its own: rows -> spool -> tar. Does not import torch.

rows ──fetcher──▶ bytes ──checks──▶ spool, in the order of arrival
spool ──(the main process leaves out near copies)──▶ NNNNNN.tar, in the order of the list
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import signal
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import BinaryIO

from omnidet import storage
from omnidet.data.reading.url_lists import UrlRow
from omnidet.data.web_images.checks import Picture, Taste, examine
from omnidet.data.web_images.fetcher import Fetcher, Manners, RefusedError, fetcher

INLINE_BYTES = 300_000
"""Larger pictures are decoded in a thread, so that connections do not have to wait."""
WAITING = 8
"""Rows per connection that are begun ahead, so that a slow host does not hold up the others."""
_DIGESTS = {32: "md5", 40: "sha1", 64: "sha256"}


@dataclass(frozen=True)
class Task:
    """What a process has to fetch."""

    number: int
    rows: tuple[UrlRow, ...]
    spool: str
    """File that the pictures are written to, one after the other."""
    manners: Manners
    taste: Taste


@dataclass(frozen=True)
class FetchedPicture:
    """A picture in the spool."""

    row: UrlRow
    picture: Picture
    sha256: str
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class Harvest:
    """The result of fetching a shard's rows."""

    number: int
    found: tuple[FetchedPicture, ...]
    """In the order of the list."""
    refused: tuple[tuple[UrlRow, str], ...]
    """Rows without a picture, and why."""
    seconds: float


def begin_process(parent: int, stop: Event) -> None:
    """Make this process end when its parent ends, for whatever reason, or when `stop` is set.

    Ctrl-C is left to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent and not stop.wait(0.5):
            pass
        os._exit(1)  # at once, in the middle of a shard: nothing else can end a running task

    threading.Thread(target=watch, daemon=True).start()


def harvest(task: Task) -> Harvest:
    """Fetch the pictures of a shard into its spool."""
    begin = time.monotonic()
    with _named(task.spool), Path(task.spool).open("wb") as spool:
        found, refused = asyncio.run(_harvest(task, spool))
    found.sort(key=lambda thing: thing.row.number)
    refused.sort(key=lambda pair: pair[0].number)
    return Harvest(task.number, tuple(found), tuple(refused), time.monotonic() - begin)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Name the file in the error of a failed write, also if tasks of a group raised it."""
    try:
        yield
    except (OSError, ExceptionGroup) as error:
        problem = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        if isinstance(problem, OSError):
            message = (
                f"{path} cannot be written ({problem.strerror}): "
                "free some space, and run again to resume"
            )
            raise OSError(problem.errno, message) from error
        raise


async def _harvest(
    task: Task, spool: BinaryIO
) -> tuple[list[FetchedPicture], list[tuple[UrlRow, str]]]:
    found: list[FetchedPicture] = []
    refused: list[tuple[UrlRow, str]] = []
    waiting = asyncio.Semaphore(WAITING * task.manners.connections)

    async def fetch_one(row: UrlRow, fetching: Fetcher, threads: ThreadPoolExecutor) -> None:
        try:
            async with fetching.fetch(row.url) as content:
                if len(content) > INLINE_BYTES:
                    loop = asyncio.get_running_loop()
                    picture = await loop.run_in_executor(threads, examine, content, task.taste)
                else:
                    picture = examine(content, task.taste)
                if isinstance(picture, str):
                    raise RefusedError(picture)
                if row.digest and not _is_as_listed(content, row.digest):
                    raise RefusedError("content differs from the list's hash")
                found.append(
                    FetchedPicture(
                        row,
                        picture,
                        hashlib.sha256(content).hexdigest(),
                        spool.tell(),
                        len(content),
                    )
                )
                spool.write(content)
        except RefusedError as error:
            refused.append((row, error.reason))
        finally:
            waiting.release()

    with ThreadPoolExecutor(1, "decoder") as threads:
        async with fetcher(task.manners) as fetching, asyncio.TaskGroup() as group:
            for row in task.rows:
                await waiting.acquire()
                group.create_task(fetch_one(row, fetching, threads))
    return found, refused


def _is_as_listed(content: bytes, digest: str) -> bool:
    """Whether the content has the hash of the list. A hash of unknown length never fits."""
    name = _DIGESTS.get(len(digest))
    return (
        name is not None and hashlib.new(name, content, usedforsecurity=False).hexdigest() == digest
    )


def write_tar(spool: str, found: Sequence[FetchedPicture], target: str) -> str:
    """Write the pictures in the given order, each with its caption and origin.

    Returns the tar's SHA-256. Members have no time and no owner, so the same pictures give the same
    bytes.
    """
    with (
        _named(target),
        Path(spool).open("rb") as source,
        tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for thing in found:
            key = f"{thing.row.number:010d}"
            source.seek(thing.offset)
            about = {
                "key": key,
                "url": thing.row.url,
                "caption": thing.row.caption,
                "width": thing.picture.width,
                "height": thing.picture.height,
                "sha256": thing.sha256,
                "status": "success",
            }
            for ending, content in (
                (thing.picture.kind, source.read(thing.size_bytes)),
                ("json", json.dumps(about, ensure_ascii=False).encode("utf-8", "replace")),
                ("txt", thing.row.caption.encode("utf-8", "replace")),
            ):
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return storage.sha256(Path(target))


def reasons(refused: Sequence[tuple[UrlRow, str]]) -> dict[str, int]:
    """Number of rows that were refused for each reason, the most frequent first."""
    return dict(Counter(reason for _, reason in refused).most_common())
