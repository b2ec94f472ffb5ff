"""A person's own word on which tracks are one song: said, taken back, listed.

It concerns that person's figures alone; others in the household see what the rules say. The next refresh acts on it
(catalogue/recordings.py), and the database asks for one in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import errors
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.people.audit import Event, record
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# Nobody sorts more by hand, and all of them are looked at in each refresh.
MOST_DECISIONS = 5_000

Word = Literal["same", "apart"]


@dataclass(frozen=True, kw_only=True)
class MadeDecision:
    """`same`: the two tracks are one song. `apart`: the track is none of those it stood with; `other_id` is None."""

    decision_id: int
    decision: Word
    content_id: int
    other_id: int | None
    decided_at: datetime


def decide(
    connection: Connection,
    *,
    user_id: int,
    decision: Word,
    track_id: int,
    other_track_id: int | None = None,
    address: str | None = None,
) -> MadeDecision:
    """Say it. The caller has made sure that the user knows both tracks. Raises BadInput."""
    if (decision == "same") != (other_track_id is not None) or track_id == other_track_id:
        raise BadInput(
            "two different tracks are the same song, or one stands apart", rule="same: two tracks; apart: one"
        )
    with _as_user(connection, user_id):
        count = connection.execute("select count(*) from app.recording_decisions").fetchone()
        assert count is not None
        if count[0] >= MOST_DECISIONS:
            raise BadInput(f"there are {MOST_DECISIONS:,} decisions already", rule="take one back first")
        values = {"user_id": user_id, "decision": decision, "content_id": track_id, "other_id": other_track_id}
        with connection.cursor(row_factory=class_row(MadeDecision)) as cursor:
            try:
                made = cursor.execute(load_sql("people/recordings/decide"), values).fetchone()
            except errors.ForeignKeyViolation:
                raise BadInput("there is no such track", rule="a track that you have heard") from None
        assert made is not None
        detail = {"decision": decision, "track": track_id, "other": other_track_id}
        record(connection, Event.RECORDING_DECIDED, user_id=user_id, address=address, detail=detail)
        return made


def take_back(connection: Connection, *, user_id: int, decision_id: int, address: str | None = None) -> bool:
    """As if it had never been said. False when this user has said no such thing."""
    with _as_user(connection, user_id):
        found = connection.execute(
            "delete from app.recording_decisions where user_id = %s and decision_id = %s", (user_id, decision_id)
        ).rowcount
        if found:
            detail = {"decision_id": decision_id}
            record(connection, Event.RECORDING_TAKEN_BACK, user_id=user_id, address=address, detail=detail)
        return bool(found)


def list_decisions(connection: Connection, *, user_id: int) -> tuple[MadeDecision, ...]:
    """All of one user's, the newest first."""
    with _as_user(connection, user_id), connection.cursor(row_factory=class_row(MadeDecision)) as cursor:
        return tuple(cursor.execute(load_sql("people/recordings/list_decisions"), {"user_id": user_id}).fetchall())


@contextmanager
def _as_user(connection: Connection, user_id: int) -> Iterator[None]:
    """A transaction that sees this user's rows and no others."""
    with connection.transaction():
        connection.execute("select set_config('app.user_id', %s, true)", (str(user_id),))
        yield
