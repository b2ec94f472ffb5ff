"""Requests for erasure: what would be deleted, requesting, withdrawing, and the receipt.

A request only writes a row; operations/erase_users carries it out when it is due. A receipt names nobody: anybody with
its id may read it, as the person no longer has an account.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput, Busy
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.postgres.wake_ups import Wake, wake

RECEIPT_ID = re.compile(r"[0-9a-f]{24}\Z")
# Names for people of these tables' rows; rows of all others are `OTHER`.
_WORDS = {
    "raw.listening_events": "plays",
    "raw.playlists": "playlists",
    "raw.top_items": "entries of top lists",
    "app.imports": "archives",
    "app.corrections": "corrections",
    "app.recording_decisions": "decisions about songs",
    "app.migrations": "playlists being moved",
    "app.saved_migrations": "playlists kept in sync",
    "app.shares": "shared reports",
    "app.agreements": "agreements with other listeners",
    "app.exports": "exports",
    "app.notice_targets": "addresses for notices",
    "ops.notices": "notices",
    "ops.notice_deliveries": "messages with notices",
    "app.provider_accounts": "linked accounts",
    "app.linked_services": "linked accounts",
    "app.credentials": "logins",
    "app.sessions": "signed-in browsers",
    "app.access_tokens": "access tokens",
    "app.onward_plays": "plays sent on to other services",
    "app.audit": "entries of the audit log",
    "ops.quarantine": "rows set aside",
    "ops.submissions": "submissions from players",
    "ops.polls": "polls",
}
OTHER = "other records"


class ImportIsRunning(Busy):
    """An archive of this user is being imported."""


@dataclass(frozen=True, kw_only=True)
class ErasureRequest:
    """A pending request. It can be withdrawn until `due_at`."""

    user_id: int
    receipt_id: str
    requested_at: datetime
    due_at: datetime
    last_error: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoginEnded:
    """A login that was stored here. `outcome`: `ended` there, `not_offered` by the service, or `failed`."""

    service: str
    outcome: str
    said: str | None = None


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """`erased_at` is None while it is pending, `finished_at` while traces are being removed."""

    receipt_id: str
    requested_at: datetime
    due_at: datetime
    erased_at: datetime | None
    finished_at: datetime | None
    counts: dict[str, int]
    logins: tuple[LoginEnded, ...]

    @property
    def state(self) -> str:
        if self.erased_at is None:
            return "waiting"
        return "finished" if self.finished_at is not None else "clearing"


def count_kept(connection: Connection, *, user_id: int) -> dict[str, int]:
    """Stored rows of a user by kind, in words, without zeros. Files are counted elsewhere."""
    found: dict[str, int] = {}
    with as_user(connection, user_id):
        counted = connection.execute("select kind, rows from app.count_kept_of(%s)", (user_id,)).fetchall()
    for table, rows in counted:
        if rows:
            word = _WORDS.get(table, OTHER)
            found[word] = found.get(word, 0) + int(rows)
    in_order = [*dict.fromkeys(_WORDS.values()), OTHER]
    return {word: found[word] for word in in_order if word in found}


def check_confirmation(*, user_key: str, confirmation: str) -> None:
    """Raises BadInput unless the person has typed their own user key."""
    if confirmation.strip() != user_key:
        raise BadInput(f"to confirm, type your user name, {user_key}", place="confirmation", rule="the user key")


def check_no_import_runs(connection: Connection, *, user_id: int) -> None:
    """Raises ImportIsRunning, which names the archive."""
    with as_user(connection, user_id):
        row = connection.execute("select app.running_import_of(%s)", (user_id,)).fetchone()
    if row is not None and row[0] is not None:
        raise ImportIsRunning(f"{row[0]} is being imported: wait until that has ended, then erase; nothing was changed")


def request_erasure(
    connection: Connection, *, user_id: int, now: datetime, grace: timedelta, address: str | None = None
) -> ErasureRequest:
    """Requests erasure; a second request does not change the first. Raises ImportIsRunning."""
    with as_user(connection, user_id):
        check_no_import_runs(connection, user_id=user_id)
        made = connection.execute(
            "insert into app.erasure_requests (user_id, receipt_id, requested_at, due_at) values (%s, %s, %s, %s)"
            " on conflict (user_id) do nothing returning receipt_id",
            (user_id, secrets.token_hex(12), now, now + grace),
        ).fetchone()
        if made is not None:
            detail = {"receipt": made[0], "grace_days": grace.days}
            audit.record(connection, Event.ERASURE_REQUESTED, user_id=user_id, address=address, detail=detail)
            # The sensor that watches users carries it out.
            wake(connection, Wake.USERS)
    found = find_request(connection, user_id=user_id)
    if found is None:
        raise Busy("this erasure was withdrawn at the same moment")
    return found


def find_request(connection: Connection, *, user_id: int) -> ErasureRequest | None:
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(ErasureRequest)) as cursor:
        return cursor.execute("select * from app.erasure_requests where user_id = %s", (user_id,)).fetchone()


def withdraw(connection: Connection, *, user_id: int, now: datetime, address: str | None = None) -> bool:
    """Withdraws the request; False if there is none or it is already due."""
    with as_user(connection, user_id):
        gone = connection.execute(
            "delete from app.erasure_requests where user_id = %s and due_at > %s returning receipt_id", (user_id, now)
        ).fetchone()
        if gone is not None:
            audit.record(
                connection, Event.ERASURE_WITHDRAWN, user_id=user_id, address=address, detail={"receipt": gone[0]}
            )
    return gone is not None


def due_requests(connection: Connection, *, now: datetime) -> tuple[ErasureRequest, ...]:
    """Due requests of all users, oldest first; for the role `ingest`."""
    with connection.cursor(row_factory=class_row(ErasureRequest)) as cursor:
        cursor.execute("select * from app.erasure_requests where due_at <= %s order by due_at, user_id", (now,))
        return tuple(cursor.fetchall())


def read_receipt(connection: Connection, receipt_id: str) -> Receipt | None:
    """None if there is no receipt with this id."""
    if RECEIPT_ID.match(receipt_id) is None:
        return None
    row = connection.execute("select * from app.erasure_receipt(%s)", (receipt_id,)).fetchone()
    if row is None:
        return None
    requested_at, due_at, erased_at, finished_at, counts, logins = row
    return Receipt(
        receipt_id=receipt_id,
        requested_at=requested_at,
        due_at=due_at,
        erased_at=erased_at,
        finished_at=finished_at,
        counts=_ordered(counts),
        logins=tuple(LoginEnded(**each) for each in logins),
    )


def _ordered(counts: dict[str, Any]) -> dict[str, int]:
    """jsonb sorts keys by length."""
    in_order = [*dict.fromkeys(_WORDS.values()), OTHER]
    known = [word for word in in_order if word in counts]
    return {word: int(counts[word]) for word in [*known, *sorted(set(counts) - set(known))]}
