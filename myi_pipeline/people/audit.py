"""The audit log: who came in, who was let in or shut out, and what the operator did.

What the roles may do is settled by the database: rows are added and never changed, the time is the server's, and
pruning reaches no row younger than 400 days (0007_30_audit.sql).

Recorded on the caller's connection: inside a transaction the row commits with what it records, or not at all. A detail
holds numbers and short names, never a token, code, link or cookie.
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

_LONGEST_ADDRESS = 100
_LONGEST_TEXT = 200


class Event(StrEnum):
    """What can happen. Others may be recorded as plain text of the same form: a-z and underscores."""

    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGNED_OUT = "signed_out"
    SIGN_INS_ENDED = "sign_ins_ended"
    TOKEN_MADE = "token_made"
    TOKEN_REVOKED = "token_revoked"
    WRONG_CREDENTIAL = "wrong_credential"
    LINK_MADE = "link_made"
    LINK_REFUSED = "link_refused"
    SPOTIFY_CONNECTED = "spotify_connected"
    SPOTIFY_DISCONNECTED = "spotify_disconnected"
    RECORDING_DECIDED = "recording_decided"
    RECORDING_TAKEN_BACK = "recording_taken_back"
    SERVICE_LINKED = "service_linked"
    SERVICE_UNLINKED = "service_unlinked"
    USER_ADDED = "user_added"
    USER_REMOVED = "user_removed"
    CORRECTED = "corrected"
    CORRECTION_UNDONE = "correction_undone"
    COMMAND = "command"


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """One row. `address` is None for a command or a job of this machine."""

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
    """Add a row. `user_id` is whom it concerns, `address` where the request came from (None: this machine)."""
    values = {
        "event": event,
        "user_id": user_id,
        "address": address[:_LONGEST_ADDRESS] if address is not None else None,
        "detail": Jsonb({name: _short(value) for name, value in (detail or {}).items()}),
    }
    connection.execute(load_sql("people/access/record_audit"), values)


def list_audit(connection: Connection, *, user_id: int | None = None, limit: int = 100) -> tuple[AuditRow, ...]:
    """The newest first: of everybody, or what concerns one user.

    The role `app` sees the rows of one user and no others, whatever is asked.
    """
    with connection.transaction(), connection.cursor(row_factory=class_row(AuditRow)) as cursor:
        cursor.execute("select set_config('app.user_id', %s, true)", ("" if user_id is None else str(user_id),))
        return tuple(
            cursor.execute(load_sql("people/access/list_audit"), {"user_id": user_id, "limit": limit}).fetchall()
        )


def prune(connection: Connection) -> int:
    """Delete what is older than 400 days; returns how many rows. For the role `ingest`."""
    found = connection.execute("select app.prune_audit()").fetchone()
    assert found is not None
    return int(found[0])


def _short(value: object) -> object:
    """Postgres keeps no NUL in a text, and a name may be as long as a caller likes."""
    if isinstance(value, str):
        return "".join(each for each in value if each.isprintable())[:_LONGEST_TEXT]
    return value
