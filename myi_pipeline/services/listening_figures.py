"""A user's marts as plain rows, for holding them against a truth that somebody else knows.

Belongs here: reading. Not here: the truth. Invariant: reads marts only; names, not numbers, identify what is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]


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
    """Whatever the marts hold of this user; nothing when they do not know the user."""
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
