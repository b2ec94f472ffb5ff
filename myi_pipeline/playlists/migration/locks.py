"""Advisory locks that let one process at a time work on a migration, use an account, or create playlists there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.pq import TransactionStatus

from myi_pipeline.errors import Busy
from myi_pipeline.playlists.migration.store import Migration, get_migration
from myi_pipeline.postgres.connections import Connection

# The first key of an advisory lock, of which the second is the migration; it spells "mymi".
_LOCK_SPACE = 0x6D796D69
# The second key is the account that is written to; it spells "mymt".
_ACCOUNT_LOCK_SPACE = 0x6D796D74
# The second key is the account where a playlist is created; it spells "mymn".
_CREATION_LOCK_SPACE = 0x6D796D6E


@contextmanager
def migration_lock(connection: Connection, migration: Migration) -> Iterator[Migration]:
    """Lock a migration for the duration of the context. Yields its row as read under the lock, because another process
    may have changed it since the caller read it. Raises Busy.
    """
    number = migration.migration_id
    busy = Busy(f"another process is working on migration {number}")
    if connection.info.transaction_status is TransactionStatus.INTRANS:
        # The caller is in a transaction and keeps the lock until that ends, whatever happens in it.
        if not lock_in_transaction(connection, migration_id=number):
            raise busy
        yield get_migration(connection, user_id=migration.user_id, migration_id=number)
        return
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_LOCK_SPACE, number)).fetchone()
    if row is None or not row[0]:
        raise busy
    try:
        yield get_migration(connection, user_id=migration.user_id, migration_id=number)
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, number))


@contextmanager
def account_lock(connection: Connection, *, account_id: int) -> Iterator[None]:
    """Let one job at a time use an account: two would use up its quota for each other. Raises Busy."""
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_ACCOUNT_LOCK_SPACE, account_id)).fetchone()
    if row is None or not row[0]:
        raise Busy("another migration is using this account")
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_ACCOUNT_LOCK_SPACE, account_id))


def lock_in_transaction(connection: Connection, *, migration_id: int) -> bool:
    """Take the lock of `migration_lock` until this transaction ends. False if another process has it."""
    row = connection.execute("select pg_try_advisory_xact_lock(%s, %s)", (_LOCK_SPACE, migration_id)).fetchone()
    return row is not None and bool(row[0])


@contextmanager
def creation_lock(connection: Connection, *, account_id: int) -> Iterator[None]:
    """Let one process at a time create playlists at an account: if two were created with the same name, nobody could
    tell afterwards whose is which. Raises Busy.
    """
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_CREATION_LOCK_SPACE, account_id)).fetchone()
    if row is None or not row[0]:
        raise Busy("another migration is creating a playlist at this account")
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_CREATION_LOCK_SPACE, account_id))
