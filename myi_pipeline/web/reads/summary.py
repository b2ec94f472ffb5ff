"""Sums over spans of days: what was heard today, this month, ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from myi_pipeline.web.reads.database import Marts, load_sql
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY, Period, last_day_of, period_start

_KINDS = ("music_ms_played", "podcast_ms_played", "audiobook_ms_played")
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
    """What of the time was of each kind; the rest is of unknown content."""

    music_ms_played: int
    podcast_ms_played: int
    audiobook_ms_played: int

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
