"""Days of a year, hours of a week and months in a row, prepared for drawing (templates/parts/grids.html, plots.py)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from myi_pipeline.web.reads.clock import HourRow
from myi_pipeline.web.reads.music import DayRow
from myi_pipeline.web.reads.timeline import BucketRow
from myi_pipeline.web.shown.formats import counted
from myi_pipeline.web.shown.formats import heard as said
from myi_pipeline.web.shown.formats import hour as clock_hour

LEVELS = 4
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOURS = 24


@dataclass(frozen=True)
class Square:
    """`column` and `row` from 0; `label` is its tooltip, `ms` the time heard, `address` the target of a click."""

    column: int
    row: int
    level: int
    label: str
    ms: int
    address: str | None = None


@dataclass(frozen=True)
class Calendar:
    """Weeks as columns, Monday on top. `months`: name and column of each month's first whole week."""

    squares: Sequence[Square]
    months: Sequence[tuple[str, int]]
    weeks: int
    days_heard: int
    days: int


@dataclass(frozen=True)
class WeekClock:
    """Hours as columns, weekdays as rows; `busiest` is None without a play."""

    squares: Sequence[Square]
    busiest: str | None


def levels_of(values: Sequence[int]) -> list[int]:
    """For each value 0, or 1 to LEVELS by quarter of those above 0."""
    heard = sorted(value for value in values if value > 0)
    bounds = [heard[len(heard) * part // LEVELS] for part in range(1, LEVELS)] if heard else []
    return [0 if value <= 0 else 1 + bisect_right(bounds, value) for value in values]


def calendar_of(
    days: Sequence[BucketRow | DayRow], *, first: date, last: date, drawn_to: date | None = None
) -> Calendar:
    """The days from `first` to `last`, with room for weeks up to `drawn_to`; `days` are buckets of a day."""
    by_day = {row.starts_on: row for row in days}
    all_days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    heard = [by_day.get(day) for day in all_days]
    # A day on which all plays have unknown length still counts as heard.
    levels = levels_of([max(1, row.ms_played) if row else 0 for row in heard])
    monday = first - timedelta(days=first.weekday())

    def week(day: date) -> int:
        return (day - monday).days // 7

    squares = [
        Square(
            week(day),
            day.weekday(),
            level,
            _day_label(day, row),
            row.ms_played if row else 0,
            address=f"/history?day={day}" if row else None,
        )
        for day, row, level in zip(all_days, heard, levels, strict=True)
    ]
    mondays = (monday + timedelta(weeks=number) for number in range(week(drawn_to or last) + 1))
    months = [(f"{day:%b}", week(day)) for day in mondays if day.day <= 7 and day >= first]
    return Calendar(squares, months, week(drawn_to or last) + 1, sum(row is not None for row in heard), len(all_days))


def clock_of(rows: Sequence[HourRow]) -> WeekClock:
    by_place = {(row.weekday, row.hour): row for row in rows}
    places = [(weekday, hour) for weekday in range(1, 8) for hour in range(_HOURS)]
    heard = [by_place.get(place) for place in places]
    levels = levels_of([max(1, row.ms_played) if row else 0 for row in heard])
    squares = [
        Square(hour, weekday - 1, level, _hour_label(weekday, hour, row), row.ms_played if row else 0)
        for (weekday, hour), row, level in zip(places, heard, levels, strict=True)
    ]
    most = max(rows, key=lambda row: (row.ms_played, row.plays), default=None)
    return WeekClock(squares, f"{WEEKDAYS[most.weekday - 1]}s at {clock_hour(most.hour)}" if most else None)


def _day_label(day: date, row: BucketRow | DayRow | None) -> str:
    return f"{day:%A}, {day.day} {day:%B %Y}: {_said(row)}"


def _hour_label(weekday: int, hour: int, row: BucketRow | HourRow | None) -> str:
    return f"{WEEKDAYS[weekday - 1]}, {clock_hour(hour)} to {clock_hour(hour + 1)}: {_said(row)}"


def _said(row: BucketRow | DayRow | HourRow | None) -> str:
    return f"{said(row.ms_played)}, {counted(row.plays, 'play')}" if row else "nothing"


@dataclass(frozen=True)
class Segment:
    """A part of a stacked bar; `layer` is the index of its name, None for all others together."""

    layer: int | None
    name: str
    share: float
    y: float
    height: float


@dataclass(frozen=True)
class StackedBar:
    label: str
    x: float
    segments: Sequence[Segment]


@dataclass(frozen=True)
class Stacks:
    """Bars of one height, each divided by shares of a whole; sizes are those of the drawing."""

    width: float
    height: float
    bar_width: float
    bars: Sequence[StackedBar]
    names: Sequence[str]


# Wide enough for a year below each bar.
_STACK_STEP, _STACK_HEIGHT, _STACK_GAP = 56.0, 240.0, 0.22


def stacks_of(columns: Sequence[tuple[str, Mapping[str, float]]], names: Sequence[str]) -> Stacks:
    """A bar for each column, of the shares of `names` from below, and of what is left of the whole above them."""
    bar_width = round(_STACK_STEP * (1 - _STACK_GAP), 1)
    bars = []
    for number, (label, shares) in enumerate(columns):
        parts = [(layer, name, shares[name]) for layer, name in enumerate(names) if shares.get(name)]
        left = 1 - sum(share for *_, share in parts)
        segments, y = [], _STACK_HEIGHT
        for layer, name, share in [*parts, *([(None, "others", left)] if left > 0.0005 else [])]:
            height = share * _STACK_HEIGHT
            y -= height
            segments.append(Segment(layer, name, share, round(y, 1), round(height, 1)))
        bars.append(StackedBar(label, round(number * _STACK_STEP, 1), segments))
    return Stacks(max(1, len(bars)) * _STACK_STEP, _STACK_HEIGHT, bar_width, bars, names)
