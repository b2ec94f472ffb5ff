"""Sessions of browsers, access tokens of programs, and one-time links: making, listing and ending them.

Belongs here: the statements behind what a person decides about who may come in. Not here: recognising whoever comes
(api/security), Spotify. Invariants: a secret is given out once, by the call that makes it, and only its hash is kept;
whoever ends something ends it for one user, never for another.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from myi_pipeline.core.errors import BadInput, Gone
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

TOKEN_PREFIX = "myi_"
LONGEST_NAME = 100
LONGEST_DEVICE = 200
LONGEST_TOKEN_DAYS = 3_650
LINK_LIFE = timedelta(hours=24)
_RANDOM_BYTES = 32


class LinkUsed(Gone):
    """A one-time link that was used, has expired or never was."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One signed-in browser."""

    session_id: int
    method: str
    device: str
    created_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class AccessToken:
    """One token, without the token."""

    token_id: int
    user_key: str
    name: str
    scope: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class NewToken:
    """The only time that the token itself is seen."""

    token: str = field(repr=False)
    about: AccessToken


def new_secret() -> str:
    """256 random bits, as 43 characters that need no quoting anywhere."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def hashed(secret: str) -> bytes:
    """What is kept of a secret. SHA-256 will do for 256 random bits; a slow hash is for what people choose."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def begin_session(
    connection: Connection, *, user_id: int, method: str, device: str, instead_of: str | None = None
) -> str:
    """A new reference for a browser that signed in; the one that it brought (`instead_of`) ends. Secret."""
    reference = new_secret()
    with connection.transaction():
        if instead_of is not None:
            end_session(connection, reference=instead_of)
        connection.execute(
            "insert into app.sessions (user_id, reference_hash, method, device) values (%s, %s, %s, %s)",
            (user_id, hashed(reference), method, _printable(device)[:LONGEST_DEVICE]),
        )
    return reference


def end_session(connection: Connection, *, reference: str) -> bool:
    """Sign out. False when there is no such session."""
    return _changed(connection, "delete from app.sessions where reference_hash = %s", hashed(reference))


def end_session_of(connection: Connection, *, user_id: int, session_id: int) -> bool:
    """End one of this user's sessions. False when this user has none of that number."""
    query = "delete from app.sessions where user_id = %s and session_id = %s"
    return _changed(connection, query, user_id, session_id)


def list_sessions(connection: Connection, *, user_id: int, idle_days: int, longest_days: int) -> tuple[Session, ...]:
    """This user's browsers that are signed in, the last seen first."""
    values = {"user_id": user_id, "idle_days": idle_days, "longest_days": longest_days}
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        return tuple(cursor.execute(load_sql("access/list_sessions"), values).fetchall())


def make_token(connection: Connection, *, user_id: int, name: str, days: int | None = None) -> NewToken:
    """A token that reads this user's marts for so many days, or until revoked. Raises BadInput."""
    wanted = name.strip()
    if not wanted or len(wanted) > LONGEST_NAME or not wanted.isprintable():
        raise BadInput(f"a token's name has 1 to {LONGEST_NAME} printable characters", place="name", rule="printable")
    if days is not None and not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise BadInput(f"a token lives 1 to {LONGEST_TOKEN_DAYS} days", place="days", rule="1 to 3650")
    token = TOKEN_PREFIX + new_secret()
    values = {"user_id": user_id, "hash": hashed(token), "name": wanted, "days": days}
    with connection.cursor(row_factory=class_row(AccessToken)) as cursor:
        made = cursor.execute(load_sql("access/make_token"), values).fetchone()
    assert made is not None
    return NewToken(token, made)


def list_tokens(connection: Connection, *, user_id: int | None = None) -> tuple[AccessToken, ...]:
    """Tokens that are good, the newest first: of all users, or of one."""
    with connection.cursor(row_factory=class_row(AccessToken)) as cursor:
        return tuple(cursor.execute(load_sql("access/list_tokens"), {"user_id": user_id}).fetchall())


def revoke_token(connection: Connection, *, token_id: int, user_id: int | None = None) -> bool:
    """End a token. False when there is none of that number (of this user, if one is given)."""
    query = (
        "update app.access_tokens set revoked_at = now()"
        " where token_id = %s and (%s::int is null or user_id = %s) and revoked_at is null"
    )
    return _changed(connection, query, token_id, user_id, user_id)


def make_link(connection: Connection, *, user_id: int, life: timedelta = LINK_LIFE) -> str:
    """The secret of a link that signs a browser in once; earlier links of this user end. Secret."""
    secret = new_secret()
    with connection.transaction():
        connection.execute("delete from app.sign_in_links where user_id = %s or expires_at < now()", (user_id,))
        connection.execute(
            "insert into app.sign_in_links (link_hash, user_id, expires_at) values (%s, %s, now() + %s)",
            (hashed(secret), user_id, life),
        )
    return secret


def link_owner(connection: Connection, *, secret: str) -> str:
    """The key of the user whom a link would sign in; the link stays good. Raises LinkUsed."""
    query = (
        "select u.user_key from app.sign_in_links as l inner join app.users as u using (user_id)"
        " where l.link_hash = %s and l.expires_at > now()"
    )
    found = connection.execute(query, (hashed(secret),)).fetchone()
    if found is None:
        raise LinkUsed("this link was used or has expired: ask for a new one (myi user link KEY)")
    return str(found[0])


def use_link(connection: Connection, *, secret: str, device: str, instead_of: str | None = None) -> str:
    """The reference of a new session; the link is good no more. Raises LinkUsed. Secret."""
    with connection.transaction():
        query = "delete from app.sign_in_links where link_hash = %s and expires_at > now() returning user_id"
        found = connection.execute(query, (hashed(secret),)).fetchone()
        if found is None:
            raise LinkUsed("this link was used or has expired: ask for a new one (myi user link KEY)")
        return begin_session(connection, user_id=found[0], method="link", device=device, instead_of=instead_of)


def _changed(connection: Connection, query: str, *values: object) -> bool:
    return connection.execute(query.encode(), values).rowcount > 0


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
