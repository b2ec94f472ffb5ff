"""What was heard on one day of the calendar, year by year."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.sql_files import load_sql


@dataclass(frozen=True)
class DayRow:
    """A day with plays, and the song and the artist that it had most counted plays of: None if none counted. The
    song is named as that of its tracks which was heard most on the day; `picture` is that of the track's album."""

    local_date: date
    plays: int
    counted_plays: int
    ms_played: int
    track_id: int | None
    track_name: str | None
    album_id: int | None
    picture: str | None
    track_times: int | None
    artist_id: int | None
    artist_name: str | None
    artist_times: int | None


async def heard_on(marts: Marts, days: Sequence[date]) -> list[DayRow]:
    """Those of the days on which anything was heard, newest first."""
    return await marts.fetch(DayRow, load_sql("on_this_day"), days=list(days))


def same_day_of(years: range, *, month: int, day: int) -> list[date]:
    """That day of each of the years that has it: 29 February is one of leap years."""
    return [date(year, month, day) for year in years if (month, day) != (2, 29) or isleap(year)]
