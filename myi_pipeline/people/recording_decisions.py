"""A person's decisions about which tracks are one song: making, undoing and listing them.

They affect only that person's figures; for others, the rules decide. The next refresh applies them
(catalogue/recordings.py), and the database requests one in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import errors
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.people.audit import Event, record
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user

# Nobody makes more by hand, and every refresh reads all of them.
MOST_DECISIONS = 5_000

Word = Literal["same", "apart"]


@dataclass(frozen=True, kw_only=True)
class MadeDecision:
    """`same`: the two tracks are one song.

    `apart`: the track is separate from those it was counted with; `other_id` is None.
    """

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
    """Makes a decision. The caller has checked that the user has heard both tracks. Raises BadInput."""
    if (decision == "same") != (other_track_id is not None) or track_id == other_track_id:
        raise BadInput(
            "two different tracks can be the same song, or one can be separate", rule="same: two tracks; apart: one"
        )
    with as_user(connection, user_id):
        count = connection.execute("select count(*) from app.recording_decisions").fetchone()
        assert count is not None
        if count[0] >= MOST_DECISIONS:
            raise BadInput(f"there are {MOST_DECISIONS:,} decisions already", rule="undo one first")
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
    """Undoes a decision. False if this user has no such decision."""
    with as_user(connection, user_id):
        found = connection.execute(
            "delete from app.recording_decisions where user_id = %s and decision_id = %s", (user_id, decision_id)
        ).rowcount
        if found:
            detail = {"decision_id": decision_id}
            record(connection, Event.RECORDING_TAKEN_BACK, user_id=user_id, address=address, detail=detail)
        return bool(found)


def list_decisions(connection: Connection, *, user_id: int) -> tuple[MadeDecision, ...]:
    """All of one user's, newest first."""
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(MadeDecision)) as cursor:
        return tuple(cursor.execute(load_sql("people/recordings/list_decisions"), {"user_id": user_id}).fetchall())
