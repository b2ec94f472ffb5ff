"""Sessions of browsers, access tokens of programs, and one-time links: making, listing and ending them.

A secret is returned once, by the call that makes it, and only its hash is stored; ending something affects one user,
never another; each step is in the audit log, with the address that a request came from (None for a command).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput, Gone
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

TOKEN_PREFIX = "myi_"
LONGEST_NAME = 100
LONGEST_DEVICE = 200
LONGEST_TOKEN_DAYS = 3_650
TOKEN_DAYS = 365
LINK_LIFE = timedelta(hours=24)
_RANDOM_BYTES = 32


class TokenScope(StrEnum):
    """The scope of a token. `operate` and `playlists:write` can also read; `listens:write` can only submit listens."""

    READ = "read"
    OPERATE = "operate"
    SUBMIT_LISTENS = "listens:write"
    MOVE_PLAYLISTS = "playlists:write"


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
    """The only object that contains the token itself."""

    token: str = field(repr=False)
    about: AccessToken


@dataclass(frozen=True, kw_only=True)
class EndedAccess:
    """How much was ended."""

    sign_ins: int
    tokens: int
    links: int


def new_secret() -> str:
    """256 random bits, as 43 characters that need no quoting anywhere."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def hashed(secret: str) -> bytes:
    """The stored form of a secret.

    SHA-256 suffices for 256 random bits; slow hashes are for secrets that people choose.
    """
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def begin_session(
    connection: Connection,
    *,
    user_id: int,
    method: str,
    device: str,
    instead_of: str | None = None,
    address: str | None = None,
) -> str:
    """A new reference for a browser that signed in; its previous one (`instead_of`) ends. Secret."""
    reference = new_secret()
    shown = _printable(device)[:LONGEST_DEVICE]
    with connection.transaction():
        if instead_of is not None:
            connection.execute("delete from app.sessions where reference_hash = %s", (hashed(instead_of),))
        connection.execute(
            "insert into app.sessions (user_id, reference_hash, method, device) values (%s, %s, %s, %s)",
            (user_id, hashed(reference), method, shown),
        )
        detail = {"method": method, "device": shown}
        audit.record(connection, Event.SIGNED_IN, user_id=user_id, address=address, detail=detail)
    return reference


def end_session(connection: Connection, *, reference: str, address: str | None = None) -> bool:
    """Signs out. False if there is no such session."""
    query = "delete from app.sessions where reference_hash = %s returning user_id, device"
    return _end_sessions(connection, query, (hashed(reference),), address=address) > 0


def end_session_of(connection: Connection, *, user_id: int, session_id: int, address: str | None = None) -> bool:
    """Ends one of this user's sessions. False if this user has none with that id."""
    query = "delete from app.sessions where user_id = %s and session_id = %s returning user_id, device"
    return _end_sessions(connection, query, (user_id, session_id), address=address) > 0


def end_all(
    connection: Connection, *, user_id: int, but_session: int | None = None, address: str | None = None
) -> EndedAccess:
    """Ends every sign-in, token and link of a user, except one session if given."""
    with connection.transaction():
        sessions = connection.execute(
            "delete from app.sessions where user_id = %s and session_id is distinct from %s", (user_id, but_session)
        ).rowcount
        tokens = connection.execute(
            "update app.access_tokens set revoked_at = now() where user_id = %s and revoked_at is null"
            " and (expires_at is null or expires_at > now())",
            (user_id,),
        ).rowcount
        links = connection.execute("delete from app.sign_in_links where user_id = %s", (user_id,)).rowcount
        connection.execute("delete from app.sign_ins where user_id = %s", (user_id,))
        connection.execute("delete from app.sign_in_attempts where user_id = %s", (user_id,))
        ended = EndedAccess(sign_ins=sessions, tokens=tokens, links=links)
        audit.record(
            connection,
            Event.SIGN_INS_ENDED,
            user_id=user_id,
            address=address,
            detail={"sign_ins": sessions, "tokens": tokens, "links": links, "kept_one": but_session is not None},
        )
    return ended


def list_sessions(connection: Connection, *, user_id: int, idle_days: int, longest_days: int) -> tuple[Session, ...]:
    """This user's signed-in browsers, most recently seen first."""
    values = {"user_id": user_id, "idle_days": idle_days, "longest_days": longest_days}
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        return tuple(cursor.execute(load_sql("people/access/list_sessions"), values).fetchall())


