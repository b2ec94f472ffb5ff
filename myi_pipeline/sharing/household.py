"""Agreements between two listeners of one installation: each sees what the other has chosen to show.

The choices of both are in one row of `app.agreements`, which only these two can see. Each can only accept for
themselves and decide what is shown of themselves, which the database enforces (`0012_41_agreements.sql`). Ending an
agreement deletes the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from psycopg import errors
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput, Gone
from myi_pipeline.people.audit import Event, record
from myi_pipeline.people.manage_access import hashed, new_secret
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user

SharedPart = Literal["overview", "tops", "common"]
SHARED_PARTS: tuple[SharedPart, ...] = get_args(SharedPart)
INVITATION_LIFE = timedelta(days=14)
# A household, or a club; not an address book.
MOST_AGREEMENTS = 50
_NONE = "this agreement no longer exists"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """An agreement or invitation as one of the two sees it.

    Until it is accepted, the inviter only knows the user name that they typed, if any. `theirs` is what this user may
    see of the other, `mine` what the other may see of this user, both from `accepted_at` on.
    """

    agreement_id: int
    is_inviter: bool
    other_id: int | None
    other_key: str | None
    other_name: str | None
    mine: tuple[str, ...]
    theirs: tuple[str, ...]
    invited_at: datetime
    expires_at: datetime
    accepted_at: datetime | None

    @property
    def has_common(self) -> bool:
        """Whether both share what they have in common, which reveals something about both."""
        return "common" in self.mine and "common" in self.theirs


def invite(
    connection: Connection,
    *,
    user_id: int,
    parts: Sequence[str],
    user_key: str | None,
    now: datetime,
    address: str | None = None,
) -> str | None:
    """Invite a user by name; or, without one, return the secret of an invitation link. Raises BadInput."""
    secret = new_secret() if user_key is None else None
    values = {
        "user_id": user_id,
        "invitee_id": None,
        "link_hash": hashed(secret) if secret is not None else None,
        "parts": list(_checked(parts)),
        "now": now,
        "expires_at": now + INVITATION_LIFE,
    }
    with as_user(connection, user_id):
        connection.execute(load_sql("sharing/drop_old_invitations"), {"now": now})
        if user_key is not None:
            values["invitee_id"] = _user_of(connection, user_key, but=user_id)
        count = connection.execute("select count(*) from app.agreements").fetchone()
        assert count is not None
        if count[0] >= MOST_AGREEMENTS:
            raise BadInput(f"there are {MOST_AGREEMENTS} agreements and invitations already", rule="end one first")
        try:
            with connection.transaction():
                connection.execute(load_sql("sharing/invite"), values)
        except errors.UniqueViolation:
            raise BadInput("the two of you have an agreement or an invitation already", place="user_key") from None
        record(connection, Event.SHARING_INVITED, user_id=user_id, address=address)
    return secret


def claim(connection: Connection, *, user_id: int, secret: str, now: datetime) -> int:
    """Make this user the invitee of a link's invitation, and end the link. Returns its id. Raises Gone."""
    with as_user(connection, user_id):
        try:
            with connection.transaction():
                found = connection.execute("select app.claim_invitation(%s, %s)", (hashed(secret), now)).fetchone()
        except errors.UniqueViolation:
            found = None
    if found is None or found[0] is None:
        raise Gone("this invitation was already used, has expired, or is not for you: ask for a new one")
    return int(found[0])


def accept(
    connection: Connection,
    *,
    user_id: int,
    agreement_id: int,
    parts: Sequence[str],
    now: datetime,
    address: str | None = None,
) -> None:
    """Accept an invitation, and choose what the inviter may see. Raises BadInput and Gone."""
    with as_user(connection, user_id):
        _check_there(connection, agreement_id)
        values = {"user_id": user_id, "agreement_id": agreement_id, "parts": list(_checked(parts)), "now": now}
        found = connection.execute(load_sql("sharing/accept"), values).fetchone()
        if found is None:
            raise Gone("this invitation no longer exists")
        for each in (user_id, int(found[0])):
            record(connection, Event.SHARING_AGREED, user_id=each, address=address if each == user_id else None)


