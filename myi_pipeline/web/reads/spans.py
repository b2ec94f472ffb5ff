"""Spans of days, periods and time zones: arithmetic without a database.

Invariant: the parts of a range hold each of its days exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

# The first moments and days that Python and Postgres both know, and the last that leave room for a zone.
FIRST_DAY, LAST_DAY = date(1, 1, 2), date(9999, 12, 30)
BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
END = datetime(9999, 12, 30, tzinfo=UTC)
# The first day of the period `all`, as the marts have it.
START_OF_ALL = date(1970, 1, 1)


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> ZoneInfo:
    """The zone. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be an IANA time zone, such as Europe/Berlin") from None


def today_in(time_zone: str) -> date:
    return datetime.now(zone_of(time_zone)).date()


class Period(StrEnum):
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    ALL = "all"


def period_start(period: Period, day: date) -> date:
    """The first day of the period that holds `day`; weeks are ISO weeks."""
    match period:
        case Period.WEEK:
            return day - timedelta(days=day.weekday())
        case Period.MONTH:
            return day.replace(day=1)
        case Period.YEAR:
            return day.replace(month=1, day=1)
        case Period.ALL:
            return START_OF_ALL


def next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def last_day_of(period: Period, start: date) -> date:
    """The last day of the period that begins on `start`; `all` has none before LAST_DAY."""
    match period:
        case Period.WEEK:
            return start + timedelta(days=6)
        case Period.MONTH:
            return next_month(start) - timedelta(days=1)
        case Period.YEAR:
            return start.replace(month=12, day=31)
        case Period.ALL:
            return LAST_DAY


@dataclass(frozen=True)
class RangeParts:
    """A range of days as whole years (their first days) and what is left over (first day, last day)."""

    years: tuple[date, ...]
    days: tuple[tuple[date, date], ...]


def parts_of(first: date, last: date) -> RangeParts:
    """The years that lie wholly in the range, both ends included, and at most two spans of days beside."""
    years = tuple(
        date(year, 1, 1)
        for year in range(first.year, last.year + 1)
        if first <= date(year, 1, 1) and date(year, 12, 31) <= last
    )
    if not years:
        return RangeParts((), ((first, last),) if first <= last else ())
    before, after = years[0] - timedelta(days=1), date(years[-1].year, 12, 31) + timedelta(days=1)
    return RangeParts(years, tuple(span for span in ((first, before), (after, last)) if span[0] <= span[1]))


def moment(value: date | datetime, zone: ZoneInfo, *, is_end: bool = False) -> datetime:
    """An instant as it is; a day as the instant at which it begins in the zone, or at which the next one does."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=zone)
    day = value + timedelta(days=1) if is_end else value
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
