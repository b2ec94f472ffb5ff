"""Access tokens from stored logins: shared by all processes, refreshed in time, one refresh per account at a time.

A new refresh token and its access token are committed together before the latter is handed out, so the login survives
if the process is killed at any point; a token that Spotify rejected is never used again; a network failure never ends a
login.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from myi_pipeline.errors import AuthRevoked, Busy, LoginDoubted, Paused
from myi_pipeline.postgres.connections import Connection, Pool
from myi_pipeline.providers import login_terms, token_vault
from myi_pipeline.providers.envelope import Damaged, KeyRing, UnknownKey
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.oauth import AccountsClient
from myi_pipeline.providers.token_vault import Credential

log = structlog.get_logger(__name__)

# A token is valid for an hour and is renewed when less than ten minutes are left.
MARGIN = timedelta(minutes=10)
# An access token that another process got this recently is newer than the one that Spotify rejected.
_JUST_GRANTED = timedelta(minutes=1)
# During outages, Spotify has answered `invalid_grant` to valid logins, and other projects lost most of theirs that way:
# a refused login is tried again after this time, and only then given up. Network failures do not count.
SECOND_LOOK_AFTER = timedelta(hours=6)
_CLOCK_TOLERANCE = timedelta(minutes=1)


class NotSignedIn(AuthRevoked):
    """The user has no login, or one that has ended; only signing in helps."""


class AccessTokens:
    """The access tokens that one process has read or got, by account. Thread-safe."""

    def __init__(
        self,
        pool: Pool,
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
        return f"AccessTokens({len(self._tokens)} accounts)"

    def get(self, credential: Credential, *, rejected: AccessToken | None = None) -> AccessToken:
        """A token that is valid for ten more minutes and is not the one that Spotify rejected.

        Raises NotSignedIn, Paused, AuthRevoked (the person must sign in again), LoginDoubted (a refusal that may pass),
        Busy, Transient, RateLimited, Forbidden (the client id).
        """
        account = credential.provider_account_id
        with self._guard:
            lock = self._locks.setdefault(account, threading.Lock())
        with lock:
            held = self._tokens.get(account)
            if held is not None and held[0] == credential.authorised_at and self._is_good(held[1], rejected):
                return held[1]
            kept = self._kept(credential)
            if kept is not None and rejected is None and self._is_good(kept, rejected):
                token, authorised_at = kept, credential.authorised_at
            else:
                token, authorised_at = self._refresh(credential, rejected)
            self._tokens[account] = (authorised_at, token)
            return token

    def forget(self, account: int) -> None:
        """Called after a new sign-in."""
        self._tokens.pop(account, None)

    def _is_good(self, token: AccessToken, rejected: AccessToken | None) -> bool:
        return token.is_good(self._clock(), margin=MARGIN) and (rejected is None or token.value != rejected.value)

    def _kept(self, credential: Credential) -> AccessToken | None:
        """The token in the database; one that cannot be opened counts as missing."""
        if credential.access_expires_at is None:
            return None
        try:
            value = token_vault.open_access(self._keys, credential)
        except (UnknownKey, Damaged):
            return None
        return AccessToken(value, credential.access_expires_at) if value is not None else None

    def _is_newer(self, kept: AccessToken, credential: Credential, rejected: AccessToken | None) -> bool:
        """Whether another process has refreshed since this one read the token."""
        if not self._is_good(kept, rejected):
            return False
        granted_at = credential.access_granted_at
        return rejected is None or (granted_at is not None and granted_at >= self._clock() - _JUST_GRANTED)

    def _refresh(self, known: Credential, rejected: AccessToken | None) -> tuple[AccessToken, datetime]:
        with self._pool.connection() as connection, token_vault.login_lock(connection, known):
            # Read under the lock: another process may have refreshed since, which invalidates the token read before.
            found = token_vault.find_account_credential(connection, account=known.provider_account_id)
            credential = require_usable(found, user_id=known.user_id)
            kept = self._kept(credential)
            if kept is not None and self._is_newer(kept, credential, rejected):
                return kept, credential.authorised_at
            if rejected is not None:
                token_vault.forget_access(connection, credential)
            self._wait_for_the_second_look(credential)
            try:
                stored = token_vault.open_token(self._keys, credential)
                grant = self._accounts(credential.client_id).refresh(stored)
            except UnknownKey:
                # Another process rotated the keys since this one read them; the login itself is fine.
                raise Busy(
                    "the login was sealed with a newer key than this process has loaded; the next run has it"
                ) from None
            except Damaged as error:
                self._refused(connection, credential, str(error), is_final=True)
                raise AuthRevoked(_sign_in_again(credential, str(error))) from None
            except AuthRevoked as error:
                is_final = login_terms.ends_at(credential.authorised_at) <= self._clock()
                if self._refused(connection, credential, str(error), is_final=is_final):
                    raise AuthRevoked(_sign_in_again(credential, str(error))) from None
                raise _doubted(str(error), self._clock()) from None
            token_vault.note_refreshed(
                connection,
                self._keys,
                credential,
                refresh_token=grant.refresh_token,
                scopes=grant.scopes,
                access=(grant.access.value, grant.access.expires_at),
                now=self._clock(),
            )
            self._warn_of_the_end(connection, credential)
        return grant.access, credential.authorised_at

    def _wait_for_the_second_look(self, credential: Credential) -> None:
        """Raises LoginDoubted while a refused login is left alone."""
        now, refused_at = self._clock(), credential.last_failed_at
        if not credential.refusals or refused_at is None:
            return
        if refused_at - _CLOCK_TOLERANCE <= now < refused_at + SECOND_LOOK_AFTER:
            raise _doubted(credential.last_error or "Spotify refused this login", refused_at)

    def _refused(self, connection: Connection, credential: Credential, reason: str, *, is_final: bool) -> bool:
        is_over = token_vault.note_refused(
            connection,
            credential,
            reason=reason,
            is_final=is_final,
            most_refusals=2,
            now=self._clock(),
        )
        hint = _command(credential) if is_over else "retried in a few hours"
        log.warning("login_refused", user=credential.user_key, is_over=is_over, reason=reason, hint=hint)
        return is_over

    def _warn_of_the_end(self, connection: Connection, credential: Credential) -> None:
        """Logs one line at 30, 7 and 1 days."""
        now = self._clock()
        stage = login_terms.warning_stage(credential.authorised_at, now)
        if stage is None or (credential.warned_days is not None and credential.warned_days <= stage):
            return
        log.warning(
            "login_ends_soon",
            user=credential.user_key,
            days_left=login_terms.days_left(credential.authorised_at, now),
            ends_at=login_terms.ends_at(credential.authorised_at).isoformat(),
            hint=_command(credential),
        )
        token_vault.note_warned(connection, credential, days=stage)


def require_usable(credential: Credential | None, *, user_id: int) -> Credential:
    """The login itself. Raises NotSignedIn and Paused."""
    if credential is None:
        raise NotSignedIn(f"user {user_id} is not signed in to Spotify: myi user login KEY")
    if credential.status != token_vault.ACTIVE:
        raise NotSignedIn(_sign_in_again(credential, credential.last_error or "the login has ended"))
    if credential.paused_at is not None:
        raise Paused(f"user {credential.user_key} is paused: myi user resume {credential.user_key}")
    return credential


def _doubted(reason: str, refused_at: datetime) -> LoginDoubted:
    retry_at = refused_at + SECOND_LOOK_AFTER
    return LoginDoubted(
        f"{reason}; this may pass, so it is tried again at {retry_at:%Y-%m-%d %H:%M} UTC", retry_at=retry_at
    )


def _sign_in_again(credential: Credential, reason: str) -> str:
    return f"{reason}; nothing is lost. Sign in again: {_command(credential)}"


def _command(credential: Credential) -> str:
    """The command that signs this account in again."""
    if credential.is_main:
        return f"myi user login {credential.user_key}"
    return f"myi providers link {credential.user_key} spotify --further"
