"""Erasing a user: the one path behind the page, the API, `myi user erase` and `myi user remove`.

In this order: logins are ended at the services, the tombstone is written outside the database, then one transaction
takes every row of the user and leaves the receipt. From then on runs of the user fail at their next commit, and
remove_users.finish_removals clears away the rest: files, names, Dagster's records, logs. Killed anywhere, the next
call goes on: the wish stays until the rows are gone, the tombstone after that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from myi_pipeline.errors import MyiError, Transient
from myi_pipeline.people import audit, erasures
from myi_pipeline.people.audit import Event
from myi_pipeline.people.erasures import ErasureRequest, LoginEnded, Receipt
from myi_pipeline.people.tombstones import tombstone_of, users_with_tombstones, write_tombstone
from myi_pipeline.people.uploads_folder import count_uploads
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.providers.accounts import Provider, end_login, list_accounts
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_store

log = logging.getLogger(__name__)

# Of a service that does not answer no more is waited for: the login is deleted here in any case.
_LONGEST_AT_SERVICES_S = 60.0
_WITH_REVOCATION = (Provider.TIDAL, Provider.YOUTUBE_MUSIC)
_LONGEST_SAID = 200


def count_all(connection: Connection, settings: Settings, *, user_id: int, user_key: str) -> dict[str, int]:
    """What would go, by kind in words: rows, and files that lie here or in the object store."""
    counts = erasures.count_kept(connection, user_id=user_id)
    files = 0
    places: dict[str, Callable[[], int]] = {
        "uploads": lambda: count_uploads(settings, user_key),
        "exports": lambda: len(open_store(settings).files(user_id)),
    }
    for what, count in places.items():
        try:
            files += count()
        except MyiError as error:
            # They go all the same, as soon as the store answers.
            log.warning("%s could not be counted: %s", what, error)
    return {**counts, "files": files} if files else counts


def erase_user(
    warehouse: Warehouse,
    settings: Settings,
    *,
    user_id: int,
    now: datetime,
    keeps_key: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Erase a user now, whatever the grace; the receipt's number. Raises ImportIsRunning, with nothing changed."""
    with closing(_connect(warehouse)) as connection:
        wish = erasures.request_erasure(connection, user_id=user_id, now=now, grace=timedelta(0))
        _carry_out(warehouse, connection, settings, wish, keeps_key=keeps_key, clock=clock)
    return wish.receipt_id


def erase_again(warehouse: Warehouse, settings: Settings, *, user_id: int, receipt_id: str) -> None:
    """Of somebody whose tombstone is there: whom a backup brought back, or whose erasure was killed. The services had
    their logins back then."""
    now = datetime.now(UTC)
    with closing(_connect(warehouse)) as connection:
        found = erasures.find_request(connection, user_id=user_id)
        is_new = found is None or found.receipt_id != receipt_id
        wish = ErasureRequest(user_id=user_id, receipt_id=receipt_id, requested_at=now, due_at=now) if is_new else found
        assert wish is not None
        _delete_rows(connection, settings, wish, logins=())


def carry_out_due(warehouse: Warehouse, settings: Settings, *, now: datetime) -> tuple[str, ...]:
    """Erase everybody whose wish is due; their receipts. What is in the way of one is noted, and stops no other."""
    done: list[str] = []
    with closing(_connect(warehouse)) as connection:
        for wish in erasures.due_requests(connection, now=now):
            try:
                _carry_out(warehouse, connection, settings, wish)
                done.append(wish.receipt_id)
            except (MyiError, OSError) as error:
                log.warning("erasure %s waits: %s", wish.receipt_id, error)
                connection.execute(
                    "update app.erasure_requests set last_error = %s where user_id = %s",
                    (str(error)[:300], wish.user_id),
                )
    return tuple(done)


def receipt_of(warehouse: Warehouse, receipt_id: str) -> Receipt | None:
    with closing(_connect(warehouse)) as connection:
        return erasures.read_receipt(connection, receipt_id)


def _connect(warehouse: Warehouse) -> Connection:
    return warehouse.connect(Role.INGEST, autocommit=True, application_name="myi erasure")


