"""Months in a row, for charts, and which gaps touch a span of days.

Belongs here: arithmetic that several pages share. Not here: reading. Invariant: a month without a play is a row with
zeros, never a hole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from myi_pipeline.api.listing import Row
from myi_pipeline.api.spans import next_month

_NOTHING = {"plays": 0, "counted_plays": 0, "ms_played": 0}


def months_back(day: date, months: int) -> date:
    """The first day of the month that lies so many months before that of `day`."""
    number = day.year * 12 + day.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def every_month(heard: Iterable[Mapping[str, Any]], *, first: date, last: date) -> list[Row]:
    """One row a month from that of `first` to that of `last`; `heard` are rows with starts_on."""
    by_start = {row["starts_on"]: row for row in heard}
    made: list[Row] = []
    month = first.replace(day=1)
    while month <= last:
        made.append({"starts_on": month, **_NOTHING, **by_start.get(month, {})})
        month = next_month(month)
    return made


def gaps_within(gaps: Iterable[Mapping[str, Any]], *, first: date, last: date, zone: ZoneInfo) -> list[Row]:
    """The gaps that touch any of these days, each with its first and last day within them."""
    found = []
    for gap in gaps:
        begins = gap["gap_start"].astimezone(zone).date()
        ends = last if gap["gap_end"] is None else gap["gap_end"].astimezone(zone).date()
        if begins <= last and ends >= first:
            found.append({**gap, "first_day": max(begins, first), "last_day": min(ends, last)})
    return found
