"""The reads that are measured: an address of the API each, and the statements that a bare application runs for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from myi_pipeline.web.reads.cursors import FIRST_PAGE, Order
from myi_pipeline.web.reads.firsts import FIRSTS
from myi_pipeline.web.reads.plays import PLAYS
from myi_pipeline.web.reads.sessions import SESSIONS
from myi_pipeline.web.reads.spans import (
    BEGINNING,
    END,
    FIRST_DAY,
    LAST_DAY,
    START_OF_ALL,
    Period,
    last_day_of,
    period_start,
)
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.streaks import STREAKS
from myi_pipeline.web.reads.timeline import BUCKETS
from myi_pipeline.web.reads.top import OLDEST, Entity, ShowKind, range_values, top_order

EVERYTHING = {"from_at": BEGINNING, "to_at": END}
DAYS = {"first_day": FIRST_DAY, "last_day": LAST_DAY}
# Three years and a half that begin and end within a month: whole years, months and odd days.
RANGE = (date(2020, 2, 11), date(2023, 8, 20))


@dataclass(frozen=True)
class Statement:
    sql: bytes
    values: dict[str, Any]


@dataclass(frozen=True)
class Read:
    """`is_range`: a span that is no period, which may take longer."""

    name: str
    path: str
    statements: tuple[Statement, ...]
    is_range: bool = False


def _read(name: str, path: str, sql: str, /, **values: Any) -> Read:
    return Read(name, path, (Statement(load_sql(sql), values),))


def _listing(name: str, path: str, sql: bytes, order: Order, /, **values: Any) -> Read:
    return Read(name, path, (Statement(sql, {**values, **order.values(FIRST_PAGE), "limit": 51}),))


def _top(entity: Entity, period: Period, start: date) -> Read:
    path = f"{_listed(entity)}period={period}&date={start}"
    sql, values = load_sql("top_of_period", entity=entity), {"period_start": start}
    if period in (Period.WEEK, Period.MONTH):
        sql, values = load_sql("top_of_range", entity=entity), range_values(start, last_day_of(period, start))
    return _listing(f"top/{entity}s, {period}", path, sql, top_order(entity), seen=0, **values)


def _firsts(kind: Entity) -> Read:
    return _listing(f"firsts, {kind}s", f"firsts?kind={kind}", load_sql("firsts", kind=kind), FIRSTS, **EVERYTHING)


def _listed(entity: Entity) -> str:
    return "top/tracks?by=recording&" if entity == "recording" else f"top/{entity}s?"


def _top_of_range(entity: Entity) -> Read:
    path = f"{_listed(entity)}from={RANGE[0]}&to={RANGE[1]}"
    values = range_values(*RANGE)
    sql = load_sql("top_of_range", entity=entity)
    return replace(_listing(f"top/{entity}s, range", path, sql, top_order(entity), seen=0, **values), is_range=True)


def reads(*, artist_id: int) -> list[Read]:
    """Every read of the contract; `artist_id` is one that was heard often."""
    today = datetime.now(UTC).date()
    spans = {
        "names": ["today", *Period],
        "first_days": [today, *(period_start(each, today) for each in Period)],
        "last_days": [today, *(last_day_of(each, period_start(each, today)) for each in Period)],
    }
    artist = {"artist_id": artist_id, **EVERYTHING}
    of_artist = f"plays?artist_id={artist_id}"
    year = {"first_day": date(2023, 1, 1), "last_day": date(2023, 12, 31)}
    month = {"first_day": date(2023, 5, 1), "last_day": date(2023, 5, 31)}
    whole = {"names": ["all"], "first_days": [FIRST_DAY], "last_days": [LAST_DAY]}
    yesterday = {"yesterday": today - timedelta(days=1)}
    ranks = Statement(load_sql("ranks_on_day", entity="artist"), {"term": "medium_term", "day": LAST_DAY})
    timeline = load_sql("timeline")
    return [
        _read("me", "", "version"),
        _read("summary", "summary", "summary", **spans),
        _listing("plays", "plays", load_sql("plays", narrowed_by=()), PLAYS, **EVERYTHING),
        _listing("plays, an artist", of_artist, load_sql("plays", narrowed_by=("artist_id",)), PLAYS, **artist),
        _listing("sessions", "sessions", load_sql("sessions"), SESSIONS, **EVERYTHING),
        _firsts("track"),
        _firsts("recording"),
        _top("track", Period.ALL, START_OF_ALL),
        _top("recording", Period.ALL, START_OF_ALL),
        _top("artist", Period.YEAR, date(2023, 1, 1)),
        _top("track", Period.WEEK, date(2023, 5, 1)),
        _top("track", Period.MONTH, date(2023, 5, 1)),
        _top("recording", Period.MONTH, date(2023, 5, 1)),
        _top("album", Period.MONTH, date(2023, 5, 1)),
        _listing("timeline, days", "timeline?grain=day", timeline, BUCKETS, grain="day", **DAYS),
        _listing("timeline, weeks", "timeline?grain=week", timeline, BUCKETS, grain="week", **DAYS),
        _listing("timeline, months", "timeline", timeline, BUCKETS, grain="month", **DAYS),
        _listing(
            "top/shows, all",
            "top/shows",
            load_sql("top_shows", by="plays"),
            top_order("show"),
            kind=ShowKind.PODCAST.value,
            first_day=OLDEST,
            last_day=LAST_DAY,
            seen=0,
        ),
        _read("clock, a month", "clock?period=month&date=2023-05-01", "clock", **month),
        _read("clock, a year", "clock?period=year&date=2023-01-01", "clock", **year),
        _read("clock, all", "clock", "clock", first_day=START_OF_ALL, last_day=LAST_DAY),
        _beside(
            _listing("streaks", "streaks", load_sql("streaks"), STREAKS, **DAYS),
            _read("", "", "streak_marks", **yesterday),
        ),
        Read("ranks", "ranks?kind=artist", (ranks,)),
        _beside(_read("coverage", "coverage", "summary", **whole), _read("", "", "coverage_gaps")),
        _top_of_range("track"),
        _top_of_range("recording"),
        _top_of_range("artist"),
        _top_of_range("album"),
    ]


def _beside(first: Read, second: Read) -> Read:
    return replace(first, statements=(*first.statements, *second.statements))
