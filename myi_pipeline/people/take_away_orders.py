"""Exports that people requested: their rows in app.exports, from request to file.

A job of the daemon makes them (operations/take_away/make_wanted.py). Attempts are numbered: one that was wrongly
presumed dead writes nothing more here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from psycopg.rows import class_row

from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import set_user

State = Literal["ordered", "running", "done", "failed"]
# Progress is reported every few seconds.
_SILENT_FOR: Final = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class WantedExport:
    """One export.

    `rows_done` of about `rows_total` rows are written. `file_name` is in the store unless it has been deleted there.
    """

    export_id: int
    with_marts: bool
    state: State
    ordered_at: datetime
    begun_at: datetime | None
    finished_at: datetime | None
    rows_done: int
    rows_total: int
    file_name: str | None
    size_bytes: int | None
    events: int | None
    marts_are_current: bool | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class TakenExport:
    """An export that is being made, and the number of this attempt."""

    export_id: int
    user_id: int
    user_key: str
    with_marts: bool
    attempts: int


def order_export(
    connection: Connection, *, user_id: int, with_marts: bool = True, address: str | None = None
) -> WantedExport:
    """Requests one, or returns the one in progress."""
    with connection.transaction():
        set_user(connection, user_id)
        made = connection.execute(load_sql("people/exports/order"), {"user_id": user_id, "with_marts": with_marts})
        if made.rowcount:
            audit.record(connection, Event.EXPORT_ORDERED, user_id=user_id, address=address)
    found = list_exports(connection, user_id=user_id)
    return found[0]


def list_exports(connection: Connection, *, user_id: int) -> tuple[WantedExport, ...]:
    """One user's exports, newest first."""
    with connection.transaction(), connection.cursor(row_factory=class_row(WantedExport)) as cursor:
        set_user(connection, user_id)
        return tuple(cursor.execute(load_sql("people/exports/list"), {"user_id": user_id}).fetchall())


def forget_export(
    connection: Connection, *, user_id: int, export_id: int, address: str | None = None
) -> WantedExport | None:
    """Deletes the row of one that is not being made, and returns it. The caller must delete its file."""
    with connection.transaction():
        found = {each.export_id: each for each in list_exports(connection, user_id=user_id)}.get(export_id)
        if found is None or found.state == "running":
            return None
        gone = connection.execute(
            "delete from app.exports where user_id = %s and export_id = %s and state = %s",
            (user_id, export_id, found.state),
        )
        if gone.rowcount != 1:
            return None
        audit.record(connection, Event.EXPORT_DELETED, user_id=user_id, address=address)
    return found


def due_exports(connection: Connection, *, now: datetime) -> tuple[int, ...]:
    """Ids of exports to be made now, oldest first."""
    rows = connection.execute(load_sql("people/exports/due"), {"silent_since": now - _SILENT_FOR}).fetchall()
    return tuple(int(row[0]) for row in rows)


def take_export(connection: Connection, *, export_id: int, now: datetime) -> TakenExport | None:
    """Begins to make one; None if it does not exist, is done, or is being made."""
    with connection.cursor(row_factory=class_row(TakenExport)) as cursor:
        values = {"export_id": export_id, "now": now, "silent_since": now - _SILENT_FOR}
        return cursor.execute(load_sql("people/exports/take"), values).fetchone()


def note_progress(
    connection: Connection, taken: TakenExport, *, rows_done: int, rows_total: int, now: datetime
) -> bool:
    """False if it no longer belongs to this attempt: its owner no longer exists, or another attempt has begun."""
    values = {"rows_done": rows_done, "rows_total": rows_total, "now": now, **_keys(taken)}
    return connection.execute(load_sql("people/exports/progress"), values).rowcount == 1


def finish_export(
    connection: Connection,
    taken: TakenExport,
    *,
    file_name: str,
    size_bytes: int,
    events: int,
    marts_are_current: bool | None,
    now: datetime,
) -> bool:
    """False if it no longer belongs to this attempt."""
    values = {
        "file_name": file_name, "size_bytes": size_bytes, "events": events, "marts_are_current": marts_are_current,
        "now": now, **_keys(taken),
    }  # fmt: skip
    with connection.transaction():
        is_finished = connection.execute(load_sql("people/exports/finish"), values).rowcount == 1
        if is_finished:
            audit.record(connection, Event.EXPORT_MADE, user_id=taken.user_id, detail={"file": file_name})
    return is_finished


def fail_export(connection: Connection, taken: TakenExport, *, error: str, is_final: bool, now: datetime) -> None:
    values = {"error": error[:500], "is_final": is_final, "now": now, **_keys(taken)}
    connection.execute(load_sql("people/exports/fail"), values)


def prune_exports(connection: Connection, *, before: datetime) -> int:
    """Deletes the rows of those that ended before then, whose files are also deleted; returns how many."""
    return connection.execute("delete from app.exports where finished_at < %s", (before,)).rowcount


def _keys(taken: TakenExport) -> dict[str, int]:
    return {"export_id": taken.export_id, "attempt": taken.attempts}
