"""Migrations as their user sees them, for the pages, the API and commands.

`connection` is in autocommit and may have the role `app`: every call is one transaction that sees one user's rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from psycopg.rows import class_row, dict_row

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.migration import item_rows, moving, store
from myi_pipeline.playlists.migration.item_rows import Matched
from myi_pipeline.playlists.migration.moving import Preview
from myi_pipeline.playlists.migration.store import Migration
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.playlists import Capabilities


class UnknownMigration(BadInput):
    """The user has no such migration."""


@dataclass(frozen=True, kw_only=True)
class MigrationView:
    """A migration as its user sees it. `ordered`: what a job is doing or about to do. `reason`: what went wrong last.
    `goes_on_at`: when it is tried again. `account_obstacle`: reauth_required, ended or paused. The counts are of
    entries, and 0 before it is planned.
    """

    migration_id: int
    source_playlist_id: int
    source_name: str
    source_version_no: int
    target_account_id: int
    provider: str
    account_name: str | None
    target_playlist: str | None
    target_name: str
    is_equal: bool
    state: str
    ordered: str | None
    created_at: datetime
    begun_at: datetime | None
    finished_at: datetime | None
    goes_on_at: datetime | None
    reason: str | None
    note: str | None
    is_being_cancelled: bool
    account_obstacle: str | None
    entries: int
    matched: int
    ambiguous: int
    missing: int
    unavailable: int
    decided: int
    refused: int
    in_doubt: int

    @property
    def is_under_way(self) -> bool:
        """Whether a job is working on it, or will."""
        return self.ordered is not None

    @property
    def account_title(self) -> str:
        label = Provider(self.provider).label
        return f"{label} account {self.account_name}" if self.account_name else f"{label} account"

    def waits_for(self, now: datetime) -> str | None:
        """When or how it continues, as a sentence; None if nothing is in its way."""
        if self.ordered is None:
            return None
        if self.is_being_cancelled:
            return "it is being cancelled: the write under way is the last one"
        if self.account_obstacle == "paused":
            return f"{self.account_title} is paused: it continues when the account is resumed"
        if self.account_obstacle is not None:
            return f"the login of {self.account_title} has ended: it continues when the account is linked again"
        # Without a reason, a job has started, and `goes_on_at` is only when it is retried if that job dies.
        if self.reason and self.goes_on_at is not None and self.goes_on_at > now:
            return f"it continues automatically at {self.goes_on_at:%Y-%m-%d %H:%M} UTC: {self.reason}"
        return None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`confirmed`: how many of the `wanted` entries the target holds, by confirmed writes or since before. `requests`:
    how many writes were sent.
    """

    migration: MigrationView
    confirmed: int
    wanted: int
    requests: int


def list_migrations(
    connection: Connection, *, user_id: int, before: int | None = None, limit: int | None = None
) -> tuple[MigrationView, ...]:
    """A user's migrations, newest first; with `before`, only those with smaller numbers."""
    with as_user(connection, user_id):
        return _views(connection, user_id=user_id, before=before, limit=limit)


def get_migration(connection: Connection, *, user_id: int, migration_id: int) -> MigrationView:
    """Raises UnknownMigration."""
    with as_user(connection, user_id):
        return find_view(connection, user_id=user_id, migration_id=migration_id)


def list_items(
    connection: Connection,
    *,
    user_id: int,
    migration_id: int,
    in_doubt: bool = False,
    after: int = -1,
    limit: int | None = None,
    with_candidates: bool = True,
) -> tuple[Matched, ...]:
    """Entries of the source with their matches, in order, starting after the position `after`. `in_doubt`: only those
    neither matched nor decided, and those that the target refused. Raises UnknownMigration.
    """
    with as_user(connection, user_id):
        find_view(connection, user_id=user_id, migration_id=migration_id)
        return item_rows.list_matches(
            connection, migration_id=migration_id, after=after, limit=limit, in_doubt=in_doubt,
            with_candidates=with_candidates,
        )  # fmt: skip


def preview(connection: Connection, *, user_id: int, migration_id: int) -> Preview | None:
    """What applying would write, given the decisions so far and what the target held when the migration was planned;
    None before it is planned. Raises UnknownMigration.
    """
    with as_user(connection, user_id):
        return find_preview(connection, find_migration(connection, user_id, migration_id))


def get_progress(connection: Connection, *, user_id: int, migration_id: int) -> Progress:
    """Raises UnknownMigration."""
    with as_user(connection, user_id):
        found = find_migration(connection, user_id, migration_id)
        view = find_view(connection, user_id=user_id, migration_id=migration_id)
        values = {"migration_id": migration_id}
        with connection.cursor(row_factory=dict_row) as cursor:
            written = cursor.execute(load_sql("playlists/migration_added"), values).fetchone()
        assert written is not None
        wanted = view.matched - view.refused
        confirmed = int(written["added"])
        if view.state == "done":
            confirmed = wanted
        elif (found.is_equal or found.target_now is not None) and not written["has_replaced"]:
            confirmed += int(written["were_there"])
        return Progress(
            migration=view, confirmed=min(confirmed, wanted), wanted=wanted, requests=int(written["requests"])
        )  # fmt: skip


def find_preview(connection: Connection, migration: Migration) -> Preview | None:
    row = connection.execute(
        "select capabilities from app.migrations where migration_id = %s", (migration.migration_id,)
    ).fetchone()
    if row is None or row[0] is None:
        return None
    # Another version of MYI may have stored more or fewer capabilities.
    known = {each.name for each in fields(Capabilities)}
    capabilities = Capabilities(**{name: value for name, value in row[0].items() if name in known})
    goal = moving.goal_of(connection, migration)
    now = goal.before if migration.target_now is None else tuple(migration.target_now)
    return moving.preview_of(goal, now, capabilities)


def _views(
    connection: Connection,
    *,
    user_id: int,
    migration_id: int | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> tuple[MigrationView, ...]:
    values = {"user_id": user_id, "migration_id": migration_id, "before": before, "limit": limit}
    with connection.cursor(row_factory=class_row(MigrationView)) as cursor:
        return tuple(cursor.execute(load_sql("playlists/migration_views"), values).fetchall())


def find_view(connection: Connection, *, user_id: int, migration_id: int) -> MigrationView:
    found = _views(connection, user_id=user_id, migration_id=migration_id)
    if not found:
        raise UnknownMigration(f"there is no migration {migration_id}", place="migration")
    return found[0]


def find_migration(connection: Connection, user_id: int, migration_id: int) -> Migration:
    found = store.list_migrations(connection, user_id=user_id, migration_id=migration_id)
    if not found:
        raise UnknownMigration(f"there is no migration {migration_id}", place="migration")
    return found[0]
