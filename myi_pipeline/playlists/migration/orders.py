"""Orders of migrations for the pages and the API, which may not use logins.

Nothing here calls a service: an order is a row that a job carries out. `connection` is in autocommit and may have the
role `app`: every call is one transaction that sees one user's rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import dict_row

from myi_pipeline.errors import BadInput
from myi_pipeline.people.audit import Event, record
from myi_pipeline.playlists.migration import deciding, locks, moving, store
from myi_pipeline.playlists.migration.store import Migration
from myi_pipeline.playlists.migration.views import MigrationView, find_migration, find_preview, find_view
from myi_pipeline.playlists.migration.writable import TARGETS, writing_trouble
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import ProviderAccount
from myi_pipeline.providers.playlists import LIKED

# Per user: orders under way or waiting.
MOST_ORDERS = 50
# Per user: these, and migrations that are planned but not applied. Each has a row for every entry.
MOST_OPEN = 200
LONGEST_NAME, LONGEST_ID = 200, 400

Word = Literal["is", "never", "unavailable", "leave_out", "take_back"]


class UnknownPlaylist(BadInput):
    """The user has no such playlist."""


class UnknownAccount(BadInput):
    """The user has no such linked account."""


class NotATarget(BadInput):
    """No account can be written to, or the named one cannot: its service takes no writes, it is paused, or its login
    has ended. Or there are several, and one has to be named.
    """


class WrongState(BadInput):
    """The migration's state does not allow this."""


class TooManyOrders(BadInput):
    """The user has too many unfinished migrations to order another."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A request to move a playlist. `account_id` None: the only account that can be written to. The target is an
    existing playlist, given by `into`, its id at the service, or `into_playlist_id`, its number here; without either, a
    new one called `name`, by default like the source. `is_equal`: the existing playlist is to hold nothing else in the
    end.
    """

    playlist_id: int
    account_id: int | None = None
    name: str | None = None
    into: str | None = None
    into_playlist_id: int | None = None
    is_equal: bool = False


def order_migration(
    connection: Connection, *, user_id: int, order: Order, now: datetime, address: str | None = None
) -> MigrationView:
    """Order a plan. Raises UnknownPlaylist, UnknownAccount, NotATarget, PlaylistTaken, TooManyOrders and BadInput."""
    _check_order(order)
    with as_user(connection, user_id):
        source = _source(connection, order.playlist_id)
        account = check_target(connection, user_id=user_id, account_id=order.account_id)
        if source["version_no"] is None:
            raise BadInput(f"the entries of playlist {order.playlist_id} were never read", place="playlist")
        into = _into(connection, order, account)
        if into is not None:
            if source["provider"] == account.provider.value and source["provider_playlist"] == into:
                raise BadInput("a playlist cannot be moved into itself", place="into")
            store.check_free(connection, account_id=account.account_id, playlist=into, except_id=None)
        check_bounds(connection, user_id=user_id)
        values = {
            "user_id": user_id, "playlist_id": order.playlist_id, "version_no": source["version_no"],
            "source_name": store.cut_name(source["name"]), "account_id": account.account_id, "into": into,
            "name": moving.title_of(order.name or source["name"]), "is_equal": order.is_equal, "now": now,
            "saved_id": None,
        }  # fmt: skip
        with store.one_order_per_playlist():
            row = connection.execute(load_sql("playlists/migration_order"), values).fetchone()
        assert row is not None
        made = int(row[0])
        detail = {"migration": made, "playlist": order.playlist_id, "service": account.provider.value}
        record(connection, Event.MIGRATION_ORDERED, user_id=user_id, address=address, detail=detail)
        wake(connection, Wake.MIGRATIONS)
        return find_view(connection, user_id=user_id, migration_id=made)


