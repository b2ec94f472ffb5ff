"""Spans of days and periods: what a request asks for, as dates.

Belongs here: arithmetic of dates and zones. Not here: SQL, HTTP. Invariant: the parts of a range hold each of its days
exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

# The first moments and days that Python and Postgres both know, and the last that leave room for a zone.
FIRST_DAY, LAST_DAY = date(1, 1, 2), date(9999, 12, 30)
BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
END = datetime(9999, 12, 30, tzinfo=UTC)
# The first day of the period `all`, as the marts have it.
START_OF_ALL = date(1970, 1, 1)


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
    """A range of days as whole periods (period, first day) and what is left over (first day, last day)."""

    periods: tuple[tuple[Period, date], ...]
    days: tuple[tuple[date, date], ...]


def parts_of(first: date, last: date) -> RangeParts:
    """The years and months that lie wholly in the range, both ends included, and at most two spans of days beside."""
    periods: list[tuple[Period, date]] = []
    days: list[tuple[date, date]] = []
    at = first
    while at <= last:
        year_end, month_end = last_day_of(Period.YEAR, at), last_day_of(Period.MONTH, at)
        if at.month == 1 and at.day == 1 and year_end <= last:
            periods.append((Period.YEAR, at))
            end = year_end
        elif at.day == 1 and month_end <= last:
            periods.append((Period.MONTH, at))
            end = month_end
        else:
            end = min(month_end, last)
            days.append((at, end))
        at = end + timedelta(days=1)
    return RangeParts(tuple(periods), tuple(days))


def moment(value: date | datetime, zone: ZoneInfo, *, is_end: bool = False) -> datetime:
    """An instant as it is; a day as the instant at which it begins in the zone, or at which the next one does."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=zone)
    day = value + timedelta(days=1) if is_end else value
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
