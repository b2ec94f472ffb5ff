"""The audit log: sign-ins, access granted or denied, and what the operator did.

The database enforces the rules: rows are added and never changed, the time is the server's, and pruning deletes no row
younger than 400 days (0007_30_audit.sql). Rows are written on the caller's connection: inside a transaction, a row
commits together with what it records, or not at all. A detail contains ids and short names, never a token, code, link
or cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user

_LONGEST_ADDRESS = 100
_LONGEST_TEXT = 200


class Event(StrEnum):
    """Known events. Others may be recorded as plain text in the same form: a-z and underscores."""

    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGNED_OUT = "signed_out"
    SIGN_INS_ENDED = "sign_ins_ended"
    TOKEN_MADE = "token_made"
    TOKEN_FIRST_USED = "token_first_used"
    TOKEN_REVOKED = "token_revoked"
    WRONG_CREDENTIAL = "wrong_credential"
    LINK_MADE = "link_made"
    LINK_REFUSED = "link_refused"
    SPOTIFY_CONNECTED = "spotify_connected"
    SPOTIFY_DISCONNECTED = "spotify_disconnected"
    RECORDING_DECIDED = "recording_decided"
    RECORDING_TAKEN_BACK = "recording_taken_back"
    PLAYLIST_REMOVED = "playlist_removed"
    MIGRATION_ORDERED = "migration_ordered"
    MIGRATION_APPLIED = "migration_applied"
    MIGRATION_CANCELLED = "migration_cancelled"
    MIGRATION_SAVED = "migration_saved"
    MIGRATION_FORGOTTEN = "migration_forgotten"
    SERVICE_LINKED = "service_linked"
    SERVICE_UNLINKED = "service_unlinked"
    EXPORT_MADE = "export_made"
    EXPORT_FETCHED = "export_fetched"
    USER_ADDED = "user_added"
    ERASURE_REQUESTED = "erasure_requested"
    ERASURE_WITHDRAWN = "erasure_withdrawn"
    USER_ERASED = "user_erased"
    SHARE_MADE = "share_made"
    SHARE_CHANGED = "share_changed"
    SHARE_REVOKED = "share_revoked"
    SHARING_INVITED = "sharing_invited"
    SHARING_AGREED = "sharing_agreed"
    SHARING_CHANGED = "sharing_changed"
    SHARING_ENDED = "sharing_ended"
    CORRECTED = "corrected"
    CORRECTION_UNDONE = "correction_undone"
    EXPORT_ORDERED = "export_ordered"
    EXPORT_DELETED = "export_deleted"
    NOTICE_TARGET_ADDED = "notice_target_added"
    NOTICE_TARGET_REMOVED = "notice_target_removed"
    WEBHOOK_SECRET_ROTATED = "webhook_secret_rotated"
    COMMAND = "command"


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """One row. `address` is None for a command or a job."""

    audit_id: int
    at: datetime
    event: str
    user_key: str | None
    address: str | None
    detail: dict[str, Any]


def record(
    connection: Connection,
    event: str,
    *,
    user_id: int | None = None,
    address: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Adds a row. `user_id` is the user concerned, `address` the origin of the request (None for this machine)."""
    values = {
        "event": event,
        "user_id": user_id,
        "address": address[:_LONGEST_ADDRESS] if address is not None else None,
        "detail": Jsonb({name: _short(value) for name, value in (detail or {}).items()}),
    }
    connection.execute(load_sql("people/access/record_audit"), values)


def list_audit(
    connection: Connection, *, user_id: int | None = None, limit: int = 100, before: int | None = None
) -> tuple[AuditRow, ...]:
    """Rows of everybody or of one user, newest first; `before`: only rows with smaller ids.

    The role `app` always sees only the rows of one user.
    """
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(AuditRow)) as cursor:
        values = {"user_id": user_id, "limit": limit, "before": before}
        return tuple(cursor.execute(load_sql("people/access/list_audit"), values).fetchall())


def prune(connection: Connection) -> int:
    """Deletes rows older than 400 days; returns how many. For the role `ingest`."""
    found = connection.execute("select app.prune_audit()").fetchone()
    assert found is not None
    return int(found[0])


def _short(value: object) -> object:
    """Postgres cannot store NUL in a text, and a caller's name may have any length."""
    if isinstance(value, str):
        return "".join(each for each in value if each.isprintable())[:_LONGEST_TEXT]
    return value
