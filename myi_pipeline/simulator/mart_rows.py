"""The rows of the marts as the truth has them: named tuples that a test can compare and print.

Invariant: times are UTC, dates and hours are the listener's, milliseconds skip what nobody knows.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import date, datetime
from typing import NamedTuple


class DayRow(NamedTuple):
    local_date: date
    plays: int
    counted_plays: int
    ms_played: int
    unknown_plays: int  # plays whose ms_played nobody knows
    distinct_tracks: int
    distinct_artists: int


class HourRow(NamedTuple):
    local_date: date
    local_hour: int
    plays: int
    counted_plays: int
    ms_played: int


class TrackKey(NamedTuple):
    """A track as its canonical content has it: the URI if there is one, and its final names."""

    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None


class AlbumKey(NamedTuple):
    artist: str
    album: str


class PeriodRow(NamedTuple):
    """`key`: a TrackKey, an artist's name or an AlbumKey. `period`: week, month, year or all."""

    period: str
    period_start: date
    key: Hashable
    plays: int
    counted_plays: int
    ms_played: int
    first_played_at: datetime
    last_played_at: datetime


class SessionRow(NamedTuple):
    """`started_at`: of its first play in order (its end where ms_played is unknown); `ended_at`: of its last."""

    started_at: datetime
    ended_at: datetime
    plays: int
    counted_plays: int
    ms_played: int


class StreakRow(NamedTuple):
    first_date: date
    last_date: date
    days: int


class FirstRow(NamedTuple):
    """`entity`: track, artist or album; `key` as in PeriodRow."""

    entity: str
    key: Hashable
    first_played_at: datetime
