"""Sums over spans of days: what was heard today, this month, ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY, Period, last_day_of, period_start
from myi_pipeline.web.reads.sql_files import load_sql

_KINDS = (
    "music_ms_played", "podcast_ms_played", "audiobook_ms_played",
    "music_counted_plays", "podcast_counted_plays", "audiobook_counted_plays",
)  # fmt: skip
# If the first play of a year is later than this, the history itself begins in that year.
_LATE_DAYS = 31
EVERYTHING = ("all", FIRST_DAY, LAST_DAY)


@dataclass(frozen=True)
class SpanRow:
    """`days` are those with any play; `unknown_plays` have no known length and add nothing to `ms_played`."""

    name: str
    first_day: date
    last_day: date
    days: int
    plays: int
    counted_plays: int
    ms_played: int
    unknown_plays: int
    first_heard: date | None
    last_heard: date | None


@dataclass(frozen=True)
class SpanByKindRow(SpanRow):
    """What of the time and of the counted plays was of each kind; the rest is of unknown content."""

    music_ms_played: int
    podcast_ms_played: int
    audiobook_ms_played: int
    music_counted_plays: int
    podcast_counted_plays: int
    audiobook_counted_plays: int

    @property
    def unnamed_ms_played(self) -> int:
        return self.ms_played - self.music_ms_played - self.podcast_ms_played - self.audiobook_ms_played

    @property
    def is_mixed(self) -> bool:
        return bool(self.podcast_ms_played or self.audiobook_ms_played)


@dataclass(frozen=True)
class _HeardSpan:
    first_heard: date | None
    last_heard: date | None


async def sums_of(marts: Marts, *spans: tuple[str, date, date]) -> list[SpanRow]:
    """The sums of each span: its name, first and last day."""
    return await marts.fetch(SpanRow, load_sql("summary"), **_values(spans))


async def sums_by_kind(marts: Marts, *spans: tuple[str, date, date]) -> list[SpanByKindRow]:
    """The same, with music, podcasts and audiobooks apart."""
    return await marts.fetch(SpanByKindRow, load_sql("summary", kinds=_KINDS), **_values(spans))


def _values(spans: Sequence[tuple[str, date, date]]) -> dict[str, Any]:
    names, first_days, last_days = (list(column) for column in zip(*spans, strict=True))
    return {"names": names, "first_days": first_days, "last_days": last_days}


def usual_spans(today: date) -> Sequence[tuple[str, date, date]]:
    """Today, the week, month and year around it, and everything."""
    periods = [(each.value, period_start(each, today)) for each in Period]
    return [("today", today, today), *((name, start, last_day_of(Period(name), start)) for name, start in periods)]


async def heard_span(marts: Marts) -> tuple[date, date] | None:
    """The first and the last day with a play, or None."""
    (found,) = await marts.fetch(_HeardSpan, load_sql("heard_span"))
    if found.first_heard is None or found.last_heard is None:
        return None
    return found.first_heard, found.last_heard


@dataclass(frozen=True)
class Comparison:
    """Comparison with the same days of the previous year:

    `change` in time, in per cent; `is_sure` if no play is missing.
    """

    year: int
    change: int
    is_sure: bool


def same_day_before(day: date) -> date:
    """The same day of the previous year; for a leap day, 28 February."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def is_late(first_heard: date | None, begins: date) -> bool:
    return first_heard is not None and (first_heard - begins).days > _LATE_DAYS


def comparison_of(whole: SpanRow, before: SpanRow, *, oldest: date, is_sure: bool) -> Comparison | None:
    """None if there is nothing to compare with. `oldest` is 1 January of the year in which the history begins."""
    if before.ms_played == 0:
        return None
    # If the history begins in mid-year, the next year cannot be compared with it.
    if before.first_day == oldest and is_late(before.first_heard, oldest):
        return None
    change = round(100 * (whole.ms_played - before.ms_played) / before.ms_played)
    return Comparison(before.first_day.year, change, is_sure)