def choose(
    connection: Connection, *, user_id: int, agreement_id: int, parts: Sequence[str], address: str | None = None
) -> None:
    """Choose what the other may see of this user from now on. Raises BadInput and Gone."""
    with as_user(connection, user_id):
        _check_there(connection, agreement_id)
        values = {"user_id": user_id, "agreement_id": agreement_id, "parts": list(_checked(parts))}
        if connection.execute(load_sql("sharing/choose"), values).rowcount == 0:
            raise Gone(_NONE)
        detail = {"parts": ", ".join(_checked(parts))}
        record(connection, Event.SHARING_CHANGED, user_id=user_id, address=address, detail=detail)


def end(connection: Connection, *, user_id: int, agreement_id: int, address: str | None = None) -> bool:
    """End an agreement, or withdraw or decline an invitation. False if this user has none with that id."""
    query = "delete from app.agreements where agreement_id = %s returning inviter_id, invitee_id"
    with as_user(connection, user_id):
        found = connection.execute(query, (agreement_id,)).fetchone()
        for each in found or ():
            if each is not None:
                own = address if each == user_id else None
                record(connection, Event.SHARING_ENDED, user_id=each, address=own)
        return found is not None


def prune(connection: Connection, *, now: datetime) -> int:
    """Delete expired invitations; returns how many. For the role `ingest`."""
    return connection.execute(load_sql("sharing/drop_old_invitations"), {"now": now}).rowcount


def list_agreements(connection: Connection, *, user_id: int, now: datetime) -> tuple[Agreement, ...]:
    """One user's agreements and valid invitations, newest first."""
    values = {"user_id": user_id, "agreement_id": None, "now": now}
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(_Row)) as cursor:
        return tuple(_agreement(row) for row in cursor.execute(load_sql("sharing/list_agreements"), values).fetchall())


def get_agreement(connection: Connection, *, user_id: int, agreement_id: int, now: datetime) -> Agreement:
    """An agreement that both have accepted. Raises Gone."""
    values = {"user_id": user_id, "agreement_id": agreement_id, "now": now}
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(_Row)) as cursor:
        found = cursor.execute(load_sql("sharing/list_agreements"), values).fetchone()
    if found is None or found.accepted_at is None:
        raise Gone(_NONE)
    return _agreement(found)


@dataclass(frozen=True, kw_only=True)
class _Row:
    agreement_id: int
    is_inviter: bool
    other_id: int | None
    other_key: str | None
    other_name: str | None
    mine: list[str] | None
    theirs: list[str] | None
    invited_at: datetime
    expires_at: datetime
    accepted_at: datetime | None


def _agreement(row: _Row) -> Agreement:
    return Agreement(**{**vars(row), "mine": tuple(row.mine or ()), "theirs": tuple(row.theirs or ())})


def _check_there(connection: Connection, agreement_id: int) -> None:
    """Raises Gone if it no longer exists, before other input is checked."""
    found = connection.execute("select from app.agreements where agreement_id = %s", (agreement_id,)).fetchone()
    if found is None:
        raise Gone(_NONE)


def _checked(parts: Sequence[str]) -> tuple[str, ...]:
    if not parts or not set(parts) <= set(SHARED_PARTS):
        raise BadInput("choose at least one thing to show", place="parts", rule=", ".join(SHARED_PARTS))
    return tuple(each for each in SHARED_PARTS if each in parts)


def _user_of(connection: Connection, user_key: str, *, but: int) -> int:
    found = connection.execute("select user_id from app.users where user_key = %s", (user_key,)).fetchone()
    if found is None:
        raise BadInput("there is nobody here with that user name", place="user_key")
    if found[0] == but:
        raise BadInput("an agreement takes two", place="user_key", rule="somebody else's user name")
    return int(found[0])
