"""What polling keeps: state, log, covered spans and gaps, and the plays themselves.

Belongs here: their statements, and the lock that lets one process poll a user at a time. Not here: what a page means
(core/poll_windows), requests. Invariant: plays, state, log, span and gaps of a poll commit together, on the connection
that holds the user's lock, so that a lost lock is a failed commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.core.circuit import LONGEST_PROBE
from myi_pipeline.core.poll_windows import Gap, PollState
from myi_pipeline.core.polling_policy import CLOCK_TOLERANCE, LATEST_TURN
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

# The first of two numbers of an advisory lock, the second is the user; it spells "myip".
_LOCK_SPACE = 0x6D796970
SCOPE = "user-read-recently-played"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A user who may be polled; `client_id` and what follows are None without a login."""

    user_id: int
    user_key: str
    client_id: str | None
    status: str | None
    paused_at: datetime | None
    scopes: list[str] | None
    authorised_at: datetime | None
    polled_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True)
class DueUser:
    """A user whose turn came at `due_at`."""

    user_id: int
    user_key: str
    due_at: datetime


@dataclass(frozen=True, kw_only=True)
class PollEntry:
    """One line of the log."""

    outcome: str
    items: int
    new_plays: int
    known_plays: int
    late_plays: int
    refused_items: int
    oldest_played_at: datetime | None
    newest_played_at: datetime | None
    newest_known_before: datetime | None
    refused: Sequence[dict[str, Any]] = ()
    correlation_id: str | None = None


def find_candidates(connection: Connection, *, user_ids: Sequence[int]) -> dict[int, Candidate]:
    with connection.cursor(row_factory=class_row(Candidate)) as cursor:
        rows = cursor.execute(load_sql("polls/candidates"), {"user_ids": list(user_ids)}).fetchall()
    return {row.user_id: row for row in rows}


def due_users(connection: Connection, *, now: datetime) -> tuple[DueUser, ...]:
    """Those whose turn has come, the longest waiting first; none who is paused, signed out, blocked or left alone."""
    values = {
        "now": now,
        "latest": now + LATEST_TURN,
        "wrong": now + CLOCK_TOLERANCE,
        "scope": SCOPE,
        "longest_probe": LONGEST_PROBE,
    }
    with connection.cursor(row_factory=class_row(DueUser)) as cursor:
        return tuple(cursor.execute(load_sql("polls/due"), values).fetchall())


@contextmanager
def poll_lock(connection: Connection, *, user_id: int) -> Iterator[bool]:
    """Hold one user's polling across processes; False when another one does. Needs autocommit.

    The session's own lock: no transaction stays open over a request, and a killed process lets go.
    """
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_LOCK_SPACE, user_id)).fetchone()
    is_held = bool(row and row[0])
    try:
        yield is_held
    finally:
        if is_held and not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, user_id))


def read_state(connection: Connection, *, user_id: int) -> PollState:
    with connection.cursor(row_factory=class_row(PollState)) as cursor:
        found = cursor.execute(load_sql("polls/read_state"), {"user_id": user_id}).fetchone()
    return found or PollState()


def store_state(connection: Connection, state: PollState, *, user_id: int) -> None:
    values = {
        "user_id": user_id,
        "polled_at": state.polled_at,
        "due_at": state.due_at,
        "was_full": state.was_full,
        "oldest_played_at": state.oldest_played_at,
        "newest_played_at": state.newest_played_at,
        "new_seen_at": state.new_seen_at,
        "fill_s": state.fill.total_seconds() if state.fill is not None else None,
        "late_from": state.late_from,
        "refused": state.refused,
        "failures": state.failures,
    }
    connection.execute(load_sql("polls/store_state"), values)


