"""One connection: HTTP/1.1 without doubt about where a request ends, and with patience that ends.

uvicorn and h11 do the work. Added here: time limits for headers, idle connections, leftovers and
answers that nobody takes; refusals in JSON; no request whose length two readers could understand
differently, which is how requests are smuggled past a gateway.
"""

from __future__ import annotations

import asyncio
import http
import itertools
import logging
import sys
from collections import Counter
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from omnidet.serving import answers
from omnidet.serving.config import Patience

HEADER_BYTES = 16 << 10
"""Of all lines of a request's header together."""
_ONCE = (
    b"content-length",
    b"content-type",
    b"content-encoding",
    b"host",
    b"transfer-encoding",
    b"inference-header-content-length",
)

log = logging.getLogger("omnidet.server")


class Idle:
    """Connections that keep the server waiting, those that have done so longest first."""

    def __init__(self) -> None:
        self.connections: dict[Connection, None] = {}
        """Without a request under way."""
        self.sending: dict[Connection, None] = {}
        """With a body that has not arrived as a whole."""

    def longest(self, newest: Connection) -> Connection:
        """Whose place a new one gets: that of an idle one, or else of one whose body is slow."""
        others = (each for each in self.connections if each is not newest)
        slow = (each for each in self.sending if each.conn.their_state is h11.SEND_BODY)
        return next(itertools.chain(others, slow, (newest,)))

    def remove(self, connection: Connection) -> None:
        """It waits no more."""
        self.connections.pop(connection, None)
        self.sending.pop(connection, None)


class Connection(H11Protocol):
    """A client's connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        patience: Patience,
        idle: Idle,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: h11.Connection = _Strict(h11.SERVER, HEADER_BYTES)
        self._patience, self._idle = patience, idle
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle.connections[self] = None
        self._set("header", self._patience.header_seconds, self._header_is_late)
        if len(self.connections) > self._patience.max_connections:
            oldest = self._idle.longest(self)
            oldest.transport.abort()
            self._idle.remove(oldest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.remove(self)
        for name in list(self._timers):
            self._unset(name)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE:
            # One time for the whole header, however often a byte of it comes.
            self._set("header", self._patience.header_seconds, self._header_is_late, again=False)
        else:
            self._unset("header")
            self._idle.connections.pop(self, None)
            if self.conn.their_state is h11.SEND_BODY:
                self._idle.sending.setdefault(self)
            else:
                self._idle.sending.pop(self, None)

    def handle_events(self) -> None:
        """As uvicorn does it, and no client's bytes may raise anything."""
        try:
            super().handle_events()
        except h11.LocalProtocolError:
            self.transport.close()

    def on_response_complete(self) -> None:
        unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()
        if unread:
            # Closing at once would reset the connection before the client has read the answer.
            self._set("linger", self._patience.linger_seconds, self.transport.close)
        elif self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._unset("linger")
            self._idle.connections[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set("write", self._patience.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unset("write")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what is not HTTP. Called while the error is handled."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", 400)
        self._refuse(status, f"the request is not valid HTTP: {error}")

    def _header_is_late(self) -> None:
        if self.conn.trailing_data[0]:
            seconds = self._patience.header_seconds
            self._refuse(408, f"the header did not arrive within {seconds:g} seconds")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close, or only close if an answer has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = answers.error(message)
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            reason = http.HTTPStatus(status).phrase.encode()
            for event in (
                h11.Response(status_code=status, headers=headers, reason=reason),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
            log.info("refused: %d %s", status, answers.line(message))
        self.transport.close()

    def _should_upgrade(self) -> bool:
        return False  # there is nothing to upgrade to, and no warning to write for each who asks

    def _set(self, name: str, seconds: float, action: Any, *, again: bool = True) -> None:
        if again:
            self._unset(name)
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(seconds, action)

    def _unset(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


class _Strict(h11.Connection):
    """Refuses requests that another reader could cut elsewhere."""

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            try:
                _require_plain(event)
            except h11.RemoteProtocolError:
                self._process_error(self.their_role)
                raise
        return event


def _require_plain(request: h11.Request) -> None:
    """Raise RemoteProtocolError for a header that is too long or can be read in two ways."""
    size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
    if size > HEADER_BYTES:
        _refuse(f"the header has more than {HEADER_BYTES} bytes", 431)
    if request.http_version not in (b"1.0", b"1.1"):
        _refuse("its version is neither 1.0 nor 1.1", 505)
    counts = Counter(name for name, _ in request.headers)
    twice = next((name for name in _ONCE if counts[name] > 1), None)
    if twice:
        _refuse(f"{twice.decode()} is given twice")
    if counts[b"transfer-encoding"]:
        if counts[b"content-length"]:
            _refuse("both content-length and transfer-encoding are given")
        if request.http_version < b"1.1":
            _refuse("transfer-encoding is given in HTTP/1.0")


def _refuse(message: str, status: int = 400) -> None:
    raise h11.RemoteProtocolError(message, error_status_hint=status)
