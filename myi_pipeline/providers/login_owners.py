"""Which user a Spotify account belongs to: each belongs to one user, whatever names Spotify gives it.

A user has one main login, which is polled, and may have others, which are for playlists.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from myi_pipeline.errors import BadInput, Transient
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.account_names import AccountNames, Match
from myi_pipeline.providers.envelope import KeyRing
from myi_pipeline.providers.token_vault import Credential, find_account_credential, login_place

_CONTRADICTED = "the names that Spotify gave for this account contradict each other; nothing was changed"
_UNCLEAR = "Spotify's answer cannot tell this account from another connected one. Nothing was changed; try again later"


class AccountTaken(BadInput):
    """This Spotify account belongs to another user."""


class AccountUnclear(Transient):
    """Spotify's answer does not identify the account."""


class AnotherAccount(BadInput):
    """The user is signed in with another Spotify account; a person must confirm that the new one replaces it."""

    def __init__(self, account_key: str) -> None:
        super().__init__(
            "the user is signed in with another Spotify account; plays of both would count as one person's. If that is"
            " intended, sign in with --switch-account",
            place="Spotify account",
        )
        self.account_key = account_key


class LoginUse(StrEnum):
    """What a sign-in is for: MAIN for polling; FURTHER for another account's playlists; KNOWN renews the user's
    existing login of the account.
    """

    MAIN = "main"
    FURTHER = "further"
    KNOWN = "known"


@dataclass(frozen=True, kw_only=True)
class StoredLogin:
    """The account's id, and whether it is polled."""

    provider_account_id: int
    is_main: bool


@dataclass(frozen=True, kw_only=True)
class LoginOwner:
    """The user and login that an account has here."""

    user_id: int
    client_id: str
    provider_account_id: int


def store_login(
    connection: Connection,
    keys: KeyRing,
    *,
    user_id: int,
    client_id: str,
    account_key: str,
    other_key: str | None,
    refresh_token: str,
    scopes: Iterable[str],
    now: datetime,
    use: LoginUse = LoginUse.MAIN,
    switch_to: str | None = None,
    trust_owner: bool = True,
) -> StoredLogin:
    """Stores a new login, replacing any older one of the same account.

    `other_key` is the account's other name, if known. `switch_to` is the account that may replace another main one of
    this user: the person confirmed it. `trust_owner`: assume it is the user's own account if nothing tells them apart.
    Raises AccountTaken if the account belongs to another user, AccountUnclear if that cannot be determined, and
    AnotherAccount if the user's main login has another account and nobody confirmed the switch.
    """
    given = AccountNames.from_keys(account_key, other_key)
    with connection.transaction():
        # Two sign-ins at once: the second sees the first.
        connection.execute("lock table app.credentials in share row exclusive mode")
        own = _own_logins(connection, user_id)
        main = next((each for each in own if each.is_main), None)
        stored = next((each for each in own if each.names.compare(given) is Match.SAME), None)
        # Once it is certain that it is the owner's account, its known names also count against other accounts.
        certain = stored.names.known_with(given) if stored is not None else given
        for rival in _rivals(connection, certain, but_user=user_id):
            against = rival.names.compare(certain)
            if against in (Match.SAME, Match.CONFLICT):
                raise AccountTaken(
                    "this Spotify account is already signed in as another user; its plays would be counted twice",
                    place="Spotify account",
                )
            if against is Match.UNKNOWN:
                raise AccountUnclear(_UNCLEAR)
        if stored is None:
            stored = _not_told_apart(own, given, use=use, trust_owner=trust_owner)
        if use is LoginUse.KNOWN and stored is None:
            raise AccountUnclear("the login of this account has just been deleted; nothing was changed")
        if use is LoginUse.MAIN and main is not None and stored != main:
            if switch_to != given.key:
                raise AnotherAccount(given.key)
            # The trigger on this table closes the polled span of the former account.
            connection.execute(
                "delete from app.credentials where provider_account_id = %s", (main.provider_account_id,)
            )
            own = [each for each in own if each != main]
        if any(each != stored and each.names.compare(certain) is Match.CONFLICT for each in own):
            raise AccountUnclear(_CONTRADICTED)
        is_main = use is LoginUse.MAIN or (stored.is_main if stored is not None else main is None)
        names = given if stored is None else stored.names.known_with(given)
        values = {
            "user_id": user_id,
            "account": stored.provider_account_id if stored is not None else None,
            "is_main": is_main,
            "client_id": client_id,
            "account_key": names.key,
            "account_id": names.account_id,
            "profile_id": names.profile_id,
            "refresh_token": keys.seal(refresh_token, place=login_place(user_id, client_id)),
            "scopes": sorted(scopes),
            "now": now,
        }
        connection.execute(load_sql("providers/vault/store_login"), values)
        if stored is not None:
            _rename_polled(connection, user_id=user_id, before=stored.names, after=names)
        row = connection.execute(
            "select provider_account_id from app.credentials where account_key = %s", (names.key,)
        ).fetchone()
        assert row is not None
    return StoredLogin(provider_account_id=int(row[0]), is_main=is_main)


