"""The overview of a week, a month, a year or any days, compared with the previous period.

A period that is not over is compared with as many days of the previous one, and ranks in lists with all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Literal

from myi_pipeline.web.dashboard.charts import calendar_of, clock_of
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import completeness_within, evident_gaps
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, last_day_of
from myi_pipeline.web.reads.summary import SpanByKindRow, SpanRow, heard_span, sums_by_kind
from myi_pipeline.web.reads.timeline import BucketRow, every_month, month_sums, timeline
from myi_pipeline.web.reads.top import (
    By,
    Entity,
    ShowKind,
    TopRow,
    on_top,
    places_in_range,
    top_by_time,
    top_of_period,
    top_of_range,
    top_shows,
)
from myi_pipeline.web.shown.spans import Span

_TOP = 10
_LISTED: tuple[Entity, ...] = ("artist", "track", "album")
# Bars per day up to this many days, per month beyond.
_MOST_DAYS = 92


@dataclass(frozen=True)
class Change:
    """`per_cent` more or less time than in `label`;

    `is_part`: in as many of its days. `is_sure`: nothing is missing. `is_day`: `label` is one day.
    """

    label: str
    per_cent: int
    is_part: bool
    is_sure: bool
    is_day: bool


@dataclass(frozen=True)
class Move:
    """`new`: never heard before; `back`: not heard in the previous period. `by` is the change in rank."""

    kind: Literal["up", "down", "same", "new", "back"]
    by: int = 0


@dataclass(frozen=True)
class TopList:
    """`moves` by id; None if there is nothing to compare with."""

    what: str
    entity: Entity | Literal["show"]
    rows: Sequence[TopRow]
    moves: Mapping[int, Move] | None


@dataclass(frozen=True)
class Bar:
    """What was heard on a day or in a month."""

    starts_on: date
    plays: int = 0
    ms_played: int = 0


async def read_period(marts: Marts, span: Span, *, today: date, by: By, zone: tzinfo) -> Mapping[str, object]:
    """The data of the page for these days."""
    heard = await heard_span(marts)
    last = max(span.first, min(span.last, today, heard[1] if span.period is None and heard else today))
    before = before_in_history(span, heard)
    compared = _compared(span, before, today) if before is not None else None
    asked = [("now", span.first, span.last), *([("before", *compared)] if compared else [])]
    sums = {row.name: row for row in await sums_by_kind(marts, *asked)}
    gaps = await evident_gaps(marts)
    until = min(span.last, today)
    is_sure = not any(gap.days_within(first=span.first, last=until, zone=zone) for gap in gaps)
    has_sure_past = compared is not None and not any(
        gap.days_within(first=compared[0], last=compared[1], zone=zone) for gap in gaps
    )
    is_long = (last - span.first).days >= _MOST_DAYS
    days = await timeline(marts, grain="day", first_day=span.first, last_day=span.last) if not is_long else []
    months = await timeline(marts, grain="month", first_day=span.first, last_day=span.last) if is_long else []
    whole_year = span.first if span.period is Period.YEAR else None
    after = span.after()
    return {
        "span": span,
        "whole": sums["now"],
        "change": _change(sums, before, is_part=span.last > today, is_sure=has_sure_past and is_sure),
        "known": completeness_within(gaps, first=span.first, last=until, zone=zone),
        "is_long": is_long,
        "bars": _months(months, span.first, last) if is_long else _days(days, span.first, _drawn_to(span, last)),
        "calendar": await _calendar(marts, whole_year, today) if whole_year else None,
        "clock": clock_of(await clock(marts, first_day=span.first, last_day=span.last)),
        "lists": [
            *[await _list(marts, entity, span, before, by) for entity in _LISTED],
            *await _shows(marts, sums["now"], span, by),
        ],
        "before": before,
        "after": after if after is not None and after.first <= today else None,
    }


def _compared(span: Span, before: Span, today: date) -> tuple[date, date]:
    """The days of the previous period that are compared with the days so far."""
    if span.last <= today:
        return before.first, before.last
    return before.first, min(before.last, before.first + max(timedelta(0), today - span.first))


def _change(sums: Mapping[str, SpanRow], before: Span | None, *, is_part: bool, is_sure: bool) -> Change | None:
    past = sums.get("before")
    if past is None or before is None or past.ms_played == 0:
        return None
    per_cent = round(100 * (sums["now"].ms_played - past.ms_played) / past.ms_played)
    return Change(before.label, per_cent, is_part, is_sure, is_day=before.first == before.last)


def _drawn_to(span: Span, last: date) -> date:
    """A week and a month are drawn whole even before they are over."""
    return span.last if span.period in (Period.WEEK, Period.MONTH) else last


def _days(rows: Sequence[BucketRow], first: date, last: date) -> list[Bar]:
    heard = {row.starts_on: Bar(row.starts_on, row.plays, row.ms_played) for row in rows}
    every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [heard.get(day, Bar(day)) for day in every]


def _months(rows: Sequence[BucketRow], first: date, last: date) -> list[Bar]:
    # A range may begin long before the history does.
    begins = max(first, min((row.starts_on for row in rows), default=first))
    return [
        Bar(each.starts_on, each.plays, each.ms_played)
        for each in every_month(month_sums(rows), first=begins, last=last)
    ]


async def _calendar(marts: Marts, first: date, today: date) -> object:
    end = last_day_of(Period.YEAR, first)
    days = await timeline(marts, grain="day", first_day=first, last_day=end)
    return calendar_of(days, first=first, last=max(first, min(end, today)), drawn_to=end)


async def _list(marts: Marts, entity: Entity, span: Span, before: Span | None, by: By) -> TopList:
    rows: Sequence[TopRow]
    read_as: Entity = "recording" if entity == "track" else entity
    if by == "time":
        rows = await top_by_time(marts, read_as, first_day=span.first, last_day=span.last, limit=_TOP)
    elif span.period is not None:
        rows = await top_of_period(marts, read_as, period=span.period, start=span.first, limit=_TOP)
    else:
        rows = await top_of_range(marts, read_as, first_day=span.first, last_day=span.last, limit=_TOP)
    rows = on_top(rows, by)
    return TopList(
        f"{entity}s", entity, rows, await moves_of(marts, rows, entity, read_as, span=span, before=before, by=by)
    )


async def _shows(marts: Marts, heard: SpanByKindRow, span: Span, by: By) -> list[TopList]:
    """Podcasts and audiobooks, where any were heard."""
    wanted = {"podcasts": (ShowKind.PODCAST, heard.podcast_ms_played),
              "audiobooks": (ShowKind.AUDIOBOOK, heard.audiobook_ms_played)}  # fmt: skip
    return [
        TopList(
            what, "show",
            on_top(await top_shows(marts, kind, first_day=span.first, last_day=span.last, by=by, limit=_TOP), by), None,
        )
        for what, (kind, ms) in wanted.items() if ms
    ]  # fmt: skip


def before_in_history(span: Span, heard: tuple[date, date] | None) -> Span | None:
    """The period before, None if the history begins later: there is nothing to compare with."""
    before = span.before()
    return before if before is not None and heard is not None and heard[0] <= before.last else None


async def moves_of(
    marts: Marts, rows: Sequence[TopRow], entity: Entity, read_as: Entity, *, span: Span, before: Span | None, by: By
) -> Mapping[int, Move] | None:
    """Where each of these rows stood in the period before, by the id of its `entity`; `read_as` is what is ranked."""
    if before is None or not rows:
        return None
    ids = {int(getattr(row, f"{entity}_id")): row.rank for row in rows}
    places = await places_in_range(marts, read_as, list(ids), first_day=before.first, last_day=before.last, by=by)
    return {
        place.id: _move(ids[place.id], place.rank, is_new=(place.first_local_date or span.first) >= span.first)
        for place in places
    }


def _move(rank: int, before: int | None, *, is_new: bool) -> Move:
    if before is None:
        return Move("new" if is_new else "back")
    if before == rank:
        return Move("same")
    return Move("up" if before > rank else "down", abs(before - rank))
