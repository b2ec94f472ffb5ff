"""Listening without half an hour of silence in between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from myi_pipeline.web.reads.cursors import MOST_BIGINT, After, Order
from myi_pipeline.web.reads.database import Marts, load_sql
from myi_pipeline.web.reads.spans import BEGINNING, END

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
class SessionLengthRow:
    """How many sessions lasted from `minutes_from` to under `minutes_to`; None: or longer."""

    minutes_from: int
    minutes_to: int | None
    sessions: int
    ms_played: int


async def sessions(
    marts: Marts, *, from_at: datetime = BEGINNING, to_at: datetime = END, after: After, limit: int
) -> list[SessionRow]:
    """The newest first; a session belongs to the span in which it ended."""
    return await marts.fetch(
        SessionRow, load_sql("sessions"), from_at=from_at, to_at=to_at, limit=limit, **SESSIONS.values(after)
    )


async def session_lengths(marts: Marts, *, from_at: datetime, to_at: datetime) -> list[SessionLengthRow]:
    return await marts.fetch(SessionLengthRow, load_sql("session_lengths"), from_at=from_at, to_at=to_at)
