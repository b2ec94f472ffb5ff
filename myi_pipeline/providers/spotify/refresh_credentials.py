"""Access tokens from stored logins: in memory only, refreshed in time, one refresh of a user at a time.

Belongs here: when to refresh, the order of commit and use, what a refusal means. Not here: the vault, the token
endpoint. Invariants: a new refresh token is committed before the access token that came with it is handed out, so a
process may be killed at any point and the login survives; a failure of the network never costs a login.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from myi_pipeline.core import login_terms
from myi_pipeline.core.errors import AuthRevoked, Busy, Permanent
from myi_pipeline.services.connection_pool import Connection, ConnectionPool
from myi_pipeline.spotify.oauth import AccessToken, AccountsClient, TokenRefused
from myi_pipeline.warehouse import token_vault
from myi_pipeline.warehouse.envelope import Damaged, KeyRing, UnknownKey
from myi_pipeline.warehouse.token_vault import Credential

log = structlog.get_logger(__name__)

# A token that lives an hour is renewed when fewer than ten minutes of it are left.
MARGIN = timedelta(minutes=10)
# Refusals of the token endpoint, not failures of the network: an evening without internet must not end any login.
MOST_REFUSALS = 3


class NotSignedIn(AuthRevoked):
    """The user has no login, or one that has ended; only signing in helps."""


class Paused(Permanent):
    """A person paused this user."""


class AccessTokens:
    """The access tokens of one process, by user. Safe for threads."""

    def __init__(
        self,
        pool: ConnectionPool,
        keys: KeyRing,
        *,
        accounts: Callable[[str], AccountsClient],
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._accounts = accounts
        self._clock = clock
        self._tokens: dict[int, tuple[datetime, AccessToken]] = {}
        self._locks: dict[int, threading.Lock] = {}
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"AccessTokens({len(self._tokens)} users)"

    def get(self, credential: Credential, *, rejected: AccessToken | None = None) -> AccessToken:
        """A token that lives ten more minutes, and is not the one that Spotify rejected.

        Raises NotSignedIn, Paused, AuthRevoked and TokenRefused (the person must sign in again, or a refusal that may
        pass), Busy, Transient, RateLimited, Forbidden (the client id).
        """
        user_id = credential.user_id
        with self._guard:
            lock = self._locks.setdefault(user_id, threading.Lock())
        with lock:
            held = self._tokens.get(user_id)
            if held is not None and held[0] == credential.authorised_at and self._is_good(held[1], rejected):
                return held[1]
            token, authorised_at = self._refresh(user_id)
            self._tokens[user_id] = (authorised_at, token)
            return token

    def forget(self, user_id: int) -> None:
        """After a disconnect or a new sign-in."""
        self._tokens.pop(user_id, None)

    def _is_good(self, token: AccessToken, rejected: AccessToken | None) -> bool:
        return token.is_good(self._clock(), margin=MARGIN) and (rejected is None or token.value != rejected.value)

    def _refresh(self, user_id: int) -> tuple[AccessToken, datetime]:
        with self._pool.take() as connection, token_vault.login_lock(connection, user_id=user_id):
            # Read under the lock: another process may have refreshed, and the token read before be used up.
            credential = require_usable(token_vault.find_credential(connection, user_id=user_id), user_id=user_id)
            try:
                stored = token_vault.open_token(self._keys, credential)
                grant = self._accounts(credential.client_id).refresh(stored)
            except UnknownKey:
                # Another process rotated the keys since this one read them; that is not the login's fault.
                raise Busy(
                    "the login was sealed with a newer key than this process has read; the next run has it"
                ) from None
            except Damaged as error:
                self._refused(connection, credential, str(error), is_final=True)
                raise AuthRevoked(_sign_in_again(credential, str(error))) from None
            except TokenRefused as error:
                if self._refused(connection, credential, str(error), is_final=False):
                    raise AuthRevoked(_sign_in_again(credential, str(error))) from None
                raise
            except AuthRevoked as error:
                self._refused(connection, credential, str(error), is_final=True)
                raise AuthRevoked(_sign_in_again(credential, str(error))) from None
            token_vault.note_refreshed(
                connection,
                self._keys,
                credential,
                refresh_token=grant.refresh_token,
                scopes=grant.scopes,
                now=self._clock(),
            )
            self._warn_of_the_end(connection, credential)
        return grant.access, credential.authorised_at

    def _refused(self, connection: Connection, credential: Credential, reason: str, *, is_final: bool) -> bool:
        is_over = token_vault.note_refused(
            connection,
            credential,
            reason=reason,
            is_final=is_final,
            most_refusals=MOST_REFUSALS,
            now=self._clock(),
        )
        hint = f"myi user login {credential.user_key}" if is_over else "tried again later"
        log.warning("login_refused", user=credential.user_key, is_over=is_over, reason=reason, hint=hint)
        return is_over

    def _warn_of_the_end(self, connection: Connection, credential: Credential) -> None:
        """One line in the log at 30, 7 and 1 days."""
        now = self._clock()
        stage = login_terms.warning_stage(credential.authorised_at, now)
        if stage is None or (credential.warned_days is not None and credential.warned_days <= stage):
            return
        log.warning(
            "login_ends_soon",
            user=credential.user_key,
            days_left=login_terms.days_left(credential.authorised_at, now),
            ends_at=login_terms.ends_at(credential.authorised_at).isoformat(),
            hint=f"myi user login {credential.user_key}",
        )
        token_vault.note_warned(connection, user_id=credential.user_id, days=stage)


def require_usable(credential: Credential | None, *, user_id: int) -> Credential:
    """The login itself. Raises NotSignedIn and Paused."""
    if credential is None:
        raise NotSignedIn(f"user number {user_id} is not signed in to Spotify: myi user login KEY")
    if credential.status != token_vault.ACTIVE:
        raise NotSignedIn(_sign_in_again(credential, credential.last_error or "the login has ended"))
    if credential.paused_at is not None:
        raise Paused(f"user {credential.user_key} is paused: myi user resume {credential.user_key}")
    return credential


def _sign_in_again(credential: Credential, reason: str) -> str:
    return f"{reason}; nothing is lost. Sign in again: myi user login {credential.user_key}"
