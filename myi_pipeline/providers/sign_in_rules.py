"""Signing in at any service: what a person is asked, what comes back, and the interfaces.

Every service here uses a code with PKCE (RFC 7636): the person opens `authorise_url`, comes back with a code
(`pkce.read_redirect`), and `exchange` turns it into tokens. No repr shows a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from myi_pipeline.errors import AuthRevoked
from myi_pipeline.providers.pkce import Challenge


class TokenRefused(AuthRevoked):
    """The token endpoint refused the login, but did not say that it has ended."""


@dataclass(frozen=True)
class AccessToken:
    """Stored sealed, and never shown."""

    value: str = field(repr=False)
    expires_at: datetime

    def is_good(self, now: datetime, *, margin: timedelta) -> bool:
        return self.expires_at - now >= margin


@dataclass(frozen=True)
class TokenGrant:
    """An answer of the token endpoint. `refresh_token` is None if the old one stays valid, `scopes` if not stated."""

    access: AccessToken
    refresh_token: str | None = field(repr=False)
    scopes: frozenset[str] | None


@dataclass(frozen=True)
class AskedScope:
    """A requested permission: why, and what does not work without it."""

    name: str
    reason: str
    without: str


@dataclass(frozen=True, kw_only=True)
class SignInTerms:
    """What a person should know before they agree.

    `lasts`: how long a login lasts regardless of refreshes, or None if until it is revoked. `note` says that in plain
    words.
    """

    service: str
    scopes: tuple[AskedScope, ...]
    lasts: timedelta | None = None
    note: str = ""

    def denied(self, granted: frozenset[str] | None) -> tuple[AskedScope, ...]:
        """The permissions that were requested but not granted; empty if the answer did not state them."""
        return () if granted is None else tuple(each for each in self.scopes if each.name not in granted)


@dataclass(frozen=True, kw_only=True)
class WhoSignedIn:
    """The account behind a token. `account_id` is stable; `country` (ISO 3166-1) decides the catalogue it sees."""

    account_id: str
    name: str | None = None
    country: str | None = None


class SignIn(Protocol):
    """Signing in at one service with one client id."""

    client_id: str
    terms: SignInTerms

    def authorise_url(self, challenge: Challenge, *, redirect_uri: str, ask_again: bool = False) -> str:
        """The address that the person opens. `ask_again` asks even those who agreed before."""
        ...

    def exchange(self, code: str, challenge: Challenge, *, redirect_uri: str) -> TokenGrant:
        """Exchanges a code for tokens, always including a refresh token.

        Raises AuthRevoked, Forbidden, Transient, RateLimited.
        """
        ...

    def refresh(self, refresh_token: str) -> TokenGrant:
        """A new access token. Raises AuthRevoked, TokenRefused, Forbidden (the client id), RateLimited, Transient."""
        ...

    def revoke(self, refresh_token: str) -> None:
        """Revokes a login at the service. Raises AuthRevoked, Forbidden, RateLimited, Transient."""
        ...

    def who(self, token: AccessToken) -> WhoSignedIn:
        """The account that the token belongs to. Raises Forbidden, RateLimited, Transient."""
        ...


class TokenSource(Protocol):
    """Hands out access tokens of one account, or of the app itself."""

    def __call__(self, rejected: AccessToken | None = None) -> AccessToken:
        """A valid token; one other than `rejected`, which the service refused. Raises AuthRevoked, Transient."""
        ...
