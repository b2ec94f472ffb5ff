"""Closing a connection so that the last answer arrives.

A socket that is closed with unread bytes resets the connection, and the reset takes away an answer that the other side
has not read yet: it reports a broken connection instead of the refusal. So the answer is followed by the end of our
side, and what still comes is read and thrown away, within a bounded number of bytes, seconds and connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LingerLimits:
    """`quiet_s`: without a byte. A client that sends for longer than `seconds` is reset after all."""

    seconds: float = 30.0
    quiet_s: float = 5.0
    bytes: int = 256 * 1024 * 1024
    connections: int = 64


class LingeringConnections:
    """Those of one process."""

    def __init__(self, limits: LingerLimits) -> None:
        self.limits = limits
        self._taken: set[LingeringTransport] = set()

    def admit(self, transport: LingeringTransport) -> bool:
        if len(self._taken) >= self.limits.connections:
            return False
        self._taken.add(transport)
        return True

    def leave(self, transport: LingeringTransport) -> None:
        self._taken.discard(transport)


class LingeringTransport:
    """An asyncio transport whose `close()` lets the other side finish where `is_still_sent_to()` says so."""

    def __init__(
        self, transport: asyncio.Transport, kept: LingeringConnections, is_still_sent_to: Callable[[], bool]
    ) -> None:
        self.plain = transport
        self.is_lingering = False
        self._kept, self._limits = kept, kept.limits
        self._is_still_sent_to = is_still_sent_to
        self._left_bytes = self._limits.bytes
        self._last_timer: asyncio.TimerHandle | None = None
        self._quiet_timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def is_closing(self) -> bool:
        return self.is_lingering or self.plain.is_closing()

    def close(self) -> None:
        if self.is_lingering:
            return
        if self.plain.is_closing() or not self._is_still_sent_to() or not self._kept.admit(self):
            self.plain.close()
            return
        self.is_lingering = True
        if self.plain.can_write_eof():
            self.plain.write_eof()
        self.plain.resume_reading()
        self._last_timer = asyncio.get_running_loop().call_later(self._limits.seconds, self.end)
        self._start_quiet_timer()

    def discard(self, data: bytes) -> None:
        """What came while lingering."""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self.end()
        else:
            self._start_quiet_timer()

    def end(self) -> None:
        """Close now, if it lingers."""
        if self.is_lingering:
            self.plain.abort()

    def lost(self) -> None:
        """The connection is gone."""
        self._kept.leave(self)
        for timer in (self._last_timer, self._quiet_timer):
            if timer is not None:
                timer.cancel()

    def _start_quiet_timer(self) -> None:
        if self._quiet_timer is not None:
            self._quiet_timer.cancel()
        self._quiet_timer = asyncio.get_running_loop().call_later(self._limits.quiet_s, self.end)
