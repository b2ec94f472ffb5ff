"""YouTube's units in the database: what the project has used today, across all processes, and what is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from myi_pipeline.errors import RateLimited
from myi_pipeline.postgres.connections import Connection, Pool
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.governor import youtube_client
from myi_pipeline.providers.transport import Clock
from myi_pipeline.providers.youtube_music.day_quota import Kind, next_reset, pacific_day
from myi_pipeline.settings import Settings


@dataclass(frozen=True, kw_only=True)
class UnitsUse:
    """Usage of YouTube's day, which ends at midnight Pacific time."""

    kind: Kind
    used: int
    limit: int
    day_ends_at: datetime

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


def daily_limits(settings: Settings) -> dict[Kind, int]:
    return {Kind.UNITS: settings.youtube_units_per_day, Kind.SEARCHES: settings.youtube_searches_per_day}


def units_today(connection: Connection, settings: Settings, *, now: datetime) -> tuple[UnitsUse, ...]:
    """Today's usage of each kind; empty if YouTube is not set up."""
    if settings.youtube_client_id is None:
        return ()
    used = _used(connection, client_id=youtube_client(settings), now=now)
    return tuple(
        UnitsUse(kind=kind, used=used.get(kind, 0), limit=limit, day_ends_at=next_reset(now))
        for kind, limit in daily_limits(settings).items()
    )


def _used(connection: Connection, *, client_id: str, now: datetime) -> dict[Kind, int]:
    query = "select kind, used from ops.service_units where client_id = %s and day = %s"
    return {Kind(kind): int(used) for kind, used in connection.execute(query, (client_id, pacific_day(now)))}


class DayUnits:
    """What this client id has left today, across all processes."""

    def __init__(self, pool: Pool, *, client_id: str, most: Mapping[Kind, int], clock: Clock) -> None:
        self._pool = pool
        self._client_id = client_id
        self._most = most
        self._clock = clock

    def take(self, kind: Kind, units: int) -> None:
        """Raises RateLimited until the end of the day if it is used up."""
        now = self._clock()
        values = self._values(kind, now) | {"cost": units}
        with self._pool.connection() as connection:
            row = connection.execute(load_sql("providers/service_units/take"), values).fetchone()
        if row is None:
            raise self._over(kind, now)

    def use_up(self, kind: Kind) -> RateLimited:
        """YouTube reports that the day is used up; nobody asks again before the next one."""
        now = self._clock()
        with self._pool.connection() as connection:
            connection.execute(load_sql("providers/service_units/use_up"), self._values(kind, now))
        return self._over(kind, now)

    def used(self, kind: Kind) -> int:
        """Today's usage."""
        with self._pool.connection() as connection:
            return _used(connection, client_id=self._client_id, now=self._clock()).get(kind, 0)

    def _values(self, kind: Kind, now: datetime) -> dict[str, Any]:
        return {
            "client_id": self._client_id,
            "day": pacific_day(now),
            "kind": kind.value,
            "most": self._most[kind],
        }

    def _over(self, kind: Kind, now: datetime) -> RateLimited:
        reset = next_reset(now)
        return RateLimited(
            f"YouTube's {kind.value} for today are used up; the next day begins at {reset:%Y-%m-%d %H:%M} UTC",
            retry_at=reset,
        )
