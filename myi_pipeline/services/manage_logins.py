"""Pausing, resuming and ending a user's login, and how all logins stand.

Belongs here: what a person decides about a login that is there. Not here: signing in. Invariant: a disconnected login
is gone from the database when the call returns; the user's plays stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.core.errors import BadInput
from myi_pipeline.core.login_terms import days_left, denied, ends_at, features, warning_stage
from myi_pipeline.services.connection_pool import Connection
from myi_pipeline.services.manage_users import get_user
from myi_pipeline.warehouse import token_vault
from myi_pipeline.warehouse.token_vault import Credential


@dataclass(frozen=True, kw_only=True)
class LoginState:
    """One login for people. `state` is `active`, `paused` or `reauth_required`; `warning` 30, 7, 1 or 0 days."""

    user_key: str
    client_id: str
    state: str
    allowed: tuple[str, ...]
    denied: tuple[str, ...]
    authorised_at: datetime
    refreshed_at: datetime
    ends_at: datetime
    days_left: int
    warning: int | None
    last_error: str | None


def list_logins(connection: Connection, *, now: datetime) -> tuple[LoginState, ...]:
    """Every login in the order of users."""
    return tuple(_state(credential, now) for credential in token_vault.list_credentials(connection))


def pause_user(connection: Connection, *, user_key: str, now: datetime) -> None:
    """Ask nothing of Spotify for this user until resumed. Raises UnknownUser, BadInput without a login."""
    user = get_user(connection, user_key=user_key)
    _require(token_vault.pause(connection, user_id=user.user_id, now=now), user_key)


def resume_user(connection: Connection, *, user_key: str) -> None:
    """Raises UnknownUser, BadInput without a login."""
    user = get_user(connection, user_key=user_key)
    _require(token_vault.resume(connection, user_id=user.user_id), user_key)


def disconnect_user(connection: Connection, *, user_key: str) -> bool:
    """Delete the login at once; what was collected stays. False when there was none. Raises UnknownUser."""
    user = get_user(connection, user_key=user_key)
    return token_vault.delete_login(connection, user_id=user.user_id)


def _require(found: bool, user_key: str) -> None:
    if not found:
        raise BadInput(
            f"user {user_key} is not signed in to Spotify; sign in with: myi user login {user_key}", place="user key"
        )


def _state(credential: Credential, now: datetime) -> LoginState:
    is_paused = credential.status == token_vault.ACTIVE and credential.paused_at is not None
    return LoginState(
        user_key=credential.user_key,
        client_id=credential.client_id,
        state="paused" if is_paused else credential.status,
        allowed=tuple(sorted(feature.value for feature in features(credential.scopes))),
        denied=tuple(scope.name for scope in denied(credential.scopes)),
        authorised_at=credential.authorised_at,
        refreshed_at=credential.refreshed_at,
        ends_at=ends_at(credential.authorised_at),
        days_left=days_left(credential.authorised_at, now),
        warning=warning_stage(credential.authorised_at, now),
        last_error=credential.last_error,
    )
