"""The tables of polling: state, log, covered spans and gaps, the plays themselves, and the lock of a user's poll.

Plays, state, log, span and gaps of a poll are committed together, on the connection that holds the user's lock: a
process that has lost the lock cannot commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.plays import Source
from myi_pipeline.polling.obstacles import ALWAYS_BLOCKING, LOGIN_OBSTACLES
from myi_pipeline.polling.windows import ONE_PLAY_WITHIN, Gap, PolledPlay, PollState
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# First key of an advisory lock (the second is the user); it spells "myip".
_LOCK_SPACE = 0x6D796970


@dataclass(frozen=True)
class PolledUser:
    """A user who may be polled; `client_id` is that of the login, None without one."""

    user_id: int
    user_key: str
    client_id: str | None


@dataclass(frozen=True)
class DueUser:
    """A user who has been due since `due_at`."""

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
    account_key: str | None = None
    unread_fields: Mapping[str, int] = field(default_factory=dict)
    correlation_id: str | None = None


def find_users(connection: Connection, *, user_ids: Sequence[int]) -> dict[int, PolledUser]:
    """Those of `user_ids` that exist."""
    query = (
        "select u.user_id, u.user_key, c.client_id"
        " from app.users as u left join app.credentials as c on c.user_id = u.user_id and c.is_main"
        " where u.user_id = any(%s)"
    )
    with connection.cursor(row_factory=class_row(PolledUser)) as cursor:
        return {row.user_id: row for row in cursor.execute(query, (list(user_ids),))}


def due_users(connection: Connection, *, now: datetime, within: timedelta) -> tuple[DueUser, ...]:
    """Users who may be polled and are due `within` this time, longest waiting first."""
    values = {"now": now, "turn_at": now + within, "firm": list(ALWAYS_BLOCKING)}
    with connection.cursor(row_factory=class_row(DueUser)) as cursor:
        return tuple(cursor.execute(load_sql("polling/polls/due"), values).fetchall())


@contextmanager
def poll_lock(connection: Connection, *, user_id: int) -> Iterator[bool]:
    """Hold one user's polling across processes; False if another one does. Needs autocommit.

    A session lock: no transaction stays open during a request, and a killed process releases it.
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
        found = cursor.execute(load_sql("polling/polls/read_state"), {"user_id": user_id}).fetchone()
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
        "last_error": state.last_error,
    }
    connection.execute(load_sql("polling/polls/store_state"), values)


def bring_forward(connection: Connection, *, user_id: int, due_at: datetime) -> None:
    """Brings the next turn forward to that moment, if it is later. A poll under way sets its own turn afterwards."""
    connection.execute(
        "update ops.poll_states set due_at = %s where user_id = %s and due_at > %s", (due_at, user_id, due_at)
    )


def known_plays(connection: Connection, *, user_id: int, oldest: datetime, newest: datetime) -> list[PolledPlay]:
    """The polled plays in raw between these times, and within a second before and after."""
    values = {
        "user_id": user_id,
        "source": Source.SPOTIFY_API,
        "oldest": oldest - ONE_PLAY_WITHIN,
        "newest": newest + ONE_PLAY_WITHIN,
    }
    rows = connection.execute(load_sql("polling/polls/known_plays"), values)
    return [
        PolledPlay(played_at, frozenset([*digests, f"isrc {isrc.upper()}"] if isrc else digests))
        for played_at, digests, isrc in rows
    ]


def known_before(connection: Connection, *, user_id: int, moment: datetime) -> datetime | None:
    """The last polled play before a moment, within two months: a window reaches no further back."""
    row = connection.execute(
        "select max(played_at) from raw.listening_events"
        " where user_id = %s and source_id = %s and played_at < %s and played_at > %s",
        (user_id, Source.SPOTIFY_API, moment, moment - timedelta(days=62)),
    ).fetchone()
    return row[0] if row is not None else None


