"""Requests to Spotify for one user, with circuit, access token, quota and retries around each.

A request is made only through an admitting circuit and a granting quota; a 401 refreshes once; each failure is counted
once, with its kind; one user's failure is that user's alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TypeVar

import structlog

from myi_pipeline.errors import CircuitOpen, Forbidden, MyiError, TokenRejected
from myi_pipeline.postgres.connections import Pool, Role, Warehouse
from myi_pipeline.providers import circuits, quota_ledger, token_vault
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.envelope import KeyRing
from myi_pipeline.providers.governor import Governor, do_not_wait_for_disk, quota_limits
from myi_pipeline.providers.quota_rules import Means, QuotaLimits
from myi_pipeline.providers.retries import WAITS_IN_PROCESS, FailureKind, failure_kind, is_worth_another_try
from myi_pipeline.providers.spotify.client import SpotifyClient
from myi_pipeline.providers.spotify.oauth import AccessToken, AccountsClient, broken_rule
from myi_pipeline.providers.spotify.refresh_credentials import AccessTokens, Paused, require_usable
from myi_pipeline.providers.token_vault import Credential
from myi_pipeline.providers.transport import HttpClient, make_http, utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")
Request = Callable[[SpotifyClient, AccessToken], T]


class Spotify:
    """The client that open_spotify yields. Safe for threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        http: HttpClient,
        logins: Pool,
        ledger: Pool,
        keys: KeyRing,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._http = http
        self._logins = logins
        self._ledger = ledger
        self._clock = clock
        self._sleep = sleep
        self._limits: QuotaLimits = quota_limits(settings)
        self._governors: dict[str, Governor] = {}
        self._guard = threading.Lock()
        self.keys = keys
        self.tokens = AccessTokens(logins, keys, accounts=self.accounts, clock=clock)

    def credential(self, user_id: int) -> Credential:
        """The user's login as it stands. Raises NotSignedIn and Paused."""
        with self._logins.connection() as connection:
            return require_usable(token_vault.find_credential(connection, user_id=user_id), user_id=user_id)

    def credentials(self) -> tuple[Credential, ...]:
        """Every login, usable or not, in the order of users."""
        with self._logins.connection() as connection:
            return token_vault.list_credentials(connection)

    def call(self, user: int | Credential, request: Request[T], *, counts: bool = True) -> T:
        """Make one request as this user: `spotify.call(7, lambda client, token: client.recently_played(token))`.

        `counts=False` for what says nothing about the user (a catalogue id that does not exist): it passes no circuit
        and changes none. Raises what the request raises, CircuitOpen, NotSignedIn, Paused, AuthRevoked, Busy.
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

    def open_circuits(self, user_ids: list[int]) -> dict[int, datetime]:
        """Those of these users whose circuit lets nothing through now, and until when."""
        with self._ledger.connection() as connection:
            return circuits.open_users(connection, user_ids=user_ids, now=self._clock())

    def means(self, client_ids: Collection[str]) -> dict[str, Means]:
        """What each of these client ids can spend on polls, and has spent."""
        with self._ledger.connection() as connection:
            return quota_ledger.read_means(connection, client_ids, limits=self._limits, now=self._clock())

    def client(self, client_id: str) -> SpotifyClient:
        """The Web API under this client id's quota."""
        return SpotifyClient(
            self._http, api_url=self._settings.spotify_api_url, gate=self._governor(client_id), clock=self._clock
        )

    def broken_rule(self, client_id: str) -> str | None:
        """Which rule of Spotify's the app's settings break. Raises Transient when Spotify cannot be asked."""
        return broken_rule(
            self._http,
            accounts_url=self._settings.spotify_accounts_url,
            client_id=client_id,
            redirect_uri=self._settings.spotify_redirect_uri,
        )

    def accounts(self, client_id: str) -> AccountsClient:
        """The token endpoint for this client id; the configured secret belongs to the configured one alone."""
        secret = self._settings.spotify_client_secret if client_id == self._settings.spotify_client_id else None
        return AccountsClient(
            self._http,
            accounts_url=self._settings.spotify_accounts_url,
            client_id=client_id,
            client_secret=secret.get_secret_value() if secret is not None else None,
            gate=self._governor(client_id),
            clock=self._clock,
        )

    def _governor(self, client_id: str) -> Governor:
        with self._guard:
            if client_id not in self._governors:
                self._governors[client_id] = Governor(
                    self._ledger, client_id=client_id, limits=self._limits, clock=self._clock, sleep=self._sleep
                )
            return self._governors[client_id]

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
                self._sleep(wait.total_seconds())

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
        # What is no error of ours may say anything: its text stays out of the database.
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
    """A client for Spotify, for as long as the context lasts. Raises KeyMissing when a stored login cannot be opened.

    With the role `app` logins can be made but not used: it may not read what it sealed.
    """
    keys = require_keys(settings, warehouse, role=role)
    with ExitStack() as stack:
        http = stack.enter_context(make_http(settings.spotify_api_url, settings.spotify_accounts_url))
        logins = stack.enter_context(warehouse.pool(role, application_name="myi logins"))
        ledger = stack.enter_context(warehouse.pool(role, application_name="myi quota", configure=do_not_wait_for_disk))
        yield Spotify(settings=settings, http=http, logins=logins, ledger=ledger, keys=keys, clock=clock, sleep=sleep)
