"""How numbers, durations and times read on a page: the filters of the templates.

Invariant: a figure that is not known is never shown as zero.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

UNKNOWN = "–"
_MS_OF_MINUTE = 60_000
_MINUTES_OF_HOUR = 60
# From here on minutes are noise.
_ONLY_HOURS_FROM = 100


def count(value: int | None) -> str:
    """12345 as `12,345`."""
    return UNKNOWN if value is None else f"{value:,}"


def counted(value: int | None, one: str, many: str | None = None) -> str:
    """`1 play`, `12,345 plays`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def heard(ms: int | None) -> str:
    """Milliseconds as `48 s`, `32 min`, `3 h 20 min`, `1,204 h`."""
    if ms is None:
        return UNKNOWN
    if ms < _MS_OF_MINUTE:
        return f"{ms // 1000} s"
    minutes = round(ms / _MS_OF_MINUTE)
    hours, rest = divmod(minutes, _MINUTES_OF_HOUR)
    if hours == 0:
        return f"{minutes} min"
    return f"{hours:,} h" if hours >= _ONLY_HOURS_FROM or rest == 0 else f"{hours} h {rest} min"


def hours(ms: int | None) -> str:
    """Milliseconds as hours with one decimal below ten: for axes and large figures."""
    if ms is None:
        return UNKNOWN
    value = ms / _MS_OF_MINUTE / _MINUTES_OF_HOUR
    return f"{value:,.1f}" if 0 < value < 10 else f"{value:,.0f}"


def track_length(ms: int | None) -> str:
    """A track's length as `3:54`."""
    if ms is None:
        return UNKNOWN
    seconds = round(ms / 1000)
    return f"{seconds // 60}:{seconds % 60:02}"


def day(value: date | None) -> str:
    """`9 March 2024`."""
    return UNKNOWN if value is None else f"{value.day} {value:%B %Y}"


def weekday(value: date) -> str:
    """`Saturday`."""
    return f"{value:%A}"


def month(value: date) -> str:
    """`March 2024`."""
    return f"{value:%B %Y}"


def days(first: date, last: date) -> str:
    """`3–9 March 2024`, `28 March – 3 April 2024`, `30 December 2024 – 5 January 2025`."""
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day(last)}"
    return f"{day(first) if first.year != last.year else f'{first.day} {first:%B}'} – {day(last)}"


def moment(value: datetime | None, zone: str) -> str:
    """`9 March 2024, 21:14` in the zone."""
    if value is None:
        return UNKNOWN
    there = value.astimezone(ZoneInfo(zone))
    return f"{day(there.date())}, {there:%H:%M}"


def local_day(value: datetime | None, zone: str) -> str:
    """`9 March 2024`: the day of a moment in the zone."""
    return UNKNOWN if value is None else day(value.astimezone(ZoneInfo(zone)).date())


def clock_time(value: datetime | None, zone: str) -> str:
    """`21:14` in the zone."""
    return UNKNOWN if value is None else f"{value.astimezone(ZoneInfo(zone)):%H:%M}"


def share(part: int, whole: int) -> str:
    """A part as per cent; a part that is there is never `0 %`."""
    if whole <= 0:
        return UNKNOWN
    value = 100 * part / whole
    return "under 1 %" if 0 < value < 1 else f"{value:.0f} %"


def initials(name: str | None) -> str:
    """What stands in for a picture: the first letters of at most two words."""
    words = [word for word in (name or "").split() if word[:1].isalnum()]
    # Some letters are two in capitals.
    return "".join(word[0].upper()[0] for word in words[:2]) or "♪"


FILTERS: dict[str, Any] = {
    "count": count,
    "counted": counted,
    "heard": heard,
    "hours": hours,
    "track_length": track_length,
    "day": day,
    "between": lambda span: days(*span),
    "weekday": weekday,
    "month": month,
    "moment": moment,
    "local_day": local_day,
    "clock_time": clock_time,
    "share": share,
    "initials": initials,
}
