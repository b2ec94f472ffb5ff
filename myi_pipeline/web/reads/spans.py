"""Spans of days, periods and time zones: arithmetic without a database.

Invariant: the parts of a range hold each of its days exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
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


class Zones(tzinfo):
    """The clock of a person who moved: each moment has the zone of that time.

    A local time that came twice is the first of the two, with fold=1 the last. One that was left out is the moment
    before the move, with fold=1 one after it: what lies between two local times is never too little.
    """

    def __init__(self, present: str, earlier: tuple[tuple[str, datetime], ...]) -> None:
        """`earlier`: each former zone with the moment at which it ended, in order."""
        self.key = (present, earlier)
        ends = [end for _, end in earlier]
        zones = [zone_of(name) for name in (*(name for name, _ in earlier), present)]
        # Each with its first moment and that after its last.
        self._spans = list(zip(zones, [None, *ends], [*ends, None], strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zones) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def fromutc(self, dt: datetime) -> datetime:
        at = dt.replace(tzinfo=UTC)
        for zone, _, end in self._spans:
            if end is None or at < end:
                there = at.astimezone(zone)
                break
        local = there.replace(tzinfo=self, fold=0)
        return local if local.utcoffset() == there.utcoffset() else local.replace(fold=1)

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else self._clock_of(dt).utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:
        return None if dt is None else self._clock_of(dt).dst()

    def tzname(self, dt: datetime | None) -> str | None:
        return None if dt is None else self._clock_of(dt).tzname()

    def _clock_of(self, dt: datetime) -> datetime:
        """The same local time by the clock of one zone."""
        local = [(dt.replace(tzinfo=zone), begin, end) for zone, begin, end in self._spans]
        fitting = [
            there
            for there, begin, end in local
            if (begin is None or there.astimezone(UTC) >= begin) and (end is None or there.astimezone(UTC) < end)
        ]
        if fitting:
            return fitting[-1 if dt.fold else 0]
        # Left out at a move: the clock behind it shows an earlier moment than the one before it.
        number = max(n for n, (there, _, end) in enumerate(local) if end is not None and there.astimezone(UTC) >= end)
        return local[number + (0 if dt.fold else 1)][0]


@lru_cache(maxsize=1_000)
def zones_of(present: str, earlier: tuple[tuple[str, datetime], ...]) -> tzinfo:
    """The clock of a person: one zone, or several in turn."""
    return Zones(present, earlier) if earlier else zone_of(present)


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


def moment(value: date | datetime, zone: tzinfo, *, is_end: bool = False) -> datetime:
    """An instant as it is; a day as the instant at which it begins in the zone, or at which the next one does."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=zone)
    day = value + timedelta(days=1) if is_end else value
    # A day that a journey brought twice begins with the first of the two and ends with the last.
    fold = 1 if is_end and isinstance(zone, Zones) else 0
    return datetime.combine(day, time(fold=fold), tzinfo=zone).astimezone(UTC)


def months_back(day: date, months: int) -> date:
    """The first day of the month that lies so many months before that of `day`."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)