def known_plays(
    connection: Connection, *, user_id: int, oldest: datetime, newest: datetime
) -> set[tuple[datetime, str | None]]:
    """Polled plays of these times that raw has: (played_at, content key)."""
    values = {"user_id": user_id, "oldest": oldest, "newest": newest}
    rows = connection.execute(load_sql("polls/known_plays"), values)
    return {(played_at, key.replace("-", "") if key is not None else None) for played_at, key in rows}


def known_before(connection: Connection, *, user_id: int, moment: datetime) -> datetime | None:
    """The last polled play before a moment, within the two months before it: a window reaches no further."""
    row = connection.execute(
        "select max(played_at) from raw.listening_events"
        " where user_id = %s and source_id = 3 and played_at < %s and played_at > %s",
        (user_id, moment, moment - timedelta(days=62)),
    ).fetchone()
    return row[0] if row is not None else None


def insert_plays(
    connection: Connection, plays: Sequence[tuple[datetime, int | None]], *, user_id: int, poll_id: int
) -> int:
    """Returns how many were not there yet."""
    values = {
        "user_id": user_id,
        "poll_id": poll_id,
        "played_at": [played_at for played_at, _ in plays],
        "content_id": [content_id for _, content_id in plays],
    }
    return connection.execute(load_sql("polls/insert_plays"), values).rowcount


def record_poll(connection: Connection, entry: PollEntry, *, poll_id: int, user_id: int, polled_at: datetime) -> None:
    values = {
        **{name: getattr(entry, name) for name in PollEntry.__dataclass_fields__},
        "poll_id": poll_id,
        "user_id": user_id,
        "polled_at": polled_at,
        "refused": Jsonb(list(entry.refused)) if entry.refused else None,
    }
    connection.execute(load_sql("polls/record_poll"), values)


def open_span(connection: Connection, *, user_id: int, polled_from: datetime) -> None:
    """Polling vouches for plays from here on; nothing when it does already."""
    connection.execute(
        "insert into raw.polled_spans (user_id, polled_from) values (%s, %s)"
        " on conflict (user_id) where polled_to is null do nothing",
        (user_id, polled_from),
    )


def add_gaps(connection: Connection, gaps: Sequence[Gap], *, user_id: int, now: datetime) -> None:
    for gap in gaps:
        connection.execute(
            "insert into raw.poll_gaps (user_id, gap_start, gap_end, reason, noted_at) values (%s, %s, %s, %s, %s)",
            (user_id, gap.start, gap.end, gap.reason.value, now),
        )


def judge_refused_again(connection: Connection, *, user_id: int, since: datetime | None) -> int:
    """Gaps of refused items that begin at `since` or later (None: all) go: the page in hand shows what they were."""
    return connection.execute(
        "delete from raw.poll_gaps where user_id = %s and reason = 'refused_items'"
        " and gap_start >= coalesce(%s, '-infinity'::timestamptz)",
        (user_id, since),
    ).rowcount


def close_open_gap(connection: Connection, *, user_id: int, gap_end: datetime | None) -> tuple[datetime, str] | None:
    """The user is polled again: the open gap reaches to `gap_end`, or (None) nothing was missed and it goes.

    Returns its start and reason, if there was one.
    """
    statement = (
        "delete from raw.poll_gaps where user_id = %(user_id)s and gap_end is null returning gap_start, reason"
        if gap_end is None
        else "update raw.poll_gaps set gap_end = greatest(gap_start, %(gap_end)s)"
        " where user_id = %(user_id)s and gap_end is null returning gap_start, reason"
    )
    row = connection.execute(statement, {"user_id": user_id, "gap_end": gap_end}).fetchone()
    return (row[0], row[1]) if row is not None else None


def next_poll_id(connection: Connection) -> int:
    row = connection.execute("select nextval('raw.batch_id_seq')").fetchone()
    assert row is not None
    return int(row[0])


def prune(connection: Connection, *, before: datetime) -> int:
    """Lines of the log that nobody needs any more; nothing is computed from them."""
    return connection.execute("delete from ops.polls where polled_at < %s", (before,)).rowcount
