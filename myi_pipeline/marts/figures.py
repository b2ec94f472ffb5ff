"""A user's marts as plain rows, for comparison with an independent truth. Rows are identified by names, not ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg.rows import class_row

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql


@dataclass(frozen=True, kw_only=True)
class ListeningFigures:
    """`days`: (local_date, plays, counted_plays, ms_played); `artists`: (name, plays, counted_plays, ms_played)."""

    days: tuple[tuple[date, int, int, int], ...]
    artists: tuple[tuple[str, int, int, int], ...]
    tracks: int
    albums: int
    sessions: int
    longest_streak_days: int


def listening_figures(connection: Connection, *, user_key: str) -> ListeningFigures:
    """Everything in the marts about this user; empty if they do not contain the user."""
    found = connection.execute("select user_id from marts.dim_users where user_key = %s", (user_key,)).fetchone()
    user = {"user": found[0] if found else None}
    days = connection.execute(
        "select local_date, plays, counted_plays, ms_played from marts.agg_day_user"
        " where user_id = %(user)s order by 1",
        user,
    ).fetchall()
    artists = connection.execute(
        "select d.name, a.plays, a.counted_plays, a.ms_played from marts.agg_period_artists as a"
        " join marts.dim_artists as d on d.artist_id = a.artist_id"
        " where a.user_id = %(user)s and a.period = 'all' order by 1",
        user,
    ).fetchall()

    def count(query: str) -> int:
        row = connection.execute(query.encode(), user).fetchone()
        return int(row[0]) if row else 0

    return ListeningFigures(
        days=tuple((day, int(plays), int(counted), int(ms)) for day, plays, counted, ms in days),
        artists=tuple((name, int(plays), int(counted), int(ms)) for name, plays, counted, ms in artists),
        tracks=count("select count(*) from marts.agg_period_tracks where user_id = %(user)s and period = 'all'"),
        albums=count("select count(*) from marts.agg_period_albums where user_id = %(user)s and period = 'all'"),
        sessions=count("select count(*) from marts.fct_sessions where user_id = %(user)s"),
        longest_streak_days=count("select coalesce(max(days), 0) from marts.agg_streaks where user_id = %(user)s"),
    )


MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, kw_only=True)
class YearOfListening:
    year: int
    plays: int
    counted_plays: int
    ms_played: int

    @property
    def hours(self) -> float:
        return self.ms_played / MS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class TopArtist:
    name: str
    plays: int
    counted_plays: int
    ms_played: int

    @property
    def hours(self) -> float:
        return self.ms_played / MS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class ListeningSummary:
    """`counted_plays` are those heard long enough to count; `ms_played` leaves out plays of unknown length."""

    user_key: str
    years: tuple[YearOfListening, ...]
    top_artists: tuple[TopArtist, ...]

    @property
    def plays(self) -> int:
        return sum(year.plays for year in self.years)

    @property
    def counted_plays(self) -> int:
        return sum(year.counted_plays for year in self.years)

    @property
    def ms_played(self) -> int:
        return sum(year.ms_played for year in self.years)

    @property
    def hours(self) -> float:
        return self.ms_played / MS_PER_HOUR


def summarise_listening(connection: Connection, *, user_key: str, top: int = 10) -> ListeningSummary | None:
    """The user's years and top artists as in the marts; None if the marts do not contain the user yet."""
    try:
        found = connection.execute("select user_id from marts.dim_users where user_key = %s", (user_key,)).fetchone()
        if found is None:
            return None
        values = {"user_id": found[0], "limit": top}
        with connection.cursor(row_factory=class_row(YearOfListening)) as cursor:
            years = tuple(cursor.execute(load_sql("marts/listing/summarise_years"), values).fetchall())
        with connection.cursor(row_factory=class_row(TopArtist)) as cursor:
            artists = tuple(cursor.execute(load_sql("marts/listing/summarise_top_artists"), values).fetchall())
    except psycopg.errors.UndefinedTable:
        # Before the first refresh, there are no marts at all.
        return None
    return ListeningSummary(user_key=user_key, years=years, top_artists=artists)


@dataclass(frozen=True, kw_only=True)
class LiveFigures:
    """`polled_only` plays are known only from the Web API, `confirmed` ones also from an archive.

    `gaps` counts the spans with both ends in which plays may be missing, `gap_hours` is their total length.
    """

    user_key: str
    plays: int
    polled_only: int
    confirmed: int
    unknown_ms: int
    gaps: int
    gap_hours: float


def live_figures(connection: Connection, *, user_keys: Sequence[str]) -> tuple[LiveFigures, ...]:
    """Ordered by user, without users who are not in the marts."""
    with connection.cursor(row_factory=class_row(LiveFigures)) as cursor:
        return tuple(cursor.execute(load_sql("marts/listing/live_figures"), {"user_keys": list(user_keys)}).fetchall())
