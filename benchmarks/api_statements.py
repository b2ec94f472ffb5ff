"""The reads that are measured: an address of the API each, and the statement that a bare application runs for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from myi_pipeline.api.listing import MOST_BIGINT, MOST_INT, Order
from myi_pipeline.api.routes.figures import BUCKETS, STREAKS
from myi_pipeline.api.routes.plays import FIRSTS, PLAYS, SESSIONS, plays_sql
from myi_pipeline.api.spans import (
    BEGINNING,
    END,
    FIRST_DAY,
    LAST_DAY,
    START_OF_ALL,
    Period,
    last_day_of,
    parts_of,
    period_start,
)
from myi_pipeline.api.sql_files import load_sql

EVERYTHING = {"from_at": BEGINNING, "to_at": END}
DAYS = {"first_day": FIRST_DAY, "last_day": LAST_DAY}
# Three years and a half that begin and end within a month: whole years, months and odd days.
RANGE = (date(2020, 2, 11), date(2023, 8, 20))


@dataclass(frozen=True)
class Read:
    """`is_range`: a span that is no period, which may take longer."""

    name: str
    path: str
    sql: str
    values: dict[str, Any]
    is_range: bool = False


def _listing(name: str, path: str, sql: str, order: Order, **values: Any) -> Read:
    return Read(name, path, sql, {**values, **order.values(None), "limit": 51})


def _top(entity: str, period: str, start: date) -> Read:
    order = Order({"counted_plays": MOST_INT, "ms_played": MOST_BIGINT, f"{entity}_id": 0})
    path = f"top/{entity}s?period={period}&date={start}"
    return _listing(
        f"top/{entity}s, {period}", path, load_sql(f"marts/top_{entity}s"), order, period=period, period_start=start
    )


def _top_of_range(entity: str) -> Read:
    parts = parts_of(*RANGE)
    values = {
        "periods": [period.value for period, _ in parts.periods],
        "period_starts": [start for _, start in parts.periods],
        "first_days": [first for first, _ in parts.days],
        "last_days": [last for _, last in parts.days],
        **Order({"counted_plays": MOST_INT, "ms_played": MOST_BIGINT, f"{entity}_id": 0}).values(None),
        "limit": 51,
    }
    path = f"top/{entity}s?from={RANGE[0]}&to={RANGE[1]}"
    return Read(f"top/{entity}s, range", path, load_sql(f"marts/top_{entity}s_of_range"), values, is_range=True)


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
    return [
        Read("me", "", load_sql("marts/version"), {}),
        Read("summary", "summary", load_sql("marts/summary"), spans),
        _listing("plays", "plays", plays_sql(), PLAYS, **EVERYTHING),
        _listing("plays, an artist", of_artist, plays_sql("artist_id"), PLAYS, **artist),
        _listing("sessions", "sessions", load_sql("marts/sessions"), SESSIONS, **EVERYTHING),
        _listing("firsts", "firsts?kind=track", load_sql("marts/firsts"), FIRSTS, kind="track", **EVERYTHING),
        _top("track", "all", START_OF_ALL),
        _top("artist", "year", date(2023, 1, 1)),
        _top("album", "month", date(2023, 5, 1)),
        _listing("timeline, days", "timeline?grain=day", load_sql("marts/timeline"), BUCKETS, grain="day", **DAYS),
        _listing("timeline, months", "timeline", load_sql("marts/timeline"), BUCKETS, grain="month", **DAYS),
        Read("clock, a year", "clock?period=year&date=2023-01-01", load_sql("marts/clock"), year),
        Read("clock, all", "clock", load_sql("marts/clock"), {"first_day": START_OF_ALL, "last_day": LAST_DAY}),
        _listing("streaks", "streaks", load_sql("marts/streaks"), STREAKS, **DAYS),
        Read("coverage", "coverage", load_sql("marts/coverage"), {}),
        _top_of_range("track"),
        _top_of_range("artist"),
    ]  # fmt: skip
