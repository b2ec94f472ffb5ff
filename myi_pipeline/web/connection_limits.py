"""What one connection may cost before a request reaches the application, and how many connections there may be.

A client that sends slowly, or nothing, loses the connection. Where there are too many connections, an idle one of the
address that has most is closed for the new one, so that idle connections lock nobody out. uvicorn's own limits do
not do this: `h11_max_incomplete_event_size` means nothing to httptools, nothing ends a connection before its first
request, and `limit_concurrency` counts idle connections and then refuses everybody.
"""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Protocol, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from myi_pipeline.web.lingering_close import LingeringConnections, LingeringTransport, LingerLimits
from myi_pipeline.web.security.client_address import visitor_address

# Files that a process needs beside its connections: the database's, modules, logs.
_OTHER_FILES = 256
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """A body must bring `body_bytes` in every `window_s`, and a reader take something within it."""

    head_bytes: int = 32 * 1024
    head_s: float = 10.0
    body_bytes: int = 16 * 1024
    window_s: float = 30.0
    per_address: int = 100
    total: int = 1_000
    uncapped: tuple[IPv4Network | IPv6Network, ...] = ()
    linger: LingerLimits = field(default_factory=LingerLimits)


class _Connection(Protocol):
    transport: asyncio.Transport

    def rank(self) -> tuple[bool, float] | None:
        """Which goes first when one has to; None while a request is under way."""


class Connections:
    """The open connections of one process, by address; shared by all its listeners."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.lingering = LingeringConnections(limits.linger)
        self._addresses: dict[_Connection, str | None] = {}
        self._of_address: dict[str, set[_Connection]] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def admit(self, connection: _Connection, host: str) -> HTTPStatus | None:
        """Count the connection, closing an idle one if need be; or why it is not taken."""
        address = None if self._is_uncapped(host) else visitor_address(host)
        mine = self._of_address.get(address, set()) if address is not None else set()
        if len(mine) >= self.limits.per_address and not self._drop_one(mine):
            return HTTPStatus.TOO_MANY_REQUESTS
        if len(self._addresses) >= self.limits.total and not self._drop_one(set(self._addresses)):
            return HTTPStatus.SERVICE_UNAVAILABLE
        self._addresses[connection] = address
        if address is not None:
            self._of_address.setdefault(address, set()).add(connection)
        return None

    def leave(self, connection: _Connection) -> None:
        address = self._addresses.pop(connection, None)
        if address is not None:
            mine = self._of_address[address]
            mine.discard(connection)
            if not mine:
                del self._of_address[address]

    def _held_with(self, connection: _Connection) -> int:
        """How many its address has: somebody who has just come, and asks in a moment, has few. Of a proxy, none."""
        address = self._addresses[connection]
        return len(self._of_address[address]) if address is not None else 0

    def _is_uncapped(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.limits.uncapped)

    def _drop_one(self, among: set[_Connection]) -> bool:
        ranked = [(-self._held_with(each), rank, id(each), each) for each in among if (rank := each.rank()) is not None]
        if not ranked:
            return False
        *_, victim = min(ranked)
        self.leave(victim)
        victim.transport.abort()
        return True


class LimitedHttp(HttpToolsProtocol):
    """uvicorn's protocol with limits. Its callbacks come from the parser, some while `data_received` runs."""

    def __init__(self, *arguments: Any, kept: Connections, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._kept = kept
        self._limits = kept.limits
        self._refusal = HTTPStatus.BAD_REQUEST
        self._linger: LingeringTransport | None = None
        self._has_refused = False
        self._awaits_head, self._has_begun, self._has_served = True, False, False
        # Bytes: received while a head is awaited; of the fields of this request; since the body last brought something.
        self._waiting_bytes = self._field_bytes = self._quiet_bytes = 0
        self._window_bytes = 0
        self._idle_since = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None

    def rank(self) -> tuple[bool, float] | None:
        if self._linger is not None and self._linger.is_lingering:
            return (False, 0.0)
        is_busy = self.cycle is not None and not self.cycle.response_complete
        return None if is_busy else (self._has_served, self._idle_since)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._linger = LingeringTransport(transport, self._kept.lingering, self._is_still_sent_to)
        super().connection_made(cast(asyncio.Transport, self._linger))
        refusal = self._kept.admit(self, self.client[0] if self.client else "")
        if refusal is not None:
            self._refuse(refusal)
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._kept.leave(self)
        self._stop_timers()
        if self._linger is not None:
            self._linger.lost()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        if self._linger is not None:
            self._linger.end()

    def data_received(self, data: bytes) -> None:
        if self._linger is not None and self._linger.is_lingering:
            self._linger.discard(data)
            return
        if self._awaits_head:
            self._waiting_bytes += len(data)
            self._start_head_timer()
        else:
            self._quiet_bytes += len(data)
            self._window_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._awaits_head:
            if self._has_begun:
                self._start_head_timer()
            if self._waiting_bytes > self._limits.head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._quiet_bytes > self._limits.head_bytes:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def on_message_begin(self) -> None:
        self._has_begun, self._field_bytes = True, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_field(len(url), HTTPStatus.REQUEST_URI_TOO_LONG)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_field(len(name) + len(value) + 4, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        # A trailer comes after the application has judged the head, which it must not change.
        if self._awaits_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        hosts = [value.lower() for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise ValueError("not one Host header")
        # The form for proxies names the host as well, and goes before the header (RFC 9112, 3.2.2).
        named = _ABSOLUTE.match(self.url)
        if named is not None and [named[1].lower()] != hosts:
            raise ValueError("the target and the Host header differ")
        self._awaits_head, self._has_begun = False, False
        self._waiting_bytes = self._quiet_bytes = self._window_bytes = 0
        self._stop(self._head_timer)
        self._head_timer = None
        self._start_body_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._quiet_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._awaits_head, self._waiting_bytes = True, 0
        self._stop(self._body_timer)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._has_served, self._idle_since = True, self.loop.time()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        # From here on the connection is the other protocol's, which counts it again.
        self._kept.leave(self)
        self._stop_timers()
        if self._linger is not None:
            self.transport = self._linger.plain
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stop(self._reader_timer)
        self._reader_timer = self.loop.call_later(self._limits.window_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop(self._reader_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    def _count_field(self, length: int, refusal: HTTPStatus) -> None:
        self._field_bytes += length
        if self._field_bytes > self._limits.head_bytes:
            self._refusal = refusal
            raise ValueError("the head is too long")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, partial(_close_what_is_not_read, app, cycle))

    def _is_still_sent_to(self) -> bool:
        """Whether an answer was given to somebody who has not said everything yet."""
        is_answered = self.cycle is not None and self.cycle.response_complete
        return self._has_refused or (is_answered and not self._awaits_head)

    def _refuse(self, status: HTTPStatus) -> None:
        """Say so where nothing else is being said, and close."""
        self._stop_timers()
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.abort()
                return
            # Whatever the application would still say has no place after this.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._has_refused = True
        text = status.phrase.encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, text, len(text), text)
        )
        self.transport.close()

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._limits.head_s, self._end_head)

    def _end_head(self) -> None:
        self._head_timer = None
        if self.flow.read_paused:
            # The rest waits until an earlier request is answered.
            self._start_head_timer()
        elif self._has_begun or self._waiting_bytes:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            # Browsers open connections ahead of need, and would take an answer for that of their next request.
            self.transport.close()

    def _start_body_timer(self) -> None:
        self._stop(self._body_timer)
        self._body_timer = self.loop.call_later(self._limits.window_s, self._look_at_body)

    def _look_at_body(self) -> None:
        is_our_turn = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if not is_our_turn and self._window_bytes < self._limits.body_bytes:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            return
        self._window_bytes = 0
        self._start_body_timer()

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._body_timer, self._reader_timer):
            self._stop(timer)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


