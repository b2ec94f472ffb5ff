"""YouTube's daily quota: what a request costs, when the day ends, and how long a migration takes.

Source: developers.google.com/youtube/v3/determine_quota_cost, November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

READ_UNITS, WRITE_UNITS = 1, 50
# Reserved each day for reading lists before and after, and for collecting playlists.
UNITS_FOR_READING = 500
_PACIFIC = ZoneInfo("America/Los_Angeles")
# A longer plan is useless.
_MOST_DAYS = 3_650


class Kind(StrEnum):
    """What is counted: searches have a separate quota."""

    UNITS = "units"
    SEARCHES = "searches"


def cost(method: str, path: str) -> tuple[Kind, int]:
    """What a request costs, whether or not it succeeds."""
    if path == "/search":
        return Kind.SEARCHES, 1
    return Kind.UNITS, READ_UNITS if method == "GET" else WRITE_UNITS


def pacific_day(now: datetime) -> date:
    return now.astimezone(_PACIFIC).date()


def next_reset(now: datetime) -> datetime:
    """The midnight, Pacific time, at which today's quota ends; in UTC."""
    return _begins(pacific_day(now) + timedelta(days=1))


def _begins(day: date) -> datetime:
    return datetime.combine(day, time(), _PACIFIC).astimezone(UTC)


@dataclass(frozen=True)
class PlannedDay:
    """The share of one YouTube day."""

    day: date
    searches: int
    writes: int


@dataclass(frozen=True)
class MigrationPlan:
    """A migration's days. `ends_by` is the end of the last one, by which it is done if nothing else uses the quota."""

    days: tuple[PlannedDay, ...]
    ends_by: datetime

    def sentence(self, *, login_ends_at: datetime | None = None) -> str:
        """A sentence for people, with a warning if the login ends earlier."""
        count = len(self.days)
        took = "done today" if count == 1 else f"takes {count} days"
        text = f"{took}, until {self.ends_by:%Y-%m-%d %H:%M} UTC at the latest"
        if login_ends_at is not None and login_ends_at < self.ends_by:
            text += f"; the login ends earlier, on {login_ends_at:%Y-%m-%d}: sign in again then"
        return text


def plan_migration(
    *,
    searches: int,
    writes: int,
    now: datetime,
    units_a_day: int,
    searches_a_day: int,
    units_used: int = 0,
    searches_used: int = 0,
) -> MigrationPlan:
    """How the quota is spent by day: tracks are searched first, and added from the day on which the last one is found.

    `writes` are the tracks to add, plus one for a new list. Raises ValueError if a day's quota is too small for any.
    """
    writes_a_day = max(units_a_day - UNITS_FOR_READING, 0) // WRITE_UNITS
    if (searches and not searches_a_day) or (writes and not writes_a_day):
        raise ValueError("a day's quota is too small for anything that is needed")
    day, days = pacific_day(now), list[PlannedDay]()
    left_searches = max(searches_a_day - searches_used, 0)
    left_writes = min(writes_a_day, max(units_a_day - units_used, 0) // WRITE_UNITS)
    while searches > 0 or writes > 0 or not days:
        searched = min(searches, left_searches)
        searches -= searched
        written = min(writes, left_writes) if searches == 0 else 0
        writes -= written
        days.append(PlannedDay(day, searched, written))
        if len(days) > _MOST_DAYS:
            raise ValueError("the plan would take more than ten years")
        day, left_searches, left_writes = day + timedelta(days=1), searches_a_day, writes_a_day
    return MigrationPlan(tuple(days), _begins(day))
