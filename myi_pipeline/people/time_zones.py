"""Names of time zones: Python and each Postgres have their own lists."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from difflib import SequenceMatcher
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import psycopg

from myi_pipeline.postgres.connections import Role, Warehouse

# Zones that agree at the beginning and in the middle of each month of these years count as the same clock.
_MOMENTS = tuple(
    datetime(year, month, day, tzinfo=UTC) for year in range(2006, 2038) for month in range(1, 13) for day in (1, 15)
)


def same_clock(zone: str, among: Iterable[str]) -> str | None:
    """The most similar name in `among` whose clock has been the same since 2006; None if there is none."""
    try:
        wanted = _offsets(zone)
    except (KeyError, ValueError, OSError):
        return None
    # A single moment decides for nearly all of them.
    alike = [name for name in among if name != zone and _offsets(name, 1) == wanted[:1]]
    return max(
        (name for name in alike if _offsets(name) == wanted),
        key=lambda name: SequenceMatcher(a=zone, b=name).ratio(),
        default=None,
    )


@cache
def _offsets(zone: str, count: int | None = None) -> tuple[object, ...]:
    clock = ZoneInfo(zone)
    return tuple(moment.astimezone(clock).utcoffset() for moment in _MOMENTS[:count])


def database_name_of(connection: psycopg.Connection[Any], zone: str) -> str | None:
    """A name with the same clock that both this database and Python know; None if there is none."""
    known = {row[0] for row in connection.execute("select name from pg_timezone_names").fetchall()}
    return same_clock(zone, sorted(known & available_timezones()))


def known_zone(warehouse: Warehouse, zone: str) -> tuple[bool, str | None]:
    """Whether the database knows the name, and if not, a known one with the same clock."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi doctor")) as connection:
        found = connection.execute("select ops.knows_time_zone(%s)", (zone,)).fetchone()
        if found is not None and found[0]:
            return True, None
        return False, database_name_of(connection, zone)