def order_apply(
    connection: Connection, *, user_id: int, migration_id: int, now: datetime, address: str | None = None
) -> MigrationView:
    """Order that a planned migration is applied, or an unfinished one continued.

    Raises UnknownMigration, WrongState, NotATarget and PlaylistTaken.
    """
    with as_user(connection, user_id), _locked(connection, user_id, migration_id) as found:
        if found is None:
            raise WrongState(f"migration {migration_id} is being worked on", place="migration")
        view = find_view(connection, user_id=user_id, migration_id=migration_id)
        if view.ordered is not None or found.state not in ("planned", "incomplete", "applying"):
            raise WrongState(_why_not_applied(view), place="migration")
        check_target(connection, user_id=user_id, account_id=found.target_account_id)
        planned = find_preview(connection, found)
        if planned is not None and planned.impossible:
            raise WrongState(f"migration {migration_id} cannot be applied: {planned.impossible}", place="migration")
        if found.target_playlist is not None:
            store.check_free(
                connection, account_id=found.target_account_id, playlist=found.target_playlist, except_id=migration_id
            )
        values = {"user_id": user_id, "migration_id": migration_id, "now": now}
        with store.one_order_per_playlist():
            connection.execute(load_sql("playlists/migration_order_apply"), values)
        detail = {"migration": migration_id, "service": found.provider}
        record(connection, Event.MIGRATION_APPLIED, user_id=user_id, address=address, detail=detail)
        wake(connection, Wake.MIGRATIONS)
        return find_view(connection, user_id=user_id, migration_id=migration_id)


def order_cancel(
    connection: Connection, *, user_id: int, migration_id: int, now: datetime, address: str | None = None
) -> MigrationView:
    """Stop writing: at once, or after a job's write that is under way. What was written stays.

    Raises UnknownMigration and WrongState.
    """
    with as_user(connection, user_id), _locked(connection, user_id, migration_id) as found:
        view = find_view(connection, user_id=user_id, migration_id=migration_id)
        if view.state in ("done", "cancelled", "failed"):
            raise WrongState(f"migration {migration_id} is {view.state} already", place="migration")
        if found is not None:
            moving.cancel(connection, found, now=now)
        else:
            asked = connection.execute(
                "update app.migrations set cancel_asked_at = coalesce(cancel_asked_at, %s)"
                " where migration_id = %s and user_id = %s and (ordered is not null or state = 'applying')",
                (now, migration_id, user_id),
            )
            if asked.rowcount == 0:
                # The job has finished meanwhile.
                raise WrongState(f"migration {migration_id} has just changed: look again", place="migration")
        detail = {"migration": migration_id}
        record(connection, Event.MIGRATION_CANCELLED, user_id=user_id, address=address, detail=detail)
        return find_view(connection, user_id=user_id, migration_id=migration_id)


def decide(
    connection: Connection,
    *,
    user_id: int,
    migration_id: int,
    position: int,
    word: Word,
    uri: str | None,
    now: datetime,
) -> MigrationView:
    """Decide about the entry at `position`, from 0: it `is` the track with this URI, is `never` that track, or is
    `unavailable`. This holds for equal entries too, and for later migrations. `leave_out` decides nothing about the
    track; `take_back` undoes a decision. Only `is` and `never` take a URI.

    Raises UnknownMigration, WrongState and BadInput.
    """
    with as_user(connection, user_id), _locked(connection, user_id, migration_id) as found:
        if found is None or found.state == "applying":
            raise WrongState(
                f"migration {migration_id} is being worked on: decide when that is over", place="migration"
            )
        if found.state in ("ordered", "cancelled", "failed"):
            raise WrongState(f"migration {migration_id} is {found.state}: nothing can be decided", place="migration")
        if word == "leave_out":
            deciding.leave_out(connection, migration=found, position=position, now=now)
        elif word == "take_back":
            deciding.take_back(connection, migration=found, position=position, now=now)
        else:
            deciding.decide(connection, migration=found, position=position, kind=word, uri=uri, now=now)
        return find_view(connection, user_id=user_id, migration_id=migration_id)


