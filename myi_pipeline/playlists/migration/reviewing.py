"""The review of a migration: its entries, filtered by whether they need attention, and what would be removed.

As in orders.py, `connection` is in autocommit and may have the role `app`: every call is one transaction that sees one
user's rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.rows import dict_row

from myi_pipeline.playlists.migration import item_rows, store
from myi_pipeline.playlists.migration.store import Migration
from myi_pipeline.playlists.migration.views import UnknownMigration
from myi_pipeline.playlists.migration.writable import TARGETS
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.accounts import ProviderAccount, list_accounts

Show = Literal["doubt", "decided", "found", "all"]
"""`doubt`: in doubt, not found or refused; `decided`: with a decision by a person."""
SHOWS: tuple[Show, ...] = ("doubt", "decided", "found", "all")


@dataclass(frozen=True, kw_only=True)
class ReviewEntry:
    """An entry of the source. `candidates`: as in `Matched`. `may_take_back`: there is a decision to take back."""

    position: int
    title: str
    artists: tuple[str, ...]
    content_id: int | None
    outcome: str
    uri: str | None
    reason: str
    is_refused: bool
    may_take_back: bool
    candidates: list[dict[str, Any]]


@dataclass(frozen=True)
class Removals:
    """What making a playlist equal would remove: URIs in the playlist's order, as it was when this was planned."""

    account_id: int
    target_playlist: str
    uris: tuple[str, ...]


def list_entries(
    connection: Connection, *, user_id: int, migration_id: int, show: Show, after: int = -1, limit: int | None = None
) -> tuple[ReviewEntry, ...]:
    """Entries in order, starting after the position `after`. Raises UnknownMigration."""
    values = {"migration_id": migration_id, "show": show, "after": after, "limit": limit}
    with as_user(connection, user_id):
        _found(connection, user_id, migration_id)
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(load_sql("playlists/migration_review"), values).fetchall()
    return tuple(ReviewEntry(**{**row, "artists": tuple(row["artists"])}) for row in rows)


def removals(connection: Connection, *, user_id: int, migration_id: int) -> Removals | None:
    """None if nothing is removed. Raises UnknownMigration."""
    with as_user(connection, user_id):
        found = _found(connection, user_id, migration_id)
        if not found.is_equal or found.target_playlist is None:
            return None
        matches = item_rows.list_matches(connection, migration_id=migration_id, with_candidates=False)
    stays = Counter(each.uri for each in matches if each.uri is not None)
    gone = []
    for uri in found.target_before:
        if stays[uri]:
            stays[uri] -= 1
        else:
            gone.append(uri)
    return Removals(found.target_account_id, found.target_playlist, tuple(gone)) if gone else None


def list_targets(connection: Connection, *, user_id: int) -> tuple[ProviderAccount, ...]:
    """Linked accounts at services that playlists can be moved to."""
    return tuple(each for each in list_linked(connection, user_id=user_id) if each.provider in TARGETS)


def list_linked(connection: Connection, *, user_id: int) -> tuple[ProviderAccount, ...]:
    """Every linked account, usable or not."""
    with as_user(connection, user_id):
        return list_accounts(connection, user_id=user_id)


def _found(connection: Connection, user_id: int, migration_id: int) -> Migration:
    found = store.list_migrations(connection, user_id=user_id, migration_id=migration_id)
    if not found:
        raise UnknownMigration(f"there is no migration {migration_id}", place="migration")
    return found[0]