def _not_told_apart(own: Sequence[_Named], given: AccountNames, *, use: LoginUse, trust_owner: bool) -> _Named | None:
    """The login that may be this account although no name matches; accepted only if it is the user's only one."""
    unclear = [each for each in own if each.names.compare(given) is Match.UNKNOWN]
    if not unclear:
        return None
    if not trust_owner or use is LoginUse.FURTHER or len(own) > 1:
        raise AccountUnclear(_UNCLEAR)
    return unclear[0]


def make_main(connection: Connection, *, user_id: int, account: int) -> bool:
    """Polls this account of the user from now on; the former one keeps its login.

    False if the user has no login of it.
    """
    with connection.transaction():
        connection.execute("lock table app.credentials in share row exclusive mode")
        own = _own_logins(connection, user_id)
        if account not in [each.provider_account_id for each in own]:
            return False
        # The trigger on this table closes the polled span of the former account.
        connection.execute(
            "update app.credentials set is_main = false where user_id = %s and is_main and provider_account_id <> %s",
            (user_id, account),
        )
        connection.execute(
            "update app.credentials set is_main = true where provider_account_id = %s and not is_main", (account,)
        )
    return True


def holders(connection: Connection, given: AccountNames) -> tuple[LoginOwner, ...]:
    """The logins whose account is the one in the answer, main or not; empty if nobody has it.

    Raises AccountUnclear if the names contradict each other: they lead to two logins, or to another account.
    """
    found = []
    for rival in _rivals(connection, given):
        match = rival.names.compare(given)
        if match is Match.CONFLICT:
            raise AccountUnclear(_CONTRADICTED)
        if match is Match.SAME:
            found.append(rival)
    if len(found) > 1:
        of_two = "users" if len({each.user_id for each in found}) > 1 else "accounts"
        raise AccountUnclear(f"the names that Spotify gave for this account belong to two {of_two}; nothing changed")
    rows = connection.execute(
        "select user_id, client_id, provider_account_id from app.credentials where provider_account_id = any (%s)",
        ([each.provider_account_id for each in found],),
    )
    return tuple(
        LoginOwner(user_id=int(user_id), client_id=str(client_id), provider_account_id=int(account))
        for user_id, client_id, account in rows
    )


def lacking_names(
    connection: Connection, *, asked_before: datetime, user_ids: Collection[int] | None = None
) -> tuple[Credential, ...]:
    """Up to 20 usable logins that lack one account name and were last asked before `asked_before`."""
    values = {"asked_before": asked_before, "user_ids": None if user_ids is None else list(user_ids), "limit": 20}
    rows = connection.execute(load_sql("providers/vault/lacking_names"), values).fetchall()
    found = (find_account_credential(connection, account=account) for (account,) in rows)
    return tuple(credential for credential in found if credential is not None and credential.is_usable)


def learn_names(connection: Connection, given: AccountNames | None, *, credential: Credential, now: datetime) -> None:
    """Stores a missing name of this login's account; None records that Spotify did not have it."""
    with connection.transaction():
        connection.execute("lock table app.credentials in share row exclusive mode")
        known = credential.names
        names = known
        if given is not None and known.compare(given) in (Match.SAME, Match.UNKNOWN):
            # It was the answer to this login's own token, so it is this account.
            both = known.known_with(given)
            rivals = _rivals(connection, both, but_account=credential.provider_account_id)
            if all(rival.names.compare(both) is Match.OTHER for rival in rivals):
                names = both
        connection.execute(
            "update app.credentials set account_key = %s, account_id = %s, profile_id = %s, names_asked_at = %s"
            " where provider_account_id = %s and authorised_at = %s",
            (
                names.key,
                names.account_id,
                names.profile_id,
                now,
                credential.provider_account_id,
                credential.authorised_at,
            ),
        )
        _rename_polled(connection, user_id=credential.user_id, before=known, after=names)


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A login with the names of its account. Needs no permission to read the login itself."""

    provider_account_id: int
    user_id: int
    is_main: bool
    names: AccountNames


def _own_logins(connection: Connection, user_id: int) -> list[_Named]:
    rows = connection.execute(
        "select provider_account_id, is_main, account_id, profile_id from app.credentials where user_id = %s"
        " order by is_main desc, provider_account_id",
        (user_id,),
    )
    return [
        _Named(
            provider_account_id=account,
            user_id=user_id,
            is_main=is_main,
            names=AccountNames(account_id=account_id, profile_id=profile_id),
        )
        for account, is_main, account_id, profile_id in rows
    ]


def _rivals(
    connection: Connection, given: AccountNames, *, but_user: int | None = None, but_account: int | None = None
) -> list[_Named]:
    """Every login that has or may have the given account, except those of one user or one account."""
    values = {
        "but_user": but_user,
        "but_account": but_account,
        "account_id": given.account_id,
        "profile_id": given.profile_id,
    }
    rows = connection.execute(load_sql("providers/vault/rivals"), values)
    return [
        _Named(
            provider_account_id=account,
            user_id=user_id,
            is_main=is_main,
            names=AccountNames(account_id=account_id, profile_id=profile_id),
        )
        for account, user_id, is_main, account_id, profile_id in rows
    ]


def _rename_polled(connection: Connection, *, user_id: int, before: AccountNames, after: AccountNames) -> None:
    if before.key != after.key:
        connection.execute(
            "update app.polled_accounts set account_key = %s where user_id = %s and account_key = %s",
            (after.key, user_id, before.key),
        )