def check_bounds(connection: Connection, *, user_id: int) -> None:
    """Raises TooManyOrders if the user may not order any more."""
    count = connection.execute(
        "select count(*) filter (where ordered is not null), count(*) from app.migrations"
        " where user_id = %s and state in ('ordered', 'planned', 'applying')",
        (user_id,),
    ).fetchone()
    assert count is not None
    if count[0] >= MOST_ORDERS:
        raise TooManyOrders(
            f"{MOST_ORDERS} migrations are under way or waiting: wait for one of them, or cancel it", place="orders"
        )
    if count[1] >= MOST_OPEN:
        raise TooManyOrders(f"{MOST_OPEN} migrations are planned: apply or cancel some of them", place="orders")


def _check_order(order: Order) -> None:
    into = [each for each in (order.into, order.into_playlist_id) if each is not None]
    if len(into) > 1:
        raise BadInput("name the target by its id at the service or by its number here, not by both", place="into")
    if order.is_equal and not into:
        raise BadInput("only an existing playlist can be made equal: a new one is empty", place="is_equal")
    if order.name is not None and into:
        raise BadInput("an existing playlist keeps its name", place="name")
    name = order.name
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= LONGEST_NAME):
        raise BadInput(f"a playlist's name has 1 to {LONGEST_NAME} printable characters", place="name")
    identifier = order.into
    if identifier is not None and not (
        identifier.isprintable() and identifier == identifier.strip() and 0 < len(identifier) <= LONGEST_ID
    ):
        raise BadInput("this is not the id of a playlist", place="into")


def check_target(connection: Connection, *, user_id: int, account_id: int | None) -> ProviderAccount:
    """The account with this number, or the only one that can be written to. Raises UnknownAccount and NotATarget."""
    linked = accounts.list_accounts(connection, user_id=user_id)
    targets = [each for each in linked if each.provider in TARGETS]
    # A read-only Spotify login does not count as a choice if another account can be written to.
    usable = [each for each in targets if writing_trouble(each) is None] or targets
    *others, last = sorted(each.label for each in TARGETS)
    labels = f"{', '.join(others)} or {last}"
    if account_id is not None:
        named = next((each for each in linked if each.account_id == account_id), None)
        if named is None:
            raise UnknownAccount(f"there is no linked account {account_id}", place="account")
        if named not in targets:
            raise NotATarget(f"playlists can be moved to {labels}, not to {named.provider.label}", place="account")
        usable = [named]
    if not usable:
        raise NotATarget(f"no linked account that playlists can be moved to: link {labels}", place="account")
    if len(usable) > 1:
        raise NotATarget("several linked accounts can be written to: name one", place="account")
    (account,) = usable
    if (trouble := writing_trouble(account)) is not None:
        raise NotATarget(trouble, place="account")
    return account


def _source(connection: Connection, playlist_id: int) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("select * from app.playlist_to_move(%s)", (playlist_id,)).fetchone()
    if row is None:
        raise UnknownPlaylist(f"there is no playlist {playlist_id}", place="playlist")
    return row


def _into(connection: Connection, order: Order, account: ProviderAccount) -> str | None:
    into = order.into
    if order.into_playlist_id is not None:
        found = _source(connection, order.into_playlist_id)
        if found["account_id"] != account.account_id:
            raise BadInput(f"playlist {order.into_playlist_id} is not one of {account.title}", place="into")
        into = str(found["provider_playlist"])
    if into == LIKED:
        raise BadInput("liked tracks cannot be the target: name a playlist", place="into")
    return into


def _why_not_applied(view: MigrationView) -> str:
    number = view.migration_id
    if view.ordered == "apply":
        return f"migration {number} is being applied already"
    if view.state == "ordered":
        return f"migration {number} is not planned yet"
    return f"migration {number} is {view.state}"


@contextmanager
def _locked(connection: Connection, user_id: int, migration_id: int) -> Iterator[Migration | None]:
    """The migration, locked until this transaction ends; None if another process is working on it. Raises
    UnknownMigration.
    """
    find_migration(connection, user_id, migration_id)
    if not locks.lock_in_transaction(connection, migration_id=migration_id):
        yield None
        return
    # Read again under the lock.
    yield find_migration(connection, user_id, migration_id)
