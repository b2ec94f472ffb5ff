"""Cleaning up after a user's rows are deleted: files, names that no other user plays, traces in Dagster and logs.

Rows are deleted with app.users, by triggers (erase_users); the marts follow with the next refresh. Deleting a row of
app.users by any means leaves a removal that is finished sooner or later; if killed, it continues from there. A key is
free for somebody else only when nothing of its former holder is left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg
from psycopg.rows import class_row

from myi_pipeline.archives.loading import drop_abandoned_staging
from myi_pipeline.archives.uploads.bucket import forget_fetched
from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.operations.dagster_traces import clear_dagster, runs_from_before
from myi_pipeline.operations.log_traces import clear_logs
from myi_pipeline.operations.redaction import Traces
from myi_pipeline.people.uploads_folder import delete_uploads_folder
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_store

log = logging.getLogger(__name__)


_NAMES_A_BATCH = 500
# Other transactions are short; the next call waits for longer ones.
_LOOKS_FOR_ORPHANS, _BETWEEN_LOOKS_S = 10, 0.05
_LOOKS_FOR_TRACES = 3
_LOCK = 0x6D796972


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A removed user with something left."""

    removal_id: int
    user_key: str
    user_id: int
    holds_key: bool
    has_files: bool
    has_names: bool
    is_in_marts: bool
    last_error: str | None
    receipt_id: str | None = None
    traces: tuple[str, ...] = ()
    removed_at: datetime | None = None
    has_partition: bool = False
    has_traces: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "traces", tuple(self.traces))

    @property
    def what_is_left(self) -> tuple[str, ...]:
        """In words."""
        left = {
            "files that were uploaded or exported": self.has_files,
            "names that only this user played": self.has_names,
            "rows of the marts, until the next refresh": self.is_in_marts,
            "a partition in Dagster": self.has_partition,
            "records of Dagster and log files": self.has_traces,
        }
        return tuple(text for text, is_left in left.items() if is_left)


def list_removals(connection: Connection, *, user_key: str | None = None) -> tuple[Removal, ...]:
    """Removals that are not finished, oldest first."""
    with connection.cursor(row_factory=class_row(Removal)) as cursor:
        return tuple(cursor.execute(load_sql("operations/removals/list_removals"), {"user_key": user_key}).fetchall())


