"""The governor, which every request to the Web API passes first.

Nothing sleeps longer than LONGEST_SLEEP in total; longer waits raise RateLimited with their time; a block of one client
or bucket does not affect others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from myi_pipeline.errors import RateLimited
from myi_pipeline.postgres.connections import Connection, Pool
from myi_pipeline.providers import quota_ledger
from myi_pipeline.providers.quota_ledger import read_quotas
from myi_pipeline.providers.quota_rules import (
    NOW_PLAYING_CALLS_A_DAY,
    Bucket,
    Means,
    QuotaLimits,
    allowance,
    is_blocked,
)
from myi_pipeline.providers.retries import LONGEST_SLEEP
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)


def do_not_wait_for_disk(connection: Connection) -> None:
    """For the quota ledger's connections: a server crash may lose the last moments, which costs less than waiting for
    the disk at every request.
    """
    connection.execute("set synchronous_commit = off")


def quota_limits(settings: Settings) -> QuotaLimits:
    return QuotaLimits(
        requests_per_minute=settings.spotify_requests_per_minute,
        calls_per_day=settings.spotify_calls_per_day,
        catalogue_calls_per_day=settings.spotify_catalogue_calls_per_day,
    )


class Governor:
    """One client id's gate (providers.transport.Gate). Thread-safe."""

    def __init__(
        self,
        pool: Pool,
        *,
        client_id: str,
        limits: QuotaLimits,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        service: str = "spotify",
    ) -> None:
        self._pool = pool
        self._service = service
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
            with self._pool.connection() as connection:
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
        """The service answered 429; returns until when this bucket is blocked."""
        with self._pool.connection() as connection:
            block = quota_ledger.block(
                connection,
                self._client_id,
                bucket,
                limits=self._limits,
                retry_after=retry_after,
                quota_exceeded=quota_exceeded,
                now=self._clock(),
            )
        log.warning(
            f"{self._service}_asks_to_wait",
            client_id=self._client_id,
            bucket=bucket.value,
            until=block.blocked_until.isoformat(),
            quota_exceeded=quota_exceeded,
            in_a_row=block.in_a_row,
        )
        return block.blocked_until

    def passed(self, bucket: Bucket) -> None:
        """A request succeeded: clears an old block. Costs nothing if there was none."""
        if bucket in self._was_blocked:
            self._was_blocked.discard(bucket)
            with self._pool.connection() as connection:
                quota_ledger.unblock(connection, self._client_id, bucket, now=self._clock())


@dataclass(frozen=True, kw_only=True)
class BucketUse:
    """One bucket of one client id.

    A daily limit of None means that only the minute's limit applies; the pace plans with that of polls.
    """

    client_id: str
    bucket: str
    calls_of_minute: int
    limit_of_minute: int
    calls_of_day: int
    limit_of_day: int | None
    blocked_until: datetime | None
    blocks_in_a_row: int


# YouTube's daily units are the real limit: this only keeps bursts short.
_YOUTUBE_REQUESTS_A_MINUTE = 300


def service_limits(settings: Settings) -> dict[str, QuotaLimits]:
    """The limits of services other than Spotify, by client id; they have no daily limit here."""
    a_minute = {
        Service.LASTFM.client_id: settings.lastfm_requests_per_minute,
        Service.LISTENBRAINZ.client_id: settings.listenbrainz_requests_per_minute,
        tidal_client(settings): settings.tidal_requests_per_minute,
        youtube_client(settings): _YOUTUBE_REQUESTS_A_MINUTE,
    }
    return {client_id: QuotaLimits(requests_per_minute=most) for client_id, most in a_minute.items()}


def tidal_client(settings: Settings) -> str:
    """The quota's client id for requests to TIDAL; its dot keeps it apart from Spotify's."""
    return f"tidal.com/{settings.tidal_client_id}"


def youtube_client(settings: Settings) -> str:
    return f"youtube.com/{settings.youtube_client_id}"


def show_quota(
    connection: Connection,
    *,
    limits: QuotaLimits,
    of_services: Mapping[str, QuotaLimits] | None = None,
    now: datetime,
) -> tuple[BucketUse, ...]:
    """Every bucket of every client id that was ever used; services in `of_services` have a single bucket.

    `calls_of_minute` is per bucket, `limit` for all buckets together.
    """
    of_services = of_services or {}
    return tuple(
        BucketUse(
            client_id=quota.client_id,
            bucket=bucket.value,
            calls_of_minute=quota.minute.get(bucket, 0),
            limit_of_minute=allowance(of_services.get(quota.client_id, limits), bucket),
            calls_of_day=quota.day.get(bucket, 0),
            limit_of_day=_limit_of_day(bucket, limits, quota.means),
            blocked_until=block.blocked_until if block is not None and is_blocked(block, now) else None,
            blocks_in_a_row=block.in_a_row if block is not None else 0,
        )
        for quota in read_quotas(connection, limits=limits, now=now)
        for bucket in ([Bucket.PERSONAL] if quota.client_id in of_services else Bucket)
        for block in (quota.blocks.get(bucket),)
    )


def _limit_of_day(bucket: Bucket, limits: QuotaLimits, means: Means) -> int | None:
    if bucket is Bucket.CATALOGUE:
        return limits.catalogue_calls_per_day
    if bucket is Bucket.NOW_PLAYING:
        return NOW_PLAYING_CALLS_A_DAY
    return round(means.polls_a_day) if bucket is Bucket.POLLS else None
