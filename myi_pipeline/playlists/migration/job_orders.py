"""Orders that jobs carry out: placing them, putting them off, giving up, and storing the plans that jobs make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.playlists.migration.item_rows import FoundItems
from myi_pipeline.playlists.migration.store import (
    CancelAsked,
    Migration,
    cut_name,
    kept_note,
    kept_reason,
    note_state,
    one_order_per_playlist,
)
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.playlists import Capabilities


@dataclass(frozen=True, kw_only=True)
class DueOrder:
    """An order for a job: `plan` or `apply`. `attempts`: how often it was started without success."""

    migration_id: int
    user_id: int
    account_id: int
    ordered: str
    attempts: int
    is_being_cancelled: bool


def order_plan(
    connection: Connection,
    *,
    user_id: int,
    source: tuple[int, int, str],
    target_account_id: int,
    target_playlist: str | None,
    target_name: str,
    is_equal: bool,
    now: datetime,
    due_at: datetime,
    reason: str,
) -> int:
    """Create a migration that is to be planned, not before `due_at`. Returns its number."""
    values = {
        "user_id": user_id, "playlist_id": source[0], "version_no": source[1], "source_name": cut_name(source[2]),
        "account_id": target_account_id, "into": target_playlist, "name": target_name, "is_equal": is_equal, "now": now,
        "saved_id": None,
    }  # fmt: skip
    with one_order_per_playlist(), connection.transaction():
        row = connection.execute(load_sql("playlists/migration_order"), values).fetchone()
        assert row is not None
        put_off(connection, migration_id=int(row[0]), attempts=0, due_at=due_at, reason=reason)
    return int(row[0])


def order_apply(connection: Connection, migration: Migration, *, now: datetime, due_at: datetime, reason: str) -> None:
    """Let a job continue a migration that is being applied, not before `due_at`. Does nothing if another order for the
    same playlist exists.
    """
    values = {"user_id": migration.user_id, "migration_id": migration.migration_id, "now": now}
    try:
        with connection.transaction():
            locked = connection.execute(
                "select state, cancel_asked_at is not null from app.migrations where migration_id = %s for update",
                (migration.migration_id,),
            ).fetchone()
            if locked == ("applying", True):
                note_state(connection, migration_id=migration.migration_id, state="cancelled", now=now)
            elif locked is not None and locked[0] == "applying":
                connection.execute(load_sql("playlists/migration_order_apply"), values)
                put_off(connection, migration_id=migration.migration_id, attempts=0, due_at=due_at, reason=reason)
    except UniqueViolation:
        return


def note_snapshot(
    connection: Connection,
    *,
    migration_id: int,
    version_no: int,
    source_name: str,
    target_playlist: str | None,
    target_name: str,
) -> None:
    """Record the source version and the target that a plan starts from. Raises PlaylistTaken."""
    values = {
        "migration_id": migration_id, "version_no": version_no, "source_name": cut_name(source_name),
        "target_playlist": target_playlist, "target_name": target_name,
    }  # fmt: skip
    with one_order_per_playlist():
        connection.execute(load_sql("playlists/migration_note_snapshot"), values)


def note_plan(
    connection: Connection,
    *,
    migration_id: int,
    target_before: Sequence[str],
    were_there: int,
    found: FoundItems,
    capabilities: Capabilities,
    note: str,
    now: datetime,
    target_now: Sequence[str] | None = None,
) -> None:
    """Store the plan that was ordered. `target_now`: what the target holds, for a run that adds to earlier runs'
    additions. Raises CancelAsked.
    """
    values = {
        "migration_id": migration_id, "target_before": Jsonb(list(target_before)), "were_there": were_there,
        "target_now": None if target_now is None else Jsonb(list(target_now)),
        "capabilities": Jsonb(asdict(capabilities)), "note": kept_note(note), "now": now,
    }  # fmt: skip
    with connection.transaction():
        if connection.execute(load_sql("playlists/migration_note_plan"), values).rowcount == 0:
            raise CancelAsked(f"migration {migration_id} was cancelled")
        found.hand_over(migration_id=migration_id)


def due_orders(connection: Connection, *, now: datetime, migration_id: int | None = None) -> tuple[DueOrder, ...]:
    """The orders that are due, the longest waiting first; with `migration_id`, only that migration's."""
    with connection.cursor(row_factory=class_row(DueOrder)) as cursor:
        values = {"now": now, "migration_id": migration_id}
        return tuple(cursor.execute(load_sql("playlists/migration_due_orders"), values).fetchall())


def order_of(connection: Connection, *, migration_id: int) -> DueOrder | None:
    """A migration's order, due or not."""
    query = (
        "select migration_id, user_id, target_account_id as account_id, ordered, attempts,"
        " cancel_asked_at is not null as is_being_cancelled from app.migrations"
        " where migration_id = %s and ordered is not null"
    )
    with connection.cursor(row_factory=class_row(DueOrder)) as cursor:
        return cursor.execute(query, (migration_id,)).fetchone()


def put_off(connection: Connection, *, migration_id: int, attempts: int, due_at: datetime, reason: str) -> None:
    """Put an order off: it is not started before `due_at`."""
    values = {
        "migration_id": migration_id, "attempts": attempts, "due_at": due_at, "reason": kept_reason(reason),
    }  # fmt: skip
    connection.execute(load_sql("playlists/migration_put_off"), values)


def begin(connection: Connection, *, migration_id: int, attempts: int, due_at: datetime) -> None:
    """Start an order. If nothing more is heard of this attempt, the order is resumed at `due_at`."""
    values = {"migration_id": migration_id, "attempts": attempts, "due_at": due_at, "reason": None}
    connection.execute(load_sql("playlists/migration_put_off"), values)


def give_up(connection: Connection, *, migration_id: int, reason: str, now: datetime) -> str | None:
    """Drop an order, and pause the saved migration if this is a run of one. Returns the migration's new state, None if
    nothing was ordered.
    """
    values = {"migration_id": migration_id, "reason": kept_reason(reason), "now": now}
    with connection.transaction():
        row = connection.execute(load_sql("playlists/migration_give_up"), values).fetchone()
        if row is not None and row[1] is not None:
            pause_saved(connection, saved_id=row[1], reason=reason, now=now)
    return None if row is None else str(row[0])


def pause_saved(connection: Connection, *, saved_id: int, reason: str | None, now: datetime) -> None:
    """Pause a saved migration. `reason`: why it was paused automatically; None if its user paused it."""
    values = {"saved_id": saved_id, "reason": kept_reason(reason), "now": now}
    connection.execute(load_sql("playlists/saved_pause"), values)


def order_run(
    connection: Connection,
    *,
    user_id: int,
    saved_id: int,
    source: tuple[int, int, str],
    target_account_id: int,
    target_playlist: str,
    target_name: str,
    is_equal: bool,
    now: datetime,
) -> int:
    """Order a run of a saved migration, due at once. Returns the run's number. Raises PlaylistTaken."""
    values = {
        "user_id": user_id, "playlist_id": source[0], "version_no": source[1], "source_name": cut_name(source[2]),
        "account_id": target_account_id, "into": target_playlist, "name": target_name, "is_equal": is_equal,
        "now": now, "saved_id": saved_id,
    }  # fmt: skip
    with one_order_per_playlist():
        row = connection.execute(load_sql("playlists/migration_order"), values).fetchone()
    assert row is not None
    return int(row[0])
