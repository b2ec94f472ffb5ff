"""Corrections that people make to their own plays: hide, delete, fix a wrong clock, replace the content.

A row selects plays (Described) and states what to do with them. The sources' rows stay: the marts apply corrections to
them (`int_plays__corrected` in dbt), including plays that arrive later, and no longer apply one that is undone. A
trigger enters the changed days in the change ledger (0010_80_corrections.sql). Only deletions for good also delete from
raw, by another trigger (0012_21_for_good.sql), and again whenever an archive contains the plays.
"""

from __future__ import annotations

import re
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
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.postgres.wake_ups import Wake, wake

Action = Literal["hide", "delete", "correct"]
Kind = Literal["track", "episode", "chapter", "unknown"]
ACTIONS: tuple[Action, ...] = get_args(Action)
KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST_NOTE = 200
# A year and a day: a device that lost its date cannot be fixed by a constant shift.
LONGEST_SHIFT_S = 31_622_400
# The same as in the trigger check_correction.
MOST_DESCRIBED, MOST_NAMED = 200, 2_000
# Limit of the list: all in force, and as many undone ones as fit.
MOST_LISTED = 2_500
_SHIFT = re.compile(r"([+-]?)(\d{1,4}):([0-5]\d)(?::([0-5]\d))?\Z", re.ASCII)
_REFUSED = ("MYI02", "MYI03")


@dataclass(frozen=True, kw_only=True)
class Described:
    """A selection of plays as their sources report them; None does not narrow it.

    `event_id` is a play's `play_id`, and `event_at` its `reported_at`: it matches the play that contains this event,
    even if more events join it later. Times are UTC; `until_at` is exclusive.
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
    """What to do with the plays.

    `correct` moves them by `shift_s` seconds, replaces their content, or both. Deletions `for_good` delete the sources'
    rows as well."""

    action: Action
    described: Described
    shift_s: int | None = None
    to_content_id: int | None = None
    note: str | None = None
    for_good: bool = False


@dataclass(frozen=True, kw_only=True)
class Correction(Described):
    """A stored correction; `undone_at` is None while it is in force."""

    correction_id: int
    action: Action
    shift_s: int | None
    to_content_id: int | None
    note: str | None
    created_at: datetime
    undone_at: datetime | None
    for_good_at: datetime | None = None


def list_corrections(
    connection: Connection, *, user_id: int, correction_id: int | None = None, limit: int = MOST_LISTED
) -> tuple[Correction, ...]:
    """Corrections in force, newest first, then those that were undone."""
    values = {"user_id": user_id, "correction_id": correction_id, "limit": limit}
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(Correction)) as cursor:
        return tuple(cursor.execute(load_sql("people/corrections/list_corrections"), values).fetchall())


def add_correction(connection: Connection, *, user_id: int, wish: Wish, address: str | None = None) -> int:
    """Returns its id; a refresh is triggered at once. Raises BadInput."""
    check_wish(wish)
    values = {name.name: getattr(wish.described, name.name) for name in fields(Described)}
    values |= {"user_id": user_id, "action": wish.action, "note": wish.note or None}
    values |= {"shift_s": wish.shift_s, "to_content_id": wish.to_content_id}
    values |= {"for_good": wish.for_good}
    try:
        with as_user(connection, user_id):
            check_source(connection, wish.described.source)
            row = connection.execute(load_sql("people/corrections/add_correction"), values).fetchone()
            assert row is not None
            detail = {"correction": row[0], "action": wish.action, **({"for_good": True} if wish.for_good else {})}
            audit.record(connection, Event.CORRECTED, user_id=user_id, address=address, detail=detail)
            wake(connection, Wake.CHANGES)
    except psycopg.Error as error:
        if error.sqlstate not in _REFUSED:
            raise
        raise BadInput(str(error.diag.message_primary), place="correction") from None
    return int(row[0])


def undo_correction(connection: Connection, *, user_id: int, correction_id: int, address: str | None = None) -> bool:
    """Undoes one: its plays are again as the sources report them. False if the user has no such correction in force."""
    query = (
        "update app.corrections set undone_at = now()"
        " where user_id = %s and correction_id = %s and undone_at is null returning action"
    )
    with as_user(connection, user_id):
        row = connection.execute(query, (user_id, correction_id)).fetchone()
        if row is not None:
            detail = {"correction": correction_id, "action": row[0]}
            audit.record(connection, Event.CORRECTION_UNDONE, user_id=user_id, address=address, detail=detail)
            wake(connection, Wake.CHANGES)
    return row is not None


def check_wish(wish: Wish) -> None:
    """Raises BadInput, which names what is missing or superfluous."""
    described = wish.described
    if wish.action not in ACTIONS:
        raise BadInput("a correction must hide, delete or correct", place="action")
    check_described(described)
    if (wish.action == "correct") != (wish.shift_s is not None or wish.to_content_id is not None):
        raise BadInput(
            "give a shift or the track that was played"
            if wish.action == "correct"
            else "hide and delete take no shift and no other track",
            place="correction",
        )
    if wish.for_good:
        _check_for_good(wish)
    if wish.shift_s is not None and not 0 < abs(wish.shift_s) <= LONGEST_SHIFT_S:
        raise BadInput("the shift must be between one second and 366 days", place="shift")
    if wish.note is not None and (len(wish.note) > LONGEST_NOTE or not wish.note.isprintable()):
        raise BadInput(f"a note has at most {LONGEST_NOTE} printable characters", place="note")


def _check_for_good(wish: Wish) -> None:
    if wish.action != "delete":
        raise BadInput("only a deletion can be for good", place="for good")
    if wish.described.event_id is not None or wish.described.kind is not None:
        raise BadInput("only a time span, an artist or a source can be deleted for good, not a single play or a kind")
    if wish.note:
        raise BadInput("a deletion for good cannot have a note", place="note")


def check_described(described: Described) -> None:
    """Raises BadInput."""
    if all(getattr(described, each.name) is None for each in fields(Described)):
        raise BadInput("select plays: one play, a time span, an artist, a source or a kind", place="plays")
    if (described.event_id is None) != (described.event_at is None):
        raise BadInput("a single play needs both its id and its time", place="play")
    if described.kind is not None and described.kind not in KINDS:
        raise BadInput(f"the kind must be one of {', '.join(KINDS)}", place="kind")
    first, last = described.from_at, described.until_at
    if first is not None and last is not None and first >= last:
        raise BadInput("the span ends before it begins", place="span")


def shift_of(text: str) -> int:
    """Seconds of `+1:00` or `-0:00:30`. Raises BadInput."""
    found = _SHIFT.match(text.strip().replace("\N{MINUS SIGN}", "-"))
    if found is None:
        raise BadInput("write the shift as hours and minutes, such as +1:00 or -0:30", place="shift")
    sign, hours, minutes, seconds = found.groups()
    return (-1 if sign == "-" else 1) * (int(hours) * 3600 + int(minutes) * 60 + int(seconds or 0))


def list_sources(connection: Connection) -> tuple[str, ...]:
    """Names of the sources, most trusted first."""
    rows = connection.execute("select source from app.list_sources() order by rank, source").fetchall()
    return tuple(row[0] for row in rows)


def check_source(connection: Connection, source: str | None) -> None:
    """Raises BadInput for an unknown source: an unknown name would not narrow the selection."""
    if source is not None and source not in (known := list_sources(connection)):
        raise BadInput(f"the source must be one of {', '.join(known)}", place="source")
