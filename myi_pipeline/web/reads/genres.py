"""Genres: what was heard of each, by period and over the years; and the decades from which music comes.

A figure that is of a part only says of how much: `known_plays` beside all counted plays of tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import START_OF_ALL, Period
from myi_pipeline.web.reads.sql_files import load_sql

# Core data and genres have different licences; whoever shows genres shows this.
LICENCE = "Genres: MusicBrainz, CC BY-NC-SA 3.0"
CORE_LICENCE = "First releases: MusicBrainz, CC0"


@dataclass(frozen=True)
class GenreRow:
    """`share`: of the counted plays of which a genre is known, each play divided among the genres of its track."""

    genre_id: int
    name: str
    plays: int
    counted_plays: int
    ms_played: int
    share: float


@dataclass(frozen=True)
class GenreYearRow:
    year: int
    genre_id: int
    name: str
    counted_plays: int
    share: float


@dataclass(frozen=True)
class KnownRow:
    """Counted plays of tracks in a period, and those of them of which a genre is known."""

    counted_plays: int
    known_plays: int


@dataclass(frozen=True)
class DecadeRow:
    """`decade` is its first year, None for what nobody has dated."""

    decade: int | None
    counted_plays: int
    ms_played: int
    tracks: int


@dataclass(frozen=True)
class ArtistGenreRow:
    genre_id: int
    name: str
    votes: int


async def top_genres(marts: Marts, *, period: Period, start: date, limit: int) -> list[GenreRow]:
    """By their part of the counted plays, the greatest first."""
    values = {"period": period.value, "period_start": start, "limit": limit}
    return await marts.fetch(GenreRow, load_sql("top_genres"), **values)


async def known_genres(marts: Marts, *, period: Period, start: date) -> KnownRow:
    values = {"period": period.value, "period_start": start}
    rows = await marts.fetch(KnownRow, load_sql("known_genres"), **values)
    return rows[0]


async def genre_years(marts: Marts, *, limit: int) -> Sequence[GenreYearRow]:
    """The `limit` genres that were heard most of all, in each year in which they were, oldest first."""
    return await marts.fetch(GenreYearRow, load_sql("genre_years"), limit=limit)


async def decades(marts: Marts, *, start: date = START_OF_ALL) -> list[DecadeRow]:
    """What was heard in the year that begins at `start`, or in all, by when it first came out, oldest first."""
    return await marts.fetch(DecadeRow, load_sql("decades"), period_start=start)


async def genres_of_artist(marts: Marts, artist_id: int) -> list[ArtistGenreRow]:
    """Most votes first; none for an artist that MusicBrainz was not asked about, or does not know."""
    return await marts.fetch(ArtistGenreRow, load_sql("genres_of_artist"), artist_id=artist_id)
