"""A user's listening in a few lines: what a person sees at the end of an import.

Belongs here: reading the marts for that. Not here: raw (the marts are the answer), or how the lines look.
Invariant: reads marts only, as a role that may read nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

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
    """`counted_plays` are those heard long enough to count; `ms_played` leaves out plays whose length is unknown."""

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
    """The user's years and top artists as the marts have them; None while the marts do not know the user."""
    try:
        found = connection.execute("select user_id from marts.dim_users where user_key = %s", (user_key,)).fetchone()
        if found is None:
            return None
        values = {"user_id": found[0], "limit": top}
        with connection.cursor(row_factory=class_row(YearOfListening)) as cursor:
            years = tuple(cursor.execute(load_sql("listing/summarise_years"), values).fetchall())
        with connection.cursor(row_factory=class_row(TopArtist)) as cursor:
            artists = tuple(cursor.execute(load_sql("listing/summarise_top_artists"), values).fetchall())
    except psycopg.errors.UndefinedTable:
        # Before the first refresh there are no marts at all.
        return None
    return ListeningSummary(user_key=user_key, years=years, top_artists=artists)
