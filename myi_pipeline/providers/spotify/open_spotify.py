"""Requests to Spotify for one user, with circuit, access token, quota and retries around each.

A request is made only if the circuit admits and the quota grants it; a 401 refreshes once; each failure is counted
once, by kind; one user's failure does not affect others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

import structlog

from myi_pipeline.errors import CircuitOpen, Forbidden, MyiError, Paused, TokenRejected
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers import circuits, quota_ledger, token_vault
from myi_pipeline.providers.accounts import ProviderAccount
from myi_pipeline.providers.governor import Governor, quota_limits
from myi_pipeline.providers.quota_rules import Means, QuotaLimits
from myi_pipeline.providers.retries import WAITS_IN_PROCESS, FailureKind, failure_kind, is_worth_another_try
from myi_pipeline.providers.service_tools import ServiceTools, open_tools
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.client import SpotifyClient
from myi_pipeline.providers.spotify.oauth import AccountsClient, broken_rule
from myi_pipeline.providers.spotify.refresh_credentials import AccessTokens, require_usable
from myi_pipeline.providers.token_vault import Credential
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")
Request = Callable[[SpotifyClient, AccessToken], T]


class Spotify:
    """The client that open_spotify yields. Thread-safe."""

    def __init__(self, tools: ServiceTools) -> None:
        self._tools = tools
        self._settings = tools.settings
        self._logins = tools.logins
        self._ledger = tools.ledger
        self._clock = tools.clock
        self._limits: QuotaLimits = quota_limits(tools.settings)
        self.keys = tools.keys
        self.tokens = AccessTokens(tools.logins, tools.keys, accounts=self.accounts, clock=tools.clock)

    def credential(self, user_id: int) -> Credential:
        """The user's current main login. Raises NotSignedIn and Paused."""
        with self._logins.connection() as connection:
            return require_usable(token_vault.find_credential(connection, user_id=user_id), user_id=user_id)

    def account_credential(self, account: ProviderAccount) -> Credential:
        """This account's current login. Raises NotSignedIn and Paused."""
        with self._logins.connection() as connection:
            found = token_vault.find_account_credential(connection, account=account.account_id)
            return require_usable(found, user_id=account.user_id)

    def credentials(self) -> tuple[Credential, ...]:
        """Every user's main login, usable or not, ordered by user."""
        with self._logins.connection() as connection:
            return token_vault.list_main_credentials(connection)

    def call(self, user: int | Credential, request: Request[T], *, counts: bool = True) -> T:
        """Make one request as this user: `spotify.call(7, lambda client, token: client.recently_played(token))`.

        The circuit is that of the user's polls. `counts=False` is for requests unrelated to them (a catalogue id that
        does not exist, an account's playlists): it bypasses the circuit. Raises what the request raises, CircuitOpen,
        NotSignedIn, Paused, AuthRevoked, Busy.
        """
        credential = user if isinstance(user, Credential) else self.credential(user)
        if not counts:
            return self._attempts(credential, request)
        self._admit(credential)
        try:
            answer = self._attempts(credential, request)
        except Exception as error:
            self._note_failure(credential, error)
            raise
        except BaseException:
            self._note_kind(credential, FailureKind.PUT_OFF, "stopped")
            raise
        with self._ledger.connection() as connection:
            circuits.note_success(connection, user_id=credential.user_id, now=self._clock())
        return answer

    def call_once(self, user: int | Credential, request: Request[T]) -> T:
        """Makes one changing request exactly once, bypassing the circuit.

        A 401 is a refusal, so it is then sent with a fresh token.
        """
        return self._attempt(user if isinstance(user, Credential) else self.credential(user), request)

    def open_circuits(self, user_ids: list[int]) -> dict[int, datetime]:
        """Those of these users whose circuit admits nothing now, and until when."""
        with self._ledger.connection() as connection:
            return circuits.open_users(connection, user_ids=user_ids, now=self._clock())

    def means(self, client_ids: Collection[str]) -> dict[str, Means]:
        """What each of these client ids can spend on polls, and has spent."""
        with self._ledger.connection() as connection:
            return quota_ledger.read_means(connection, client_ids, limits=self._limits, now=self._clock())

    def client(self, client_id: str) -> SpotifyClient:
        """The Web API under this client id's quota."""
        return SpotifyClient(
            self._tools.http, api_url=self._settings.spotify_api_url, gate=self._governor(client_id), clock=self._clock
        )

    def broken_rule(self, client_id: str) -> str | None:
        """The rule of Spotify's that the app's settings break, if any.

        Raises Transient if Spotify cannot be reached.
        """
        return broken_rule(
            self._tools.http,
            accounts_url=self._settings.spotify_accounts_url,
            client_id=client_id,
            redirect_uri=self._settings.spotify_redirect_uri,
        )

    def accounts(self, client_id: str) -> AccountsClient:
        """The token endpoint for this client id; the configured secret belongs only to the configured id."""
        secret = self._settings.spotify_client_secret if client_id == self._settings.spotify_client_id else None
        return AccountsClient(
            self._tools.http,
            accounts_url=self._settings.spotify_accounts_url,
            client_id=client_id,
            client_secret=secret.get_secret_value() if secret is not None else None,
            gate=self._governor(client_id),
            clock=self._clock,
        )

    def _governor(self, client_id: str) -> Governor:
        return self._tools.governor(client_id, service="spotify", limits=self._limits)

    def _attempts(self, credential: Credential, request: Request[T]) -> T:
        waits = iter(WAITS_IN_PROCESS)
        while True:
            try:
                return self._attempt(credential, request)
            except MyiError as error:
                wait = next(waits, None)
                if wait is None or not is_worth_another_try(error):
                    raise
                log.info("spotify_request_repeated", user=credential.user_key, reason=str(error))
                self._tools.sleep(wait.total_seconds())

    def _attempt(self, credential: Credential, request: Request[T]) -> T:
        client = self.client(credential.client_id)
        token = self.tokens.get(credential)
        try:
            return request(client, token)
        except TokenRejected:
            fresh = self.tokens.get(credential, rejected=token)
        try:
            return request(client, fresh)
        except TokenRejected as error:
            raise Forbidden(f"{error}; a freshly refreshed token was rejected too") from None

    def _admit(self, credential: Credential) -> None:
        with self._ledger.connection() as connection:
            admission = circuits.admit(connection, user_id=credential.user_id, now=self._clock())
        if not admission.allowed and admission.retry_at is not None:
            reason = admission.circuit.reason or "requests failed"
            raise CircuitOpen(
                f"requests for {credential.user_key} are suspended until {admission.retry_at:%Y-%m-%d %H:%M} UTC"
                f" because: {reason} (myi circuit reset {credential.user_key} tries at once)",
                retry_at=admission.retry_at,
            )

    def _note_failure(self, credential: Credential, error: Exception) -> None:
        kind = FailureKind.PUT_OFF if isinstance(error, Paused) else failure_kind(error)
        # The text of a foreign error may contain anything, so it is not stored.
        reason = str(error) if isinstance(error, MyiError) else type(error).__name__
        self._note_kind(credential, kind, reason)

    def _note_kind(self, credential: Credential, kind: FailureKind, reason: str) -> None:
        with self._ledger.connection() as connection:
            after = circuits.note_failure(
                connection, user_id=credential.user_id, kind=kind, reason=reason, now=self._clock()
            )
        if kind is not FailureKind.PUT_OFF:
            log.warning(
                "spotify_request_failed",
                user=credential.user_key,
                kind=kind.value,
                circuit=after.state.value,
                reason=reason,
            )


@contextmanager
def open_spotify(
    settings: Settings,
    warehouse: Warehouse,
    *,
    role: Role = Role.INGEST,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Spotify]:
    """A client for Spotify, for the duration of the context: see open_tools."""
    urls = (settings.spotify_api_url, settings.spotify_accounts_url)
    with open_tools(settings, warehouse, *urls, role=role, clock=clock, sleep=sleep) as tools:
        yield Spotify(tools)
