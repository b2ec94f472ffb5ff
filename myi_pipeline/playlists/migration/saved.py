"""Saved migrations, which keep playlists in sync: saving, listing, repeating, pausing and forgetting them.

Nothing here calls a service: a run is an order that a job carries out (repeating.py). `connection` is in autocommit and
may have the role `app`: every call is one transaction that sees one user's rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.people.audit import Event, record
from myi_pipeline.playlists.kept import list_versions
from myi_pipeline.playlists.migration import job_orders, orders, views
from myi_pipeline.playlists.migration.orders import WrongState
from myi_pipeline.playlists.migration.repeating import EVERY
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.providers.accounts import Provider

MOST_SAVED = 100


class UnknownSaved(BadInput):
    """The user has no such saved migration."""


@dataclass(frozen=True, kw_only=True)
class SavedView:
    """A saved migration as its user sees it. `last_id`: its last run, or the migration that was saved; `in_doubt`: how
    many entries of that run wait for a decision. `pause_reason`: why it was paused automatically.
    """

    saved_id: int
    source_playlist_id: int
    source_name: str
    target_account_id: int
    provider: str
    account_name: str | None
    target_playlist: str
    target_name: str
    is_equal: bool
    is_daily: bool
    created_at: datetime
    looked_at: datetime
    paused_at: datetime | None
    pause_reason: str | None
    account_obstacle: str | None
    last_id: int | None
    last_state: str | None
    last_ordered: str | None
    last_at: datetime | None
    goes_on_at: datetime | None
    reason: str | None
    in_doubt: int

    @property
    def state(self) -> str:
        """paused, waiting (for its account), running, or idle."""
        if self.paused_at is not None:
            return "paused"
        if self.account_obstacle is not None:
            return "waiting"
        return "running" if self.last_ordered is not None else "idle"

    @property
    def next_at(self) -> datetime | None:
        """When the source is next checked for changes; None if only on request."""
        return self.looked_at + EVERY if self.is_daily and self.state in ("idle", "running") else None

    @property
    def account_title(self) -> str:
        label = Provider(self.provider).label
        return f"{label} account {self.account_name}" if self.account_name else f"{label} account"

    def waits_for(self, now: datetime) -> str | None:
        """Why nothing happens now, as a sentence; None: nothing is in its way."""
        if self.paused_at is not None:
            return f"it is paused: {self.pause_reason}" if self.pause_reason else "it is paused until you resume it"
        if self.account_obstacle == "paused":
            return f"{self.account_title} is paused: it continues when the account is resumed"
        if self.account_obstacle is not None:
            return f"the login of {self.account_title} has ended: it continues when the account is linked again"
        if self.last_ordered and self.reason and self.goes_on_at is not None and self.goes_on_at > now:
            return f"it continues automatically at {self.goes_on_at:%Y-%m-%d %H:%M} UTC: {self.reason}"
        return None


def save(
    connection: Connection,
    *,
    user_id: int,
    migration_id: int,
    is_daily: bool,
    now: datetime,
    address: str | None = None,
) -> SavedView:
    """Keep the playlists of this migration in sync. Saving it again resumes it, with the new `is_daily`.

    Raises UnknownMigration, WrongState if it was not applied yet, BadInput if the user has too many.
    """
    view = views.get_migration(connection, user_id=user_id, migration_id=migration_id)
    if view.target_playlist is None or view.state not in ("done", "incomplete"):
        raise WrongState(f"migration {migration_id} is {view.state}: apply it first", place="migration")
    with as_user(connection, user_id):
        row = connection.execute(
            "select count(*) from app.saved_migrations where user_id = %s", (user_id,)
        ).fetchone()  # fmt: skip
        values = {
            "migration_id": migration_id,
            "user_id": user_id,
            "is_daily": is_daily,
            "now": now,
            "due": now - EVERY,
        }
        made = connection.execute(load_sql("playlists/saved_save"), values).fetchone()
        assert row is not None
        assert made is not None
        if row[0] >= MOST_SAVED and not _is_old(connection, made[0], now):
            raise BadInput(f"{MOST_SAVED} migrations are kept in sync: forget one of them first", place="saved")
        detail = {"saved": made[0], "migration": migration_id, "service": view.provider}
        record(connection, Event.MIGRATION_SAVED, user_id=user_id, address=address, detail=detail)
        return _view(connection, user_id=user_id, saved_id=made[0])


def list_saved(connection: Connection, *, user_id: int) -> tuple[SavedView, ...]:
    """In the order in which they were saved."""
    with as_user(connection, user_id):
        return _views(connection, user_id=user_id, saved_id=None)


def get_saved(connection: Connection, *, user_id: int, saved_id: int) -> SavedView:
    """Raises UnknownSaved."""
    with as_user(connection, user_id):
        return _view(connection, user_id=user_id, saved_id=saved_id)


def repeat(
    connection: Connection, *, user_id: int, saved_id: int, now: datetime, address: str | None = None
) -> MigrationView:
    """Order a run now, whether or not the source has changed: the target is read, and what it lacks is written. If the
    saved migration is paused, its daily runs stay paused.

    Raises UnknownSaved, WrongState while a run is under way, NotATarget, PlaylistTaken and TooManyOrders.
    """
    with as_user(connection, user_id):
        found = _view(connection, user_id=user_id, saved_id=saved_id)
        if found.last_ordered is not None:
            raise WrongState(f"migration {found.last_id}, its last run, is under way", place="saved")
        orders.check_target(connection, user_id=user_id, account_id=found.target_account_id)
        orders.check_bounds(connection, user_id=user_id)
        versions = list_versions(connection, user_id=user_id, playlist_id=found.source_playlist_id)
        newest = next(each for each in versions if each.items is not None)
        number = job_orders.order_run(
            connection, user_id=user_id, saved_id=saved_id,
            source=(found.source_playlist_id, newest.version_no, newest.name),
            target_account_id=found.target_account_id, target_playlist=found.target_playlist,
            target_name=found.target_name, is_equal=found.is_equal, now=now,
        )  # fmt: skip
        connection.execute("update app.saved_migrations set looked_at = %s where saved_id = %s", (now, saved_id))
        detail = {"migration": number, "saved": saved_id, "service": found.provider}
        record(connection, Event.MIGRATION_ORDERED, user_id=user_id, address=address, detail=detail)
        wake(connection, Wake.MIGRATIONS)
    return views.get_migration(connection, user_id=user_id, migration_id=number)


def pause(connection: Connection, *, user_id: int, saved_id: int, now: datetime) -> SavedView:
    """Stop the daily runs. Raises UnknownSaved."""
    with as_user(connection, user_id):
        found = _view(connection, user_id=user_id, saved_id=saved_id)
        if found.paused_at is None:
            job_orders.pause_saved(connection, saved_id=saved_id, reason=None, now=now)
        return _view(connection, user_id=user_id, saved_id=saved_id)


def resume(connection: Connection, *, user_id: int, saved_id: int, now: datetime) -> SavedView:
    """Check it next. It runs if its last run failed or the source has changed. Raises UnknownSaved."""
    with as_user(connection, user_id):
        _view(connection, user_id=user_id, saved_id=saved_id)
        connection.execute(
            "update app.saved_migrations set paused_at = null, pause_reason = null, looked_at = least(looked_at, %s)"
            " where saved_id = %s and paused_at is not null",
            (now - EVERY, saved_id),
        )
        return _view(connection, user_id=user_id, saved_id=saved_id)


def forget(
    connection: Connection, *, user_id: int, saved_id: int, address: str | None = None
) -> None:  # fmt: skip
    """Stop keeping it in sync. Its runs stay, and so does what is on the playlist. Raises UnknownSaved."""
    with as_user(connection, user_id):
        _view(connection, user_id=user_id, saved_id=saved_id)
        connection.execute("delete from app.saved_migrations where saved_id = %s", (saved_id,))
        detail = {"saved": saved_id}
        record(connection, Event.MIGRATION_FORGOTTEN, user_id=user_id, address=address, detail=detail)


def _is_old(connection: Connection, saved_id: int, now: datetime) -> bool:
    row = connection.execute(
        "select created_at < %s from app.saved_migrations where saved_id = %s", (now, saved_id)
    ).fetchone()
    return row is not None and bool(row[0])


def _views(connection: Connection, *, user_id: int, saved_id: int | None) -> tuple[SavedView, ...]:
    with connection.cursor(row_factory=class_row(SavedView)) as cursor:
        values = {"user_id": user_id, "saved_id": saved_id}
        return tuple(cursor.execute(load_sql("playlists/saved_views"), values).fetchall())


def _view(connection: Connection, *, user_id: int, saved_id: int) -> SavedView:
    found = _views(connection, user_id=user_id, saved_id=saved_id)
    if not found:
        raise UnknownSaved(f"there is no saved migration {saved_id}", place="saved")
    return found[0]
