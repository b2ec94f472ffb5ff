"""Signing in an app without a browser: it begins an attempt, a person lets it in, and it collects an access token.

An attempt is valid for ten minutes and collected once, with its secret, whose hash is in the database. A person who is
signed in with a browser lets it in, on a page that shows the same code as the app.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from psycopg.rows import dict_row

from myi_pipeline.errors import BadInput, Gone, Transient
from myi_pipeline.people.manage_access import LONGEST_NAME, NewToken, TokenScope, hashed, make_token, new_secret
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# Attempts that may wait at a time: each is a row, and anybody can make one.
MOST_ATTEMPTS, MOST_OF_AN_ADDRESS = 1_000, 20
_ID_BYTES = 16
# Without letters and digits that look alike.
_CODE_SIGNS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

State = Literal["pending", "allowed", "collected", "failed", "expired"]
OutcomeState = Literal["pending", "done", "failed", "expired"]
Reason = Literal["denied", "not-invited", "refused"]


class NoSuchAttempt(Gone):
    """No attempt has this id, or the secret is wrong."""


class TooManyAttempts(Transient):
    """Too many apps are waiting to be let in."""


@dataclass(frozen=True, kw_only=True)
class BegunAttempt:
    """The only object that contains the secret."""

    attempt_id: str
    secret: str = field(repr=False)
    code: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class WaitingAttempt:
    """What the page shows about an attempt. `state` is `expired` after its time, whatever the result."""

    attempt_id: str
    code: str
    app_name: str
    scope: TokenScope
    address: str | None
    state: State
    reason: Reason | None
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answer to the app. `made` is set once, in the answer that makes the token."""

    state: OutcomeState
    reason: Reason | None = None
    made: NewToken | None = None


def begin_attempt(
    connection: Connection, *, app_name: str, scope: TokenScope, address: str | None = None
) -> BegunAttempt:
    """Raises BadInput for an unprintable name, and TooManyAttempts."""
    shown = app_name.strip()
    if not shown or len(shown) > LONGEST_NAME or not shown.isprintable():
        raise BadInput(f"an app's name has 1 to {LONGEST_NAME} printable characters", place="app_name")
    secret = new_secret()
    attempt_id = secrets.token_urlsafe(_ID_BYTES)
    code = "-".join("".join(secrets.choice(_CODE_SIGNS) for _ in range(4)) for _ in range(2))
    values = {
        "attempt_id": attempt_id,
        "secret_hash": hashed(secret),
        "code": code,
        "app_name": shown,
        "scope": scope.value,
        "address": address,
        "most": MOST_ATTEMPTS,
        "most_of_an_address": MOST_OF_AN_ADDRESS,
    }
    row = connection.execute(load_sql("people/access/begin_attempt"), values).fetchone()
    if row is None:
        raise TooManyAttempts("too many apps are waiting to be let in; try again in a few minutes")
    return BegunAttempt(attempt_id=attempt_id, secret=secret, code=code, expires_at=row[0])


def find_attempt(connection: Connection, *, attempt_id: str) -> WaitingAttempt:
    """For the page that lets the app in. Raises NoSuchAttempt."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(load_sql("people/access/find_attempt"), {"attempt_id": attempt_id}).fetchone()
    if row is None:
        raise NoSuchAttempt("no app is waiting at this address any more: begin again in the app")
    return WaitingAttempt(**{name: value for name, value in row.items() if name != "secret_hash"} | {
        "scope": TokenScope(row["scope"])
    })  # fmt: skip


def let_in(connection: Connection, *, attempt_id: str, user_id: int) -> bool:
    """Lets the app in as this person. False if it is no longer waiting."""
    return _decide(connection, attempt_id, state="allowed", reason=None, user_id=user_id)


def fail_attempt(connection: Connection, *, attempt_id: str, reason: Reason) -> bool:
    """Declines the app. False if it is no longer waiting."""
    return _decide(connection, attempt_id, state="failed", reason=reason, user_id=None)


def ask_outcome(connection: Connection, *, attempt_id: str, secret: str, address: str | None = None) -> Outcome:
    """The result of the attempt; this call collects one that was let in. Raises NoSuchAttempt."""
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        values = {"attempt_id": attempt_id}
        row = cursor.execute(load_sql("people/access/find_attempt"), values).fetchone()
        if row is None or not hmac.compare_digest(bytes(row["secret_hash"]), hashed(secret)):
            raise NoSuchAttempt("there is no such attempt, or its secret is wrong")
        if row["state"] == "collected":
            return Outcome(state="done")
        if row["state"] != "allowed":
            return Outcome(state=row["state"], reason=row["reason"])
        # Of two concurrent calls, one gets the token.
        taken = cursor.execute(
            "update app.sign_in_attempts set state = 'collected' where attempt_id = %s and state = 'allowed'"
            " returning user_id",
            (attempt_id,),
        ).fetchone()
        if taken is None:
            return Outcome(state="done")
        made = make_token(
            connection,
            user_id=taken["user_id"],
            name=row["app_name"],
            scope=TokenScope(row["scope"]),
            address=address,
        )
    return Outcome(state="done", made=made)


def _decide(
    connection: Connection, attempt_id: str, *, state: str, reason: Reason | None, user_id: int | None
) -> bool:  # fmt: skip
    cursor = connection.execute(
        "update app.sign_in_attempts set state = %s, reason = %s, user_id = %s"
        " where attempt_id = %s and state = 'pending' and expires_at > now()",
        (state, reason, user_id, attempt_id),
    )
    return cursor.rowcount > 0
