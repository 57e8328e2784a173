"""Items -> opened pictures: read ahead, in other threads, while the detector computes."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any

from omnidet.inference import pictures
from omnidet.inference.pictures import Picture
from omnidet.predictions import sources
from omnidet.predictions.inputs import Item

READERS = 4
UNREADABLE = (ValueError, OSError)
"""What reading a picture raises if the picture, and nothing else, is to blame."""


class Loader:
    """Opens pictures; a context manager, for its threads and connections.

    Args:
        ahead: how many pictures are read before they are asked for.
        allow_private: whether addresses of this machine and its network are asked.
    """

    def __init__(self, ahead: int, allow_private: bool = False) -> None:
        self._ahead, self._allow_private = ahead, allow_private
        self._threads = ThreadPoolExecutor(READERS, "reader")
        self._web: _Web | None = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        if self._web is not None:
            self._web.close()

    def opened(self, items: Iterable[Item]) -> Iterator[tuple[Item, Picture | Exception]]:
        """Each item with its picture, or with what is wrong with it."""
        waiting: deque[tuple[Item, Future[Picture]]] = deque()
        for item in items:
            waiting.append((item, self._start(item)))
            if len(waiting) > self._ahead:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())

    def _start(self, item: Item) -> Future[Picture]:
        if not item.is_web:
            return self._threads.submit(_read, item)
        if self._web is None:
            self._web = _Web(self._allow_private)
        return self._web.start(item)


def _read(item: Item) -> Picture:
    """Open a picture that is not on the web, and note on the item what it was."""
    if item.content is not None and not isinstance(item.content, bytes):
        return pictures.read(item.content, item.name)  # a frame
    path, status = sources.path_of(item), {}
    if item.content is None and not sources.is_remote(item):
        with suppress(OSError):  # `content_of` says it
            status = sources.status_of(path)
    content = pictures.content_of(item.name) if item.content is None else item.content
    item.source = sources.of_content(path, content, status)
    return pictures.read(content, item.name)


def _result(item: Item, picture: Future[Picture]) -> tuple[Item, Picture | Exception]:
    try:
        return item, picture.result()
    except UNREADABLE as error:
        return item, error


class _Web:
    """An event loop in a thread of its own, with the safe fetcher in it."""

    def __init__(self, allow_private: bool) -> None:
        from omnidet.data.web_images.fetcher import Manners, fetcher

        # The owner of the page says to whom pictures go for training: this is not training.
        manners = Manners(allow_private=allow_private, refused_directives=())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="web", daemon=True)
        self._thread.start()
        self._held = AsyncExitStack()
        self._fetcher = self._wait(self._held.enter_async_context(fetcher(manners)))

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def start(self, item: Item) -> Future[Picture]:
        return asyncio.run_coroutine_threadsafe(self._fetch(item), self._loop)

    async def _fetch(self, item: Item) -> Picture:
        from omnidet.data.web_images.fetcher import PRIVATE, RefusedError

        address = item.name
        try:
            async with self._fetcher.fetch(address) as content:
                item.source = sources.of_content(address, content, {})
                return await asyncio.to_thread(pictures.read, content, address)
        except RefusedError as error:
            remedy = ": --allow-private allows it" if error.reason == PRIVATE else ""
            raise OSError(f"{address} was not fetched: {error.reason}{remedy}") from error

    def close(self) -> None:
        self._wait(self._held.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
