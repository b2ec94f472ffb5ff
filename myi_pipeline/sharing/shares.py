"""Share reports: making, listing, changing and revoking them, and opening them by their link.

Calls for a user run as that user and see only their reports; strangers read through a single function that requires the
link (`app.open_share`). Making and revoking are recorded in the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import errors
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.errors import BadInput, Gone
from myi_pipeline.people.audit import Event, record
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.sharing.rules import MOST_SHARES, checked_expiry, checked_title, new_share_id
from myi_pipeline.sharing.snapshots import Snapshot, as_document, read_snapshot

_ATTEMPTS = 3
# For how long an expired report can be extended, and for how long its address still says that it has ended.
EXPIRED_KEPT, ENDED_KEPT = timedelta(days=30), timedelta(days=400)


@dataclass(frozen=True, kw_only=True)
class Share:
    """One report, without its content. `state` at the time of the query: open, expired or revoked."""

    share_id: str
    user_key: str
    kind: str
    title: str
    state: str
    made_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    is_indexed: bool
    views: int


@dataclass(frozen=True, kw_only=True)
class OpenedShare:
    """The report behind a link."""

    title: str
    snapshot: Any
    is_indexed: bool


@dataclass(frozen=True, kw_only=True)
class ShareWish:
    """The settings of a report. `expires_at` None: never."""

    title: str
    expires_at: datetime | None
    is_indexed: bool = False


def make_share(
    connection: Connection,
    *,
    user_id: int,
    snapshot: Snapshot,
    wish: ShareWish,
    now: datetime,
    address: str | None = None,
) -> Share:
    """Store a snapshot under a new link. Raises BadInput."""
    if snapshot.is_empty:
        raise BadInput("there is nothing to show in this report", place="parts", rule="at least one that has something")
    values: dict[str, object] = {
        "user_id": user_id,
        "kind": snapshot.kind,
        "title": checked_title(wish.title),
        "snapshot": Jsonb(as_document(snapshot)),
        "now": now,
        "expires_at": checked_expiry(wish.expires_at, now=now),
        "is_indexed": wish.is_indexed,
    }
    with as_user(connection, user_id):
        # Serialised, so that concurrent calls cannot exceed the limit.
        connection.execute("select from app.users where user_id = %s for no key update", (user_id,))
        found = connection.execute("select count(*) from app.shares where revoked_at is null").fetchone()
        assert found is not None
        if found[0] >= MOST_SHARES:
            raise BadInput(f"you share {MOST_SHARES} reports already", rule="revoke one first")
        share_id = _insert(connection, values)
        detail = {"kind": snapshot.kind, "title": values["title"]}
        record(connection, Event.SHARE_MADE, user_id=user_id, address=address, detail=detail)
        return _get(connection, share_id=share_id, now=now)


def change_share(
    connection: Connection, *, user_id: int, share_id: str, wish: ShareWish, now: datetime, address: str | None = None
) -> Share:
    """Change title or expiry; the content stays. Raises Gone if the user has no such report, and BadInput."""
    with as_user(connection, user_id):
        before = _get(connection, share_id=share_id, now=now, for_update=True)
        if before.state == "revoked":
            raise Gone("this report was revoked: make another one")
        # An unchanged expiry may be in the past.
        is_same = wish.expires_at == before.expires_at
        values = {
            "share_id": share_id,
            "title": checked_title(wish.title),
            "expires_at": wish.expires_at if is_same else checked_expiry(wish.expires_at, now=now),
            "is_indexed": wish.is_indexed,
        }
        connection.execute(load_sql("sharing/change_share"), values)
        detail = {"title": values["title"]}
        record(connection, Event.SHARE_CHANGED, user_id=user_id, address=address, detail=detail)
        return _get(connection, share_id=share_id, now=now)


def revoke_share(
    connection: Connection, *, user_id: int | None, share_id: str, now: datetime, address: str | None = None
) -> bool:
    """End the link and delete its content. False if the user has no such report or, for the role `ingest` without a
    user, if nobody has."""
    with as_user(connection, user_id):
        found = connection.execute(
            load_sql("sharing/revoke_share"), {"user_id": user_id, "share_id": share_id, "now": now}
        ).fetchone()
        if found is not None:
            detail = {"title": found[0]}
            record(connection, Event.SHARE_REVOKED, user_id=found[1], address=address, detail=detail)
        return found is not None


def get_share(connection: Connection, *, user_id: int, share_id: str, now: datetime) -> Share:
    """Raises Gone if the user has no such report."""
    with as_user(connection, user_id):
        return _get(connection, share_id=share_id, now=now)


def get_with_snapshot(
    connection: Connection, *, user_id: int, share_id: str, now: datetime
) -> tuple[Share, Snapshot | None]:
    """One report with its content, which is None if it was revoked. Raises Gone if the user has no such report, and
    SnapshotUnreadable."""
    with as_user(connection, user_id):
        share = _get(connection, share_id=share_id, now=now)
        kept = connection.execute("select snapshot from app.shares where share_id = %s", (share_id,)).fetchone()
    return share, read_snapshot(kept[0]) if kept is not None and kept[0] is not None else None


def list_shares(connection: Connection, *, user_id: int | None, now: datetime) -> tuple[Share, ...]:
    """Reports of one user or, for the role `ingest`, of all: newest first, including revoked ones."""
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(Share)) as cursor:
        values = {"user_id": user_id, "share_id": None, "now": now}
        return tuple(cursor.execute(load_sql("sharing/list_shares"), values).fetchall())


def open_share(connection: Connection, *, share_id: str, now: datetime) -> OpenedShare | None:
    """The report that a link shows to anybody; None if there never was one. Raises Gone if it has ended."""
    found = connection.execute("select * from app.open_share(%s, %s)", (share_id, now)).fetchone()
    if found is None:
        return None
    title, snapshot, is_indexed, has_ended = found
    if has_ended:
        raise Gone("this report is no longer shared")
    return OpenedShare(title=title, snapshot=snapshot, is_indexed=is_indexed)


def count_view(connection: Connection, *, share_id: str, viewer_id: int | None) -> None:
    """Count a visitor, unless it is the owner."""
    connection.execute("select app.count_share_view(%s, %s)", (share_id, viewer_id))


def prune(connection: Connection, *, now: datetime) -> int:
    """Delete the content of reports that expired 30 days ago, and reports that ended 400 days ago altogether. Returns
    how many of the latter. For the role `ingest`."""
    values = {"now": now, "expired_before": now - EXPIRED_KEPT, "ended_before": now - ENDED_KEPT}
    found = connection.execute(load_sql("sharing/prune_shares"), values).fetchone()
    assert found is not None
    return int(found[0])


def _insert(connection: Connection, values: dict[str, object]) -> str:
    for attempt in range(1, _ATTEMPTS + 1):
        share_id = new_share_id()
        try:
            with connection.transaction():
                connection.execute(load_sql("sharing/make_share"), {**values, "share_id": share_id})
        except errors.UniqueViolation:
            if attempt == _ATTEMPTS:
                raise
        except errors.CheckViolation as error:
            if "octet_length" in str(error) or "snapshot" in str(error.diag.constraint_name):
                raise BadInput("this report is too large", rule="choose less") from None
            raise
        else:
            return share_id
    raise AssertionError("unreachable")


def _get(connection: Connection, *, share_id: str, now: datetime, for_update: bool = False) -> Share:
    if for_update:
        connection.execute("select from app.shares where share_id = %s for update", (share_id,))
    with connection.cursor(row_factory=class_row(Share)) as cursor:
        values = {"user_id": None, "share_id": share_id, "now": now}
        found = cursor.execute(load_sql("sharing/list_shares"), values).fetchone()
    if found is None:
        raise Gone("you have no such report")
    return found
