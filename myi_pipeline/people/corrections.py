"""What people say about their own plays: hide these, forget those, this clock was wrong, that was another song.

A row says which plays it means (Described) and what becomes of them. Nothing here touches what the sources said: the
marts apply the rows to it (`int_plays__corrected` in dbt), also to plays that arrive later, and a row that is undone is
applied no longer. The days that move enter the change ledger by a trigger (0010_80_corrections.sql).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal, get_args

import psycopg
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.wake_ups import Wake, wake

Action = Literal["hide", "delete", "correct"]
Kind = Literal["track", "episode", "chapter", "unknown"]
ACTIONS: tuple[Action, ...] = get_args(Action)
KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST_NOTE = 200
# A year and a day: what a device shows that has lost its date is corrected by no constant.
LONGEST_SHIFT_S = 31_622_400
# As the trigger check_correction has them.
MOST_DESCRIBED, MOST_NAMED = 200, 2_000
# Of the list: all that hold, and as many undone ones as there is room for.
MOST_LISTED = 2_500
_SHIFT = re.compile(r"([+-]?)(\d{1,4}):([0-5]\d)(?::([0-5]\d))?\Z", re.ASCII)
_REFUSED = ("MYI02", "MYI03")


@dataclass(frozen=True, kw_only=True)
class Described:
    """Which plays are meant, as their sources report them; None does not narrow.

    `event_id` is one play's `play_id`, and `event_at` its `reported_at`: the play is meant that holds this event,
    whatever else is found to be part of it later. Times are UTC; `until_at` is the first moment after.
    """

    event_id: int | None = None
    event_at: datetime | None = None
    from_at: datetime | None = None
    until_at: datetime | None = None
    artist_id: int | None = None
    source: str | None = None
    kind: Kind | None = None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What becomes of the plays. `correct` moves them by `shift_s` seconds, names another content, or both."""

    action: Action
    described: Described
    shift_s: int | None = None
    to_content_id: int | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Correction(Described):
    """One that was made; `undone_at` is None while it holds."""

    correction_id: int
    action: Action
    shift_s: int | None
    to_content_id: int | None
    note: str | None
    created_at: datetime
    undone_at: datetime | None


def list_corrections(
    connection: Connection, *, user_id: int, correction_id: int | None = None, limit: int = MOST_LISTED
) -> tuple[Correction, ...]:
    """What holds, the newest first, then what was undone."""
    values = {"user_id": user_id, "correction_id": correction_id, "limit": limit}
    with _as_user(connection, user_id), connection.cursor(row_factory=class_row(Correction)) as cursor:
        return tuple(cursor.execute(load_sql("people/corrections/list_corrections"), values).fetchall())


def add_correction(connection: Connection, *, user_id: int, wish: Wish, address: str | None = None) -> int:
    """Its number. The marts follow with the next refresh, which is told at once. Raises BadInput."""
    check_wish(wish)
    values = {name.name: getattr(wish.described, name.name) for name in fields(Described)}
    values |= {"user_id": user_id, "action": wish.action, "note": wish.note or None}
    values |= {"shift_s": wish.shift_s, "to_content_id": wish.to_content_id}
    try:
        with _as_user(connection, user_id):
            check_source(connection, wish.described.source)
            row = connection.execute(load_sql("people/corrections/add_correction"), values).fetchone()
            assert row is not None
            detail = {"correction": row[0], "action": wish.action}
            audit.record(connection, Event.CORRECTED, user_id=user_id, address=address, detail=detail)
            wake(connection, Wake.CHANGES)
    except psycopg.Error as error:
        if error.sqlstate not in _REFUSED:
            raise
        raise BadInput(str(error.diag.message_primary), place="correction") from None
    return int(row[0])


def undo_correction(connection: Connection, *, user_id: int, correction_id: int, address: str | None = None) -> bool:
    """Take one back: its plays are again what the sources say. False if the user has no such correction that holds."""
    query = (
        "update app.corrections set undone_at = now()"
        " where user_id = %s and correction_id = %s and undone_at is null returning action"
    )
    with _as_user(connection, user_id):
        row = connection.execute(query, (user_id, correction_id)).fetchone()
        if row is not None:
            detail = {"correction": correction_id, "action": row[0]}
            audit.record(connection, Event.CORRECTION_UNDONE, user_id=user_id, address=address, detail=detail)
            wake(connection, Wake.CHANGES)
    return row is not None


def check_wish(wish: Wish) -> None:
    """Raises BadInput, which says what is missing or too much."""
    described = wish.described
    if wish.action not in ACTIONS:
        raise BadInput("a correction hides, deletes or corrects", place="action")
    check_described(described)
    if (wish.action == "correct") != (wish.shift_s is not None or wish.to_content_id is not None):
        raise BadInput(
            "say by how much the plays move or what was played"
            if wish.action == "correct"
            else "plays that are hidden or deleted are not corrected as well",
            place="correction",
        )
    if wish.shift_s is not None and not 0 < abs(wish.shift_s) <= LONGEST_SHIFT_S:
        raise BadInput("plays move by at least a second and at most 366 days", place="shift")
    if wish.note is not None and (len(wish.note) > LONGEST_NOTE or not wish.note.isprintable()):
        raise BadInput(f"a note has at most {LONGEST_NOTE} printable characters", place="note")


def check_described(described: Described) -> None:
    """Raises BadInput."""
    if all(getattr(described, each.name) is None for each in fields(Described)):
        raise BadInput("say which plays: one play, a span of time, an artist, a source or a kind", place="plays")
    if (described.event_id is None) != (described.event_at is None):
        raise BadInput("a play is named by its number and its time together", place="play")
    if described.kind is not None and described.kind not in KINDS:
        raise BadInput(f"a kind is one of {', '.join(KINDS)}", place="kind")
    first, last = described.from_at, described.until_at
    if first is not None and last is not None and first >= last:
        raise BadInput("the span ends before it begins", place="span")


def shift_of(text: str) -> int:
    """Seconds of `+1:00` or `-0:00:30`. Raises BadInput."""
    found = _SHIFT.match(text.strip().replace("\N{MINUS SIGN}", "-"))
    if found is None:
        raise BadInput("write how far the plays move as hours and minutes, such as +1:00 or -0:30", place="shift")
    sign, hours, minutes, seconds = found.groups()
    return (-1 if sign == "-" else 1) * (int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0))


def list_sources(connection: Connection) -> tuple[str, ...]:
    """Names of the sources, the most trusted first."""
    rows = connection.execute("select source from app.list_sources() order by rank, source").fetchall()
    return tuple(row[0] for row in rows)


def check_source(connection: Connection, source: str | None) -> None:
    """Raises BadInput for what is no source: as a condition it would narrow nothing."""
    if source is not None and source not in (known := list_sources(connection)):
        raise BadInput(f"a source is one of {', '.join(known)}", place="source")


@contextmanager
def _as_user(connection: Connection, user_id: int) -> Iterator[None]:
    """A transaction in which the role `app` sees and writes the rows of one user, and no others."""
    with connection.transaction():
        connection.execute("select set_config('app.user_id', %s, true)", (str(user_id),))
        yield