async def _close_what_is_not_read(
    app: ASGIApp, cycle: RequestResponseCycle, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run the app. An answer that it begins before the body is there is the last one of its connection: the rest, which
    may be a gigabyte, is not waited for."""

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start" and cycle.more_body:
            cycle.keep_alive = False
        await send(message)

    await app(scope, receive, telling)


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol, counted among the connections."""

    def __init__(self, *arguments: Any, kept: Connections, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._kept = kept

    def rank(self) -> None:
        return None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # It was one a moment ago: there is room.
        self._kept.admit(self, self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        self._kept.leave(self)
        super().connection_lost(exc)


def keep_connections(limits: ConnectionLimits) -> Connections:
    """For all listeners of this process, which may open as many files as the limits need, as far as the system lets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.total + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        limits = ConnectionLimits(**{**vars(limits), "total": max(16, min(limits.total, soft - _OTHER_FILES))})
    return Connections(limits)


def server_config(
    app: Any, kept: Connections, *, host: str, port: int, grace_s: int, has_websockets: bool = False
) -> uvicorn.Config:
    """uvicorn's settings for a server of ours: it logs no address and believes no header."""
    http: Callable[..., Any] = partial(LimitedHttp, kept=kept)
    websocket: Callable[..., Any] = partial(LimitedWebSocket, kept=kept)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=http,  # type: ignore[arg-type]
        ws=websocket if has_websockets else "none",  # type: ignore[arg-type]
        ws_max_size=1024 * 1024,
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=grace_s,
    )