def insert_plays(
    connection: Connection, plays: Sequence[tuple[datetime, int | None]], *, user_id: int, poll_id: int
) -> int:
    """Returns how many were not there yet."""
    values = {
        "user_id": user_id,
        "source": Source.SPOTIFY_API,
        "poll_id": poll_id,
        "played_at": [played_at for played_at, _ in plays],
        "content_id": [content_id for _, content_id in plays],
    }
    return connection.execute(load_sql("polling/polls/insert_plays"), values).rowcount


def asked_account(connection: Connection, *, account: int, authorised_at: datetime) -> str | None:
    """The account whose login was made at that moment; None if it is gone, or another one is polled now.

    Locks the login until the transaction ends, so that an account's page is never stored under the next account.
    """
    row = connection.execute(
        "select account_key from app.credentials where provider_account_id = %s and authorised_at = %s and is_main"
        " for share",
        (account, authorised_at),
    ).fetchone()
    return str(row[0]) if row is not None else None


def record_poll(connection: Connection, entry: PollEntry, *, poll_id: int, user_id: int, polled_at: datetime) -> None:
    values = {
        **{name: getattr(entry, name) for name in PollEntry.__dataclass_fields__},
        "poll_id": poll_id,
        "user_id": user_id,
        "polled_at": polled_at,
        "refused": Jsonb(list(entry.refused)) if entry.refused else None,
        "unread_fields": Jsonb(dict(entry.unread_fields)) if entry.unread_fields else None,
    }
    connection.execute(load_sql("polling/polls/record_poll"), values)
    connection.execute(load_sql("polling/polls/note_account"), values)


def open_span(connection: Connection, *, user_id: int, polled_from: datetime) -> None:
    """Polling covers plays from here on; does nothing if it already does."""
    connection.execute(
        "insert into raw.polled_spans (user_id, polled_from) values (%s, %s)"
        " on conflict (user_id) where polled_to is null do nothing",
        (user_id, polled_from),
    )


def add_gaps(connection: Connection, gaps: Sequence[Gap], *, user_id: int, now: datetime) -> None:
    """Store the gaps, clipped to the span over which the user is polled."""
    for gap in gaps:
        values = {"user_id": user_id, "start": gap.start, "end": gap.end, "reason": gap.reason.value, "now": now}
        connection.execute(load_sql("polling/polls/add_gap"), values)


def judge_refused_again(connection: Connection, *, user_id: int, since: datetime | None) -> int:
    """Deletes gaps of refused items that begin at `since` or later (None: all): this page shows what they were."""
    return connection.execute(
        "delete from raw.poll_gaps where user_id = %s and reason = 'refused_items'"
        " and gap_start >= coalesce(%s, '-infinity'::timestamptz)",
        (user_id, since),
    ).rowcount


def close_open_gap(connection: Connection, *, user_id: int, gap_end: datetime | None) -> tuple[datetime, str] | None:
    """The user is polled again: ends the open gap at `gap_end` or, if None, deletes it because nothing was missed.

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


def failing_users(connection: Connection, *, least: int) -> list[tuple[str, int, str]]:
    """(user key, failures in a row, the last reason) of signed-in users with at least this many, most first."""
    values = {"least": least, "not_signed_in": list(LOGIN_OBSTACLES)}
    rows = connection.execute(load_sql("polling/polls/failing_users"), values)
    return [(key, failures, reason) for key, failures, reason in rows]


def emptied_users(connection: Connection) -> list[str]:
    """The keys of signed-in users whose last page was empty although some plays were known.

    Excludes users whose last page was entirely dated ahead of now.
    """
    rows = connection.execute(load_sql("polling/polls/emptied_users"), {"not_signed_in": list(LOGIN_OBSTACLES)})
    return [key for (key,) in rows]


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete old lines of the log; nothing is computed from them."""
    return connection.execute("delete from ops.polls where polled_at < %s", (before,)).rowcount