def finish_removals(
    warehouse: Warehouse,
    settings: Settings,
    *,
    partition_keys: Collection[str] | None = None,
    looks_every: timedelta | None = None,
    own_run: str | None = None,
    wait_s: float = 10.0,
) -> tuple[Removal, ...]:
    """Clear away what can be cleared away now; returns the removals of which something is left.

    `partition_keys` are Dagster's; without them a partition is taken to be there wherever Dagster has a home. An
    obstacle to one removal is recorded in its row and does not stop others. Logs and Dagster's records are read whole:
    with `looks_every`, not more often than that for one removal, and not at all where logs lie in a bucket, which takes
    longer than a sensor has. Runs that began before the removal, except `own_run`, are waited for: they may still
    write. While another process is at it, it is waited for `wait_s`.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi removal")) as connection:
        if not _lock(connection, wait_s=wait_s):
            return tuple(replace(each, has_traces=True) for each in list_removals(connection))
        for removal in list_removals(connection):
            if removal.has_files:
                with _noting(connection, removal, "uploads and exports could not be deleted"):
                    _delete_files(connection, settings, removal)
            if removal.has_names:
                with _noting(connection, removal, "names could not be deleted"):
                    _delete_names(connection, removal)
            # The tables of an import that died also contain names.
            drop_abandoned_staging(connection)
        left: list[Removal] = []
        for found in list_removals(connection):
            # If the key has a new user, the partition is theirs.
            is_known = found.holds_key and _has_partition(settings, found.user_key, partition_keys)
            removal = replace(found, has_partition=is_known)
            if removal.what_is_left:
                left.append(removal)
                continue
            is_done = False
            is_for_later = looks_every is not None and settings.compute_logs is not None
            if is_for_later or not _begin_look(connection, removal, looks_every=looks_every):
                left.append(replace(removal, has_traces=True))
                continue
            with _noting(connection, removal, "traces could not be cleared away"):
                # Again: an upload or export that was under way may have made a folder again.
                _delete_files(connection, settings, removal)
                if removal.holds_key:
                    if removal.removed_at and runs_from_before(warehouse, removal.removed_at, own_run=own_run):
                        raise Transient("runs that began before are still going")
                    _clear_traces(warehouse, settings, removal)
                _end(connection, removal)
                is_done = True
            if not is_done:
                left.append(replace(removal, has_traces=True))
        connection.execute("delete from ops.orphans where deleted_at < now() - interval '2 days'")
        return tuple(left)


def _has_partition(settings: Settings, user_key: str, partition_keys: Collection[str] | None) -> bool:
    return user_key in partition_keys if partition_keys is not None else settings.dagster_home.exists()


def _lock(connection: Connection, *, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        row = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if row is not None and row[0]:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(_BETWEEN_LOOKS_S)


def _begin_look(connection: Connection, removal: Removal, *, looks_every: timedelta | None) -> bool:
    """Noted before: a look that is killed for its length is not taken again at once."""
    noted = connection.execute(
        "update ops.removals set looked_at = now() where removal_id = %s"
        " and (%s::interval is null or looked_at is null or looked_at < now() - %s::interval)",
        (removal.removal_id, looks_every, looks_every),
    )
    return noted.rowcount > 0


def _clear_traces(warehouse: Warehouse, settings: Settings, removal: Removal) -> None:
    """Last, when no run of the user is left that could write more, until a look finds nothing. What is found at the
    third is of others: a key may be a word that somebody writes all the time."""
    traces = Traces(removal.user_key, removal.traces)
    clean: set[str] = set()
    for _ in range(_LOOKS_FOR_TRACES):
        found = clear_dagster(warehouse, settings, traces) + clear_logs(settings, traces, clean=clean)
        if found == 0:
            return
    log.warning(
        "receipt %s: new records with the words that were looked for are still being written, %d at the last look",
        removal.receipt_id, found,
    )  # fmt: skip


def _end(connection: Connection, removal: Removal) -> None:
    with connection.transaction():
        connection.execute("delete from ops.removals where removal_id = %s", (removal.removal_id,))
        connection.execute(
            "update ops.erasures set finished_at = now() where receipt_id = %s and finished_at is null",
            (removal.receipt_id,),
        )


@contextmanager
def _noting(connection: Connection, removal: Removal, what: str) -> Iterator[None]:
    """Records an obstacle, to be retried by the next call."""
    try:
        yield
    except OSError as error:
        _note_error(connection, removal, f"a folder could not be deleted: {error.strerror}")
    except (Transient, Permanent) as error:
        _note_error(connection, removal, f"{what}: {error}")
    except psycopg.Error as error:
        if connection.closed or connection.broken:
            raise
        # Its message may name what is to be erased.
        _note_error(connection, removal, f"{what}: {type(error).__name__}")


def _delete_files(connection: Connection, settings: Settings, removal: Removal) -> None:
    """In no transaction: a folder takes its time, an object store more. Each can be deleted again at any time."""
    row = connection.execute(
        "select exists (select from app.users as u where u.user_key = r.user_key)"
        " from ops.removals as r where r.removal_id = %s",
        (removal.removal_id,),
    ).fetchone()
    if row is None:
        return
    # A user who has the key again, as the same person may, keeps what was put there since. Nobody else can have it: the
    # removal holds it.
    if not row[0]:
        delete_uploads_folder(settings, user_key=removal.user_key, removal_id=removal.removal_id)
        # Copies are not called by their users.
        forget_fetched(settings)
    # Numbers of users never come again.
    open_store(settings).delete_all(removal.user_id)
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
