"""What stands out in a history: tracks on repeat, favourites that were forgotten, artists of the night and of a time.

Whatever reads plays reads those of one year at most: of a million plays of one listener that is one in ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Literal

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import BEGINNING, END, moment
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import Listed

# Twice in a row is no obsession.
_REPEATED = 3
# Of fewer counted plays a share says nothing, and an artist has not stayed.
_OFTEN = 10
_FAVOURITE = 5
# An artist who is still heard after so long has stayed.
STAYED = timedelta(days=90)


@dataclass(frozen=True)
class _TrackRow:
    """A track, or a song by that of its tracks which this user has heard most. `picture` is that of the album."""

    track_id: int
    name: str | None
    artist_id: int | None
    artist_name: str | None
    album_id: int | None
    picture: str | None


@dataclass(frozen=True)
class RepeatRow(_TrackRow):
    """How often it counted, in a row, on a day or in a week, and the day on which that session or week began."""

    times: int
    local_date: date


@dataclass(frozen=True)
class ForgottenRow(_TrackRow):
    counted_plays: int
    last_played_at: datetime


@dataclass(frozen=True)
class LateArtistRow:
    """`late_plays` of the `counted_plays` ended between midnight and five."""

    artist_id: int
    name: str | None
    picture: str | None
    late_plays: int
    counted_plays: int


@dataclass(frozen=True)
class HourArtistRow:
    """`counted_plays` of the `of_plays` that ended in this local hour."""

    hour: int
    artist_id: int
    name: str | None
    counted_plays: int
    of_plays: int


@dataclass(frozen=True)
class VarietyRow:
    """How many artists had counted plays in a month."""

    starts_on: date
    artists: int


@dataclass(frozen=True)
class EraRow:
    """Plays of any length of one artist in the span at `place`, from 1."""

    artist_id: int
    name: str | None
    place: int
    plays: int


@dataclass(frozen=True)
class DiscoveryRow:
    """`counted_plays` since the first one."""

    artist_id: int
    name: str | None
    picture: str | None
    plays: int
    counted_plays: int
    ms_played: int
    first_local_date: date
    last_played_at: datetime


@dataclass(frozen=True)
class CircumstanceRow:
    """What was heard on one kind of device in one country (ISO 3166); None if no source says. `skipped` and
    `shuffled` are plays of tracks, of those of which it is known."""

    device: str | None
    country: str | None
    plays: int
    ms_played: int
    skips_known: int
    skipped: int
    shuffles_known: int
    shuffled: int


@dataclass(frozen=True)
class NewArtistRow:
    """`counted_plays` in the span; `found` is how many were new in it."""

    artist_id: int
    name: str | None
    counted_plays: int
    first_local_date: date
    found: int


async def longest_repeats(
    marts: Marts,
    *,
    by: Listed = Listed.RECORDING,
    from_at: datetime = BEGINNING,
    to_at: datetime = END,
    limit: int,
) -> list[RepeatRow]:
    """The songs, or tracks, that counted most often in a row in one session, each once."""
    sql = load_sql("longest_repeats", entity=by.value)
    return await marts.fetch(RepeatRow, sql, from_at=from_at, to_at=to_at, at_least=_REPEATED, limit=limit)


async def most_in_a_span(
    marts: Marts,
    grain: Literal["day", "week"],
    *,
    by: Listed = Listed.RECORDING,
    from_at: datetime,
    to_at: datetime,
    limit: int,
) -> list[RepeatRow]:
    """The songs, or tracks, that counted most often on one day, or in one week from Monday on, each once. The plays are
    those of a span that begins and ends with a day."""
    sql = load_sql("most_in_a_span", entity=by.value, grain=grain)
    return await marts.fetch(RepeatRow, sql, from_at=from_at, to_at=to_at, at_least=_REPEATED, limit=limit)


async def artists_of_hours(marts: Marts, *, from_at: datetime, to_at: datetime) -> list[HourArtistRow]:
    """For each local hour with counted plays the artist who had most of them."""
    return await marts.fetch(HourArtistRow, load_sql("artists_of_hours"), from_at=from_at, to_at=to_at)


async def artists_by_month(marts: Marts, *, from_at: datetime, to_at: datetime) -> list[VarietyRow]:
    """A month without counted plays is left out."""
    return await marts.fetch(VarietyRow, load_sql("artists_by_month"), from_at=from_at, to_at=to_at)


async def forgotten_tracks(
    marts: Marts, *, by: Listed = Listed.RECORDING, before: datetime, limit: int
) -> list[ForgottenRow]:
    """The most heard songs, or tracks, of which every play was before a moment."""
    sql = load_sql("forgotten_tracks", entity=by.value)
    return await marts.fetch(ForgottenRow, sql, before=before, at_least=_FAVOURITE, limit=limit)


async def late_artists(marts: Marts, year: int, zone: tzinfo, *, limit: int) -> list[LateArtistRow]:
    """Those of whom most is heard at night, of any who are heard often."""
    first = date(year, 1, 1)
    days = (date(year + 1, 1, 1) - first).days
    midnights = [moment(first + timedelta(days=number), zone) for number in range(days)]
    return await marts.fetch(
        LateArtistRow, load_sql("late_artists"), year_start=first, midnights=midnights, at_least=_OFTEN, limit=limit
    )


async def eras(marts: Marts, *, bounds: Sequence[datetime], limit: int) -> list[EraRow]:
    """The artists that led a year, and their plays between each bound and the next."""
    return await marts.fetch(EraRow, load_sql("eras"), begins=list(bounds[:-1]), ends=list(bounds[1:]), limit=limit)


async def lasting_discoveries(marts: Marts, *, from_at: datetime, to_at: datetime, limit: int) -> list[DiscoveryRow]:
    """Artists first heard in a span who were heard often since, and were still heard after STAYED."""
    return await marts.fetch(
        DiscoveryRow, load_sql("lasting_discoveries"),
        from_at=from_at, to_at=to_at, at_least=_OFTEN, stayed=STAYED, limit=limit,
    )  # fmt: skip


async def new_within(marts: Marts, *, from_at: datetime, to_at: datetime, limit: int) -> list[NewArtistRow]:
    """Artists first heard in a span, most heard in it first."""
    return await marts.fetch(NewArtistRow, load_sql("new_within"), from_at=from_at, to_at=to_at, limit=limit)


async def circumstances(marts: Marts, *, from_at: datetime, to_at: datetime) -> list[CircumstanceRow]:
    """A row for each kind of device and country, in no order."""
    return await marts.fetch(CircumstanceRow, load_sql("circumstances"), from_at=from_at, to_at=to_at)
