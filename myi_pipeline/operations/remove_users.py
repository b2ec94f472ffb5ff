"""Removing a user, and what removing the rows leaves behind: files, and names that no other user plays.

Rows go with app.users, by triggers; the marts follow with the next refresh. Whoever deletes a row of app.users, by
whatever means, leaves a removal behind that is finished sooner or later; killed anywhere, it continues from there. A
key is free for somebody else only when nothing of its old holder is left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace

from psycopg.rows import class_row

from myi_pipeline.archives.loading import drop_abandoned_staging
from myi_pipeline.people.uploads_folder import delete_uploads_folder
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)


_NAMES_A_BATCH = 500
# Transactions of others take moments; what takes longer is waited for by the next call.
_LOOKS_FOR_ORPHANS, _BETWEEN_LOOKS_S = 10, 0.05


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A user who is removed and of whom something is left."""

    removal_id: int
    user_key: str
    holds_key: bool
    has_files: bool
    has_names: bool
    is_in_marts: bool
    last_error: str | None
    has_partition: bool = False

    @property
    def what_is_left(self) -> tuple[str, ...]:
        """In words."""
        left = {
            "files in the uploads folder": self.has_files,
            "names that only this user played": self.has_names,
            "rows of the marts, until the next refresh": self.is_in_marts,
            "a partition in Dagster": self.has_partition,
        }
        return tuple(text for text, is_left in left.items() if is_left)


def list_removals(connection: Connection, *, user_key: str | None = None) -> tuple[Removal, ...]:
    """Removals that are not finished, the oldest first."""
    with connection.cursor(row_factory=class_row(Removal)) as cursor:
        return tuple(cursor.execute(load_sql("operations/removals/list_removals"), {"user_key": user_key}).fetchall())


def finish_removals(
    warehouse: Warehouse, settings: Settings, *, partition_keys: Collection[str] | None = None
) -> tuple[Removal, ...]:
    """Clear away what can be cleared away now; returns the removals of which something is left.

    `partition_keys` are Dagster's; without them a partition is taken to be there wherever Dagster has a home. What is
    in the way of one removal stays in its row, and stops no other.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi removal")) as connection:
        for removal in list_removals(connection):
            try:
                if removal.has_files:
                    _delete_files(connection, settings, removal)
                if removal.has_names:
                    _delete_names(connection, removal)
            except OSError as error:
                _note_error(connection, removal, f"the uploads folder could not be deleted: {error.strerror}")
            # Names also lie in the tables of an import that died.
            drop_abandoned_staging(connection)
        left: list[Removal] = []
        for found in list_removals(connection):
            # If the key has a new user, the partition is theirs.
            is_known = found.holds_key and _has_partition(settings, found.user_key, partition_keys)
            removal = replace(found, has_partition=is_known)
            if removal.what_is_left:
                left.append(removal)
                continue
            try:
                # Again: an upload that was under way may have made the folder again.
                _delete_files(connection, settings, removal)
                connection.execute("delete from ops.removals where removal_id = %s", (removal.removal_id,))
            except OSError as error:
                _note_error(connection, removal, f"the uploads folder could not be deleted: {error.strerror}")
                left.append(removal)
        connection.execute("delete from ops.orphans where deleted_at < now() - interval '2 days'")
        return tuple(left)


def _has_partition(settings: Settings, user_key: str, partition_keys: Collection[str] | None) -> bool:
    return user_key in partition_keys if partition_keys is not None else settings.dagster_home.exists()


def _delete_files(connection: Connection, settings: Settings, removal: Removal) -> None:
    with connection.transaction():
        row = connection.execute(
            "select r.holds_key, exists (select from app.users as u where u.user_key = r.user_key)"
            " from ops.removals as r where r.removal_id = %s for update",
            (removal.removal_id,),
        ).fetchone()
        if row is None:
            return
        # A user who has the key again, as the same person may, keeps what was put there since.
        if not row[1]:
            delete_uploads_folder(settings, user_key=removal.user_key, removal_id=removal.removal_id)
        connection.execute(
            "update ops.removals set files_deleted_at = now(), last_error = null where removal_id = %s",
            (removal.removal_id,),
        )


def _delete_names(connection: Connection, removal: Removal) -> None:
    """In batches, each a transaction of its own. What somebody asks Spotify about right now waits for the next call."""
    for _ in range(_LOOKS_FOR_ORPHANS):
        # The first call notes which transactions are under way; the first one after they have ended goes on.
        row = connection.execute("select ops.find_orphans(%s)", (removal.removal_id,)).fetchone()
        if row and row[0]:
            break
        time.sleep(_BETWEEN_LOOKS_S)
    else:
        return
    left = _orphans_left(connection, removal)
    while left:
        retry_conflicts(lambda: _delete_batch(connection, removal))
        before, left = left, _orphans_left(connection, removal)
        if left == before:
            return
    connection.execute("update ops.removals set names_deleted_at = now() where removal_id = %s", (removal.removal_id,))


def _delete_batch(connection: Connection, removal: Removal) -> None:
    with connection.transaction():
        connection.execute(
            "create temporary table moved_match_keys on commit drop as"
            " select match_key from ops.delete_orphans(%s, %s) as match_key",
            (removal.removal_id, _NAMES_A_BATCH),
        )
        # A name that two contents shared may be left with one of them.
        for statement in load_statements("catalogue/load/alias_names"):
            connection.execute(statement)


def _orphans_left(connection: Connection, removal: Removal) -> int:
    row = connection.execute(
        "select count(*) from ops.orphans where removal_id = %s and deleted_at is null", (removal.removal_id,)
    ).fetchone()
    return int(row[0]) if row is not None else 0


def _note_error(connection: Connection, removal: Removal, error: str) -> None:
    log.warning("%s", error)
    connection.execute(
        "update ops.removals set last_error = %s where removal_id = %s", (error[:300], removal.removal_id)
    )