def make_token(
    connection: Connection,
    *,
    user_id: int,
    name: str,
    days: int | None = None,
    scope: TokenScope = TokenScope.READ,
    address: str | None = None,
) -> NewToken:
    """Makes a token for this user, valid for `days`, by default a year. Raises BadInput.

    It reads the user's marts unless the scope says otherwise; one with `operate` has its user's rights on Dagster's
    pages, as long as the user is an operator.
    """
    wanted = name.strip()
    if not wanted or len(wanted) > LONGEST_NAME or not wanted.isprintable():
        raise BadInput(f"a token's name has 1 to {LONGEST_NAME} printable characters", place="name", rule="printable")
    if days is not None and not 1 <= days <= LONGEST_TOKEN_DAYS:
        raise BadInput(f"a token is valid for 1 to {LONGEST_TOKEN_DAYS} days", place="days", rule="1 to 3650")
    token = TOKEN_PREFIX + new_secret()
    lives = TOKEN_DAYS if days is None else days
    values = {"user_id": user_id, "hash": hashed(token), "name": wanted, "days": lives, "scope": scope.value}
    with connection.transaction(), connection.cursor(row_factory=class_row(AccessToken)) as cursor:
        made = cursor.execute(load_sql("people/access/make_token"), values).fetchone()
        assert made is not None
        detail = {"token_id": made.token_id, "name": wanted, "days": lives, "scope": scope.value}
        audit.record(connection, Event.TOKEN_MADE, user_id=user_id, address=address, detail=detail)
    return NewToken(token, made)


def list_tokens(connection: Connection, *, user_id: int | None = None) -> tuple[AccessToken, ...]:
    """Valid tokens, newest first: of all users, or of one."""
    with connection.cursor(row_factory=class_row(AccessToken)) as cursor:
        return tuple(cursor.execute(load_sql("people/access/list_tokens"), {"user_id": user_id}).fetchall())


def revoke_token(
    connection: Connection, *, token_id: int, user_id: int | None = None, address: str | None = None
) -> bool:
    """Revokes a token. False if there is none with that id (of this user, if given)."""
    query = (
        "update app.access_tokens set revoked_at = now()"
        " where token_id = %s and (%s::int is null or user_id = %s) and revoked_at is null returning user_id, name"
    )
    with connection.transaction():
        found = connection.execute(query, (token_id, user_id, user_id)).fetchone()
        if found is not None:
            detail = {"token_id": token_id, "name": found[1]}
            audit.record(connection, Event.TOKEN_REVOKED, user_id=found[0], address=address, detail=detail)
    return found is not None


def make_link(connection: Connection, *, user_id: int, life: timedelta = LINK_LIFE, address: str | None = None) -> str:
    """The secret of a link that signs a browser in once; earlier links of this user end. Secret."""
    secret = new_secret()
    with connection.transaction():
        connection.execute("delete from app.sign_in_links where user_id = %s or expires_at < now()", (user_id,))
        connection.execute(
            "insert into app.sign_in_links (link_hash, user_id, expires_at) values (%s, %s, now() + %s)",
            (hashed(secret), user_id, life),
        )
        audit.record(connection, Event.LINK_MADE, user_id=user_id, address=address)
    return secret


def link_owner(connection: Connection, *, secret: str) -> str:
    """The key of the user whom a link would sign in; the link stays valid. Raises LinkUsed."""
    query = (
        "select u.user_key from app.sign_in_links as l inner join app.users as u using (user_id)"
        " where l.link_hash = %s and l.expires_at > now()"
    )
    found = connection.execute(query, (hashed(secret),)).fetchone()
    if found is None:
        raise LinkUsed("this link was used or has expired: ask the person who gave it to you for a new one")
    return str(found[0])


def use_link(
    connection: Connection, *, secret: str, device: str, instead_of: str | None = None, address: str | None = None
) -> str:
    """The reference of a new session; the link is used up. Raises LinkUsed. Secret."""
    with connection.transaction():
        query = "delete from app.sign_in_links where link_hash = %s and expires_at > now() returning user_id"
        found = connection.execute(query, (hashed(secret),)).fetchone()
        if found is None:
            raise LinkUsed("this link was used or has expired: ask the person who gave it to you for a new one")
        return begin_session(
            connection, user_id=found[0], method="link", device=device, instead_of=instead_of, address=address
        )


def prune_ended(connection: Connection, *, idle_days: int, longest_days: int) -> int:
    """Deletes sign-ins, tokens and links that are no longer valid; returns how many. For the role `app`."""
    values = {"idle_days": idle_days, "longest_days": longest_days}
    found = connection.execute(load_sql("people/access/prune_ended"), values).fetchone()
    assert found is not None
    return int(found[0])


def _end_sessions(connection: Connection, query: str, values: tuple[object, ...], *, address: str | None) -> int:
    with connection.transaction():
        ended = connection.execute(query.encode(), values).fetchall()
        for user_id, device in ended:
            audit.record(connection, Event.SIGNED_OUT, user_id=user_id, address=address, detail={"device": device})
    return len(ended)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
