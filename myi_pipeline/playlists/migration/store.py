"""The rows of migrations: what moves where, in which state, and which playlists are taken.

`connection` is in autocommit everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.errors import UniqueViolation
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.migration.item_rows import FoundItems
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.playlists import Capabilities

_LONGEST_SOURCE_NAME, _LONGEST_NOTE, _LONGEST_REASON = 400, 600, 300
# States in which nothing is going on.
OVER = frozenset({"done", "incomplete", "cancelled", "failed"})


class CancelAsked(BadInput):
    """The user has cancelled the migration while it was being worked on."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    migration_id: int
    user_id: int
    source_playlist_id: int
    source_version_no: int
    source_name: str
    target_account_id: int
    provider: str
    target_playlist: str | None
    target_name: str
    is_equal: bool
    state: str
    target_before: list[str]
    created_at: datetime
    finished_at: datetime | None
    last_error: str | None
    saved_id: int | None
    target_now: list[str] | None


class PlaylistTaken(BadInput):
    """Another migration is writing to this playlist, or is about to."""


@contextmanager
def one_order_per_playlist() -> Iterator[None]:
    """Raises PlaylistTaken if the database refuses a second order for one playlist."""
    try:
        yield
    except UniqueViolation:
        raise PlaylistTaken(
            "another migration is using this playlist: wait until it is done, or cancel it", place="into"
        ) from None


def create_migration(
    connection: Connection,
    *,
    user_id: int,
    source: tuple[int, int, str],
    target_account_id: int,
    target_playlist: str | None,
    target_name: str,
    target_before: Sequence[str],
    were_there: int,
    is_equal: bool,
    found: FoundItems,
    capabilities: Capabilities,
    note: str,
    now: datetime,
) -> int:
    """Create a planned migration; returns its number. `source`: playlist, version and name. `note`: what could not be
    looked up at the service.
    """
    values = {
        "user_id": user_id, "playlist_id": source[0], "version_no": source[1], "source_name": cut_name(source[2]),
        "account_id": target_account_id, "target_playlist": target_playlist, "target_name": target_name,
        "is_equal": is_equal, "target_before": Jsonb(list(target_before)), "were_there": were_there,
        "now": now,
        "capabilities": Jsonb(asdict(capabilities)), "note": kept_note(note),
    }  # fmt: skip
    with connection.transaction():
        row = connection.execute(load_sql("playlists/migration_insert"), values).fetchone()
        assert row is not None
        migration_id = int(row[0])
        found.hand_over(migration_id=migration_id)
    return migration_id


def cut_name(name: str) -> str:
    """A playlist's name as a migration stores it."""
    return storable_text(name)[:_LONGEST_SOURCE_NAME]


def kept_note(note: str) -> str | None:
    """What could not be looked up at a service, as a migration stores it."""
    return storable_text(note)[:_LONGEST_NOTE] or None


def kept_reason(reason: str | None) -> str | None:
    """What went wrong, as a migration stores it."""
    return None if reason is None else storable_text(reason[:_LONGEST_REASON])


def list_migrations(connection: Connection, *, user_id: int, migration_id: int | None = None) -> tuple[Migration, ...]:
    values = {"user_id": user_id, "migration_id": migration_id}
    with connection.cursor(row_factory=class_row(Migration)) as cursor:
        return tuple(cursor.execute(load_sql("playlists/migration_find"), values).fetchall())


def find_migration(connection: Connection, *, migration_id: int) -> Migration | None:
    """A migration of any user, for jobs."""
    with connection.cursor(row_factory=class_row(Migration)) as cursor:
        values = {"user_id": None, "migration_id": migration_id}
        return cursor.execute(load_sql("playlists/migration_find"), values).fetchone()


def get_migration(connection: Connection, *, user_id: int, migration_id: int) -> Migration:
    """Raises BadInput for a migration that is not this user's."""
    found = list_migrations(connection, user_id=user_id, migration_id=migration_id)
    if not found:
        raise BadInput(
            f"there is no migration {migration_id}: `myi migrate-playlist status` lists them", place="migration"
        )
    return found[0]


def note_state(
    connection: Connection, *, migration_id: int, state: str, now: datetime, error: str | None = None
) -> None:
    """Set a migration's state. A state in OVER also removes its order."""
    values = {
        "migration_id": migration_id, "state": state, "now": now, "is_over": state in OVER,
        "error": kept_reason(error),
    }  # fmt: skip
    connection.execute(load_sql("playlists/migration_note_state"), values)


def note_target(connection: Connection, *, migration_id: int, playlist_id: str) -> None:
    connection.execute(
        "update app.migrations set target_playlist = %s where migration_id = %s", (playlist_id, migration_id)
    )


def applied_entries(connection: Connection, *, migration_id: int) -> dict[str, str]:
    """What the target holds of a migration that is done: URIs by position."""
    row = connection.execute(load_sql("playlists/migration_applied"), {"migration_id": migration_id}).fetchone()
    assert row is not None
    return dict(row[0])


def note_more_to_add(connection: Connection, *, migration_id: int, applied: Mapping[str, str] | None) -> None:
    """Mark an applied migration as incomplete again. Its owner may have changed a playlist that was made equal, so from
    now on entries are only added to it. `applied`: its entries if it was done.
    """
    values = {"migration_id": migration_id, "applied": Jsonb(applied)}
    connection.execute(load_sql("playlists/migration_more_to_add"), values)


def note_done_again(connection: Connection, *, migration_id: int) -> None:
    """Mark a migration that later decisions made incomplete as done, if nothing is left that was not applied."""
    connection.execute(load_sql("playlists/migration_done_again"), {"migration_id": migration_id})


def targets_of_others(connection: Connection, migration: Migration) -> frozenset[str]:
    """Playlists of the account that other migrations write to."""
    rows = connection.execute(
        "select target_playlist from app.migrations where target_account_id = %s and migration_id <> %s"
        " and target_playlist is not null",
        (migration.target_account_id, migration.migration_id),
    ).fetchall()
    return frozenset(str(each) for (each,) in rows)


def open_creations_of_others(connection: Connection, migration: Migration, *, name: str) -> tuple[Migration, ...]:
    """Other migrations that began to create a playlist with this name at the same account, with an unknown outcome."""
    rows = connection.execute(
        "select m.user_id, m.migration_id from app.migration_writes as w"
        " inner join app.migrations as m on m.migration_id = w.migration_id"
        " where w.outcome is null and w.step ->> 'kind' = 'create' and w.step ->> 'name' = %s"
        " and m.target_account_id = %s and m.migration_id <> %s order by m.migration_id",
        (name, migration.target_account_id, migration.migration_id),
    ).fetchall()
    return tuple(get_migration(connection, user_id=user_id, migration_id=number) for user_id, number in rows)


def check_free(connection: Connection, *, account_id: int, playlist: str | None, except_id: int | None) -> None:
    """Raises PlaylistTaken if a migration other than `except_id` is writing to the playlist, or about to."""
    row = connection.execute(
        "select migration_id from app.migrations where target_account_id = %s and target_playlist = %s"
        " and (ordered is not null or state = 'applying') and migration_id is distinct from %s limit 1",
        (account_id, playlist, except_id),
    ).fetchone()
    if row is not None:
        raise PlaylistTaken(
            f"migration {row[0]} is using this playlist: wait until it is done, or cancel it", place="into"
        )
