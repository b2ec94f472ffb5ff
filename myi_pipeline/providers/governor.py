"""The governor: every request to the Web API passes here first.

Belongs here: asking the shared ledger, and waiting where waiting is short. Not here: the arithmetic (core/quota), the
state (warehouse/quota_ledger). Invariants: nothing sleeps longer than LONGEST_SLEEP in all; what must wait longer
raises RateLimited with its time; one client's or bucket's block touches no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from myi_pipeline.core.errors import RateLimited
from myi_pipeline.core.quota import Bucket, QuotaLimits
from myi_pipeline.core.retries import LONGEST_SLEEP
from myi_pipeline.services.connection_pool import ConnectionPool
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse import quota_ledger

log = structlog.get_logger(__name__)

# A crash of the server may forget the last moments of the ledger; waiting for the disk at each request would cost more.
WITHOUT_WAITING_FOR_DISK = "set synchronous_commit = off"


def quota_limits(settings: Settings) -> QuotaLimits:
    return QuotaLimits(
        requests_per_minute=settings.spotify_requests_per_minute,
        calls_per_day=settings.spotify_calls_per_day,
        catalogue_calls_per_day=settings.spotify_catalogue_calls_per_day,
    )


class Governor:
    """One client id's gate (spotify.client.Gate). Safe for threads."""

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        client_id: str,
        limits: QuotaLimits,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pool = pool
        self._client_id = client_id
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._was_blocked: set[Bucket] = set()

    def before(self, bucket: Bucket) -> None:
        """Take one request; sleeps up to 30 s for it. Raises RateLimited."""
        left = LONGEST_SLEEP
        while True:
            now = self._clock()
            with self._pool.take() as connection:
                taken = quota_ledger.take(connection, self._client_id, bucket, limits=self._limits, now=now)
            retry_at = taken.decision.retry_at
            if retry_at is None:
                if taken.was_blocked:
                    self._was_blocked.add(bucket)
                return
            wait = max(retry_at - now, timedelta(milliseconds=50))
            if wait > left:
                raise RateLimited(
                    f"{bucket.value} of client id {self._client_id} wait until {retry_at:%Y-%m-%d %H:%M:%S} UTC:"
                    f" {taken.decision.reason}",
                    retry_at=retry_at,
                )
            left -= wait
            self._sleep(wait.total_seconds())

    def blocked(self, bucket: Bucket, *, retry_after: timedelta | None, quota_exceeded: bool) -> datetime:
        """Spotify answered 429; until when this bucket is silent now."""
        with self._pool.take() as connection:
            block = quota_ledger.block(
                connection,
                self._client_id,
                bucket,
                retry_after=retry_after,
                quota_exceeded=quota_exceeded,
                now=self._clock(),
            )
        log.warning(
            "spotify_asks_to_wait",
            client_id=self._client_id,
            bucket=bucket.value,
            until=block.blocked_until.isoformat(),
            quota_exceeded=quota_exceeded,
            in_a_row=block.in_a_row,
        )
        return block.blocked_until

    def passed(self, bucket: Bucket) -> None:
        """A request succeeded: an old block is history. Costs nothing when there was none."""
        if bucket in self._was_blocked:
            self._was_blocked.discard(bucket)
            with self._pool.take() as connection:
                quota_ledger.unblock(connection, self._client_id, bucket, now=self._clock())
