"""The bodies of requests: read before anything else is spent on a request, under limits of time,
rate and memory of their own.

A client that sends a byte now and then holds a socket and its few bytes, for `body_window_seconds`
at most, and no place that another one needs.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request

from omnidet.serving.config import Patience


@dataclass(eq=False)
class _Arriving:
    """A body that is on its way."""

    timer: asyncio.Timeout
    end: float
    """On the loop's clock: when it is given up at the latest."""
    size: int = 0
    gave_way: bool = False


class Bodies:
    """All bodies that the server holds."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._arriving: dict[_Arriving, None] = {}
        """Oldest first."""
        self._held = 0
        self._stops_at = math.inf

    @asynccontextmanager
    async def held(self, request: Request, most: int) -> AsyncIterator[bytes]:
        """The body of a request, which counts as held during the block.

        Raises HTTPException if it is too large (413), too slow (408), encoded (415), or one too
        many (503).
        """
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", ""):
            raise HTTPException(
                415, f"content encoding {coding[:40]!r} is not supported: send the body as it is"
            )
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise _too_large(most)
        end = asyncio.get_running_loop().time() + self._patience.body_seconds
        end = min(end, self._stops_at)
        own = _Arriving(asyncio.timeout_at(end), end)
        try:
            yield await self._read(request, most, own)
        finally:
            self._held -= own.size

    async def _read(self, request: Request, most: int, own: _Arriving) -> bytes:
        patience, parts, in_window = self._patience, [], 0
        try:
            async with own.timer:
                self._arriving[own] = None
                self._wait(own)
                async for part in request.stream():
                    parts.append(part)
                    own.size += len(part)
                    self._held += len(part)
                    if own.size > most:
                        raise _too_large(most)
                    in_window += len(part)
                    if in_window >= patience.body_window_bytes:
                        in_window = 0
                        self._wait(own)
                    self._make_room()
        except TimeoutError:
            if own.gave_way:
                raise HTTPException(
                    503, "too many large requests at once: try again", {"Retry-After": "1"}
                ) from None
            raise HTTPException(
                408,
                f"the request did not arrive in time: send {patience.body_window_bytes} bytes "
                f"each {patience.body_window_seconds:g} seconds, and all within "
                f"{patience.body_seconds:g}",
            ) from None
        finally:
            self._arriving.pop(own, None)
        return b"".join(parts)

    def _wait(self, own: _Arriving) -> None:
        """Give a body another window."""
        now = asyncio.get_running_loop().time()
        if not own.gave_way:
            own.timer.reschedule(min(own.end, now + self._patience.body_window_seconds))

    def _make_room(self) -> None:
        """Let the oldest body that is still arriving give way if too much is held: at a fair rate
        it would have arrived.
        """
        if self._held <= self._patience.max_body_bytes:
            return
        oldest = next((one for one in self._arriving if not one.gave_way), None)
        if oldest is not None:
            oldest.gave_way = True
            oldest.timer.reschedule(asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Give bodies that are still arriving a few seconds more."""
        self._stops_at = asyncio.get_running_loop().time() + self._patience.stop_body_seconds
        for own in self._arriving:
            own.end = min(own.end, self._stops_at)
            own.timer.reschedule(min(own.end, own.timer.when() or own.end))


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"the request is larger than {most} bytes: send a smaller image")
