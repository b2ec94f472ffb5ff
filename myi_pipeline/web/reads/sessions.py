"""Listening without half an hour of silence in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from myi_pipeline.web.reads.cursors import MOST_BIGINT, After, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import BEGINNING, END
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import Listed

SESSIONS = Order({"ended_at": END, "session_id": MOST_BIGINT})


@dataclass(frozen=True)
class SessionRow:
    """`session_id` is a text, as JSON has no 64-bit numbers; `local_date` is that of the first play."""

    session_id: str
    started_at: datetime
    ended_at: datetime
    local_date: date
    plays: int
    counted_plays: int
    ms_played: int


@dataclass(frozen=True)
class _SessionTrackRow(SessionRow):
    """One of the songs, or tracks, that a session had most of; None if none counted."""

    track_id: int | None
    name: str | None
    artist_id: int | None
    artist_name: str | None
    times: int | None


@dataclass(frozen=True)
class SessionWithTracks:
    session: SessionRow
    tracks: Sequence[_SessionTrackRow]


@dataclass(frozen=True)
class SessionLengthRow:
    """How many sessions lasted from `minutes_from` to under `minutes_to`; None: or longer."""

    minutes_from: int
    minutes_to: int | None
    sessions: int
    ms_played: int


async def sessions(
    marts: Marts, *, from_at: datetime = BEGINNING, to_at: datetime = END, after: After, limit: int
) -> list[SessionRow]:
    """Newest first; a session belongs to the span in which it ended."""
    return await marts.fetch(
        SessionRow, load_sql("sessions"), from_at=from_at, to_at=to_at, limit=limit, **SESSIONS.values(after)
    )


async def session_lengths(marts: Marts, *, from_at: datetime, to_at: datetime) -> list[SessionLengthRow]:
    return await marts.fetch(SessionLengthRow, load_sql("session_lengths"), from_at=from_at, to_at=to_at)


async def longest_sessions(
    marts: Marts, *, by: Listed = Listed.RECORDING, from_at: datetime, to_at: datetime, limit: int, tracks: int
) -> list[SessionWithTracks]:
    """The longest sessions that ended in a span, from the first play to the last, with what they had most of."""
    sql = load_sql("longest_sessions", entity=by.value)
    rows = await marts.fetch(_SessionTrackRow, sql, from_at=from_at, to_at=to_at, limit=limit, tracks=tracks)
    found = [list(group) for _, group in groupby(rows, lambda row: row.session_id)]
    return [SessionWithTracks(group[0], [row for row in group if row.track_id is not None]) for group in found]