def _carry_out(
    warehouse: Warehouse,
    connection: Connection,
    settings: Settings,
    wish: ErasureRequest,
    *,
    keeps_key: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    erasures.check_no_import_runs(connection, user_id=wish.user_id)
    logins = _end_logins(warehouse, connection, settings, user_id=wish.user_id, clock=clock)
    _delete_rows(connection, settings, wish, logins=logins, keeps_key=keeps_key)


def _delete_rows(
    connection: Connection,
    settings: Settings,
    wish: ErasureRequest,
    *,
    logins: tuple[LoginEnded, ...],
    keeps_key: bool = False,
) -> None:
    row = connection.execute(
        "select user_key, created_at from app.users where user_id = %s", (wish.user_id,)
    ).fetchone()
    if row is None:
        return
    user_key, created_at = row
    tombstone = tombstone_of(settings, user_key=user_key, created_at=created_at)
    counts = count_all(connection, settings, user_id=wish.user_id, user_key=user_key)
    write_tombstone(settings, tombstone, receipt_id=wish.receipt_id, now=datetime.now(UTC))
    values = {
        "receipt_id": wish.receipt_id,
        "tombstone": tombstone,
        "requested_at": wish.requested_at,
        "counts": Jsonb(counts),
        "logins": Jsonb([asdict(each) for each in logins]),
    }

    def transaction() -> None:
        with connection.transaction():
            held = "select from app.users where user_id = %s for update"
            if connection.execute(held, (wish.user_id,)).fetchone() is None:
                return
            connection.execute(load_sql("operations/removals/note_erasure"), values)
            connection.execute("select app.erase_audit(%s)", (wish.user_id,))
            connection.execute("delete from app.users where user_id = %s", (wish.user_id,))
            connection.execute(
                "update ops.removals set receipt_id = %s, holds_key = %s where user_id = %s",
                (wish.receipt_id, not keeps_key, wish.user_id),
            )
            audit.record(connection, Event.USER_ERASED, detail={"receipt": wish.receipt_id})
            # Uploads: that sensor clears away what the rows leave behind.
            wake(connection, Wake.CHANGES, Wake.UPLOADS)

    try:
        retry_conflicts(transaction)
    except psycopg.OperationalError as error:
        raise Transient(f"the rows could not be deleted: {str(error).splitlines()[0]}") from error


def _end_logins(
    warehouse: Warehouse, connection: Connection, settings: Settings, *, user_id: int, clock: Callable[[], float]
) -> tuple[LoginEnded, ...]:
    """Logins are deleted here with the user; those that a service takes back are ended there, too. A service that does
    not answer stops no erasure: the receipt says so."""
    held = [
        Provider(row[0]).label
        for row in connection.execute("select 'spotify' from app.credentials where user_id = %s", (user_id,))
    ]
    held += [
        Service(row[0]).label
        for row in connection.execute(
            "select service from app.linked_services where user_id = %s and secret is not null", (user_id,)
        )
    ]
    ended = [LoginEnded(service=label, outcome="not_offered") for label in held]
    accounts = [each for each in list_accounts(connection, user_id=user_id) if each.provider in _WITH_REVOCATION]
    if not accounts:
        return tuple(ended)
    # Late: it takes an HTTP client and the keys.
    from myi_pipeline.providers.open_playlist_services import open_playlist_services

    until = clock() + _LONGEST_AT_SERVICES_S
    try:
        with open_playlist_services(settings, warehouse) as services:
            for account in accounts:
                label = account.provider.label
                try:
                    if clock() > until:
                        raise Transient("the services took too long")
                    revoke = services.sign_in(account.provider).revoke
                    if end_login(connection, services.keys, account, revoke=revoke):
                        ended.append(LoginEnded(service=label, outcome="ended"))
                except MyiError as error:
                    said = str(error)[:_LONGEST_SAID]
                    ended.append(LoginEnded(service=label, outcome="failed", said=said))
    except MyiError as error:
        said = str(error)[:_LONGEST_SAID]
        ended += [LoginEnded(service=each.provider.label, outcome="failed", said=said) for each in accounts]
    return tuple(ended)


def reapply_tombstones(warehouse: Warehouse, settings: Settings) -> int:
    """Erase again everybody in this database who was erased once; returns how many. Each keeps the number of the first
    receipt. What their rows leave behind is cleared away by remove_users.finish_removals.

    To be called after each restore; every start and the daily maintenance do it, too. Raises Transient.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi tombstones")) as connection:
        again = users_with_tombstones(connection, settings)
    for user_id, receipt_id in again.items():
        erase_again(warehouse, settings, user_id=user_id, receipt_id=receipt_id)
        log.warning("a user who had been erased was in the database again, and is erased again: receipt %s", receipt_id)
    return len(again)
