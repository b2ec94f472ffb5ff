"""What a person could get wrong about Spotify: keys, the app's settings, logins that end.

Belongs here: the questions, as findings with a remedy; `myi doctor` and the asset checks show them. Not here: mending.
Invariant: looking changes nothing, makes no key and signs nobody in.
"""

from __future__ import annotations

import stat
from contextlib import closing
from datetime import datetime

from myi_pipeline.core.errors import MyiError, Transient
from myi_pipeline.services.check_house import Finding
from myi_pipeline.services.encryption_keys import FILE_NAME, check_keys, find_keys
from myi_pipeline.services.manage_logins import LoginState, list_logins
from myi_pipeline.settings import Settings
from myi_pipeline.spotify.oauth import AccountsClient
from myi_pipeline.spotify.transport import make_http, utc_now
from myi_pipeline.warehouse import token_vault
from myi_pipeline.warehouse.connections import Role, Warehouse

# (fine, what was found, how to mend it)
Found = tuple[bool, str, str]


def encryption_keys(settings: Settings) -> Found:
    """Whether the keys can be read, and by their owner alone."""
    path = settings.secrets_folder / FILE_NAME
    try:
        keys = find_keys(settings)
    except MyiError as error:
        return False, str(error), "without it stored logins cannot be opened"
    if keys is None:
        return True, "none yet: the first sign-in makes one", ""
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return False, f"{path} can be read by others on this machine", f"chmod 600 {path}, then: myi keys new; rotate"
    origin = "MYI_ENCRYPTION_KEYS" if settings.encryption_keys is not None else str(path)
    return True, f"{len(keys.ids)} ({origin}); {keys.sealing_id.hex()} seals", ""


def stored_logins_open(settings: Settings, warehouse: Warehouse) -> Found:
    """Whether every stored login is sealed with a key that is here."""
    try:
        check_keys(settings, warehouse)
    except MyiError as error:
        return False, str(error), "put the missing key back; nothing that uses logins starts before"
    return True, "every stored login is sealed with a key that is here", ""


def spotify_app(settings: Settings) -> Found:
    """Whether Spotify knows the client id and the redirect address."""
    client_id, redirect = settings.spotify_client_id, settings.spotify_redirect_uri
    if client_id is None:
        return True, "no client id; only needed for polling (MYI_SPOTIFY_CLIENT_ID)", ""
    with closing(make_http(settings.spotify_accounts_url)) as http:
        accounts = AccountsClient(http, accounts_url=settings.spotify_accounts_url, client_id=client_id, clock=utc_now)
        try:
            broken = accounts.broken_rule(redirect_uri=redirect)
        except Transient as error:
            return False, str(error), "check the network; nothing can be polled meanwhile"
    if broken is not None:
        return False, "Spotify refuses the app's settings", broken
    return True, f"client id {client_id}, redirect {redirect}", ""


def logins(warehouse: Warehouse, *, now: datetime) -> Found:
    """Whether somebody must sign in again, now or within 30 days."""
    with warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check") as connection:
        states = list_logins(connection, now=now)
    ended = [state for state in states if _has_ended(state)]
    ending = [state for state in states if not _has_ended(state) and state.warning is not None]
    if ended:
        names = ", ".join(state.user_key for state in ended[:5])
        return False, f"{len(ended)} must sign in again: {names}", f"myi user login {ended[0].user_key}"
    if ending:
        names = ", ".join(f"{state.user_key} ({state.days_left} days)" for state in ending[:5])
        return False, f"end soon: {names}", f"myi user login {ending[0].user_key}"
    return True, f"{len(states)}, none of which ends within 30 days" if states else "nobody is signed in", ""


def logins_are_good(warehouse: Warehouse, *, now: datetime | None = None) -> Finding:
    """The asset check: nobody must sign in again, and nobody's six months end within 30 days."""
    moment = now or utc_now()
    passed, text, mend = logins(warehouse, now=moment)
    with warehouse.connect(Role.INGEST, autocommit=True, application_name="myi check") as connection:
        states = list_logins(connection, now=moment)
    figures = {
        "logins": len(states),
        "must_sign_in_again": sum(map(_has_ended, states)),
        **{
            f"end_within_{days}_days": sum(not _has_ended(state) and state.days_left <= days for state in states)
            for days in (30, 7, 1)
        },
    }
    return Finding(passed, f"{text}{f'; {mend}' if mend else ''}", figures)


def _has_ended(state: LoginState) -> bool:
    return state.state == token_vault.REAUTH_REQUIRED or state.days_left <= 0
