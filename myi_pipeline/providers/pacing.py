"""One request per interval, across all processes and machines that share the database.

A caller reserves the next free moment in one statement and sleeps until then, so that two never get the same one.
Nothing sleeps longer than LONGEST_SLEEP; longer waits raise RateLimited with their time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from myi_pipeline.errors import RateLimited
from myi_pipeline.postgres.connections import Connection, Pool
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.retries import LONGEST_SLEEP, doubled

log = structlog.get_logger(__name__)

# The wait without Retry-After, for a service that counts requests over some seconds; it grows each time.
_UNTOLD_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
# If the clock was set back by more than this, a stored time is meaningless.
CLOCK_TOLERANCE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class PaceState:
    """A service's row: until when it asked to wait, and how many times in a row."""

    service: str
    blocked_until: datetime | None
    blocks_in_a_row: int


class Pace:
    """The pace of one service. Thread-safe."""

    def __init__(
        self,
        pool: Pool,
        *,
        service: str,
        interval: timedelta,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pool = pool
        self._service = service
        self._interval = interval
        self._clock = clock
        self._sleep = sleep

    def wait(self) -> None:
        """Takes the next free moment and sleeps until then. Raises RateLimited."""
        now = self._clock()
        values = {
            "service": self._service,
            "now": now,
            "interval": self._interval,
            "latest": now + LONGEST_SLEEP,
            "tolerated": now + CLOCK_TOLERANCE + LONGEST_SLEEP,
        }
        with self._pool.connection() as connection:
            row = connection.execute(load_sql("providers/pacing/reserve"), values).fetchone()
        if row is None:
            raise RateLimited(
                f"other processes use all requests that {self._service} allows", retry_at=now + LONGEST_SLEEP
            )
        begins_at, blocked_until = row
        if blocked_until is not None:
            raise RateLimited(
                f"{self._service} asked to wait until {blocked_until:%Y-%m-%d %H:%M:%S} UTC", retry_at=blocked_until
            )
        if begins_at > now:
            self._sleep((begins_at - now).total_seconds())

    def blocked(self, *, retry_after: timedelta | None) -> datetime:
        """The service asked to wait; returns until when all processes do so."""
        now = self._clock()
        with self._pool.connection() as connection, connection.transaction():
            values = {"service": self._service, "now": now}
            row = connection.execute(load_sql("providers/pacing/count_block"), values).fetchone()
            assert row is not None
            known_until, in_a_row = row
            wait = doubled(_UNTOLD_WAIT, times=in_a_row - 1, longest=_LONGEST_WAIT)
            if retry_after is not None:
                # One second more: the header is truncated to whole seconds.
                wait = min(max(retry_after + timedelta(seconds=1), self._interval), _LONGEST_WAIT)
            until: datetime = max(now + wait, known_until) if known_until is not None else now + wait
            connection.execute(
                "update ops.service_paces set blocked_until = %s where service = %s", (until, self._service)
            )
        log.warning("service_asks_to_wait", service=self._service, until=until.isoformat(), in_a_row=in_a_row)
        return until

    def passed(self) -> None:
        """A request was answered: clears an old block."""
        values = {"service": self._service, "now": self._clock()}
        with self._pool.connection() as connection:
            connection.execute(load_sql("providers/pacing/forget_block"), values)


def read_pace(connection: Connection, service: str) -> PaceState | None:
    """None if the service was never asked."""
    query = "select blocked_until, blocks_in_a_row from ops.service_paces where service = %s"
    row = connection.execute(query, (service,)).fetchone()
    return PaceState(service=service, blocked_until=row[0], blocks_in_a_row=row[1]) if row is not None else None
