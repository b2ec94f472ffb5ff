"""Signing in at accounts.spotify.com: the address to open, and the token endpoint.

A token is hidden in every repr, and an error of this module names the rule, not the token.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from myi_pipeline.errors import AuthRevoked, Forbidden, MyiError, RateLimited, Transient, UnexpectedAnswer
from myi_pipeline.providers.login_terms import SCOPES
from myi_pipeline.providers.pkce import METHOD, Challenge
from myi_pipeline.providers.quota_rules import Bucket
from myi_pipeline.providers.transport import Answer, Clock, Gate, HttpClient, is_quota_exceeded, retry_after, send

# RFC 6749 lets a server leave expires_in out; Spotify's tokens live an hour.
_USUAL_LIFE = timedelta(hours=1)
# RFC 6749: these say nothing about the login.
_WILL_PASS = ("server_error", "temporarily_unavailable")
_DASHBOARD = "https://developer.spotify.com/dashboard"


class TokenRefused(AuthRevoked):
    """The token endpoint refused the login, but did not say that it has ended."""


@dataclass(frozen=True)
class AccessToken:
    """Kept sealed, and never shown."""

    value: str = field(repr=False)
    expires_at: datetime

    def is_good(self, now: datetime, *, margin: timedelta) -> bool:
        return self.expires_at - now >= margin


@dataclass(frozen=True)
class TokenGrant:
    """An answer of the token endpoint. `refresh_token` is None when the old one stays good, `scopes` when untold."""

    access: AccessToken
    refresh_token: str | None = field(repr=False)
    scopes: frozenset[str] | None


class AccountsClient:
    """The token endpoint for one client id. `client_secret` only where the app's owner gave it."""

    def __init__(
        self,
        http: HttpClient,
        *,
        accounts_url: str,
        client_id: str,
        client_secret: str | None = None,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._http = http
        self._url = accounts_url.rstrip("/")
        self.client_id = client_id
        self._secret = client_secret
        self._gate = gate
        self._clock = clock

    def __repr__(self) -> str:
        return f"AccountsClient({self._url!r}, client_id={self.client_id!r})"

    def authorise_url(self, challenge: Challenge, *, redirect_uri: str, ask_again: bool = False) -> str:
        """The address that the person opens. `ask_again` shows the question also to those who agreed before."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scope.name for scope in SCOPES),
            "state": challenge.state,
            "code_challenge_method": METHOD,
            "code_challenge": challenge.code_challenge,
            **({"show_dialog": "true"} if ask_again else {}),
        }
        return f"{self._url}/authorize?{urlencode(query, quote_via=quote)}"

    def exchange(self, code: str, challenge: Challenge, *, redirect_uri: str) -> TokenGrant:
        """A code for tokens. Raises AuthRevoked when Spotify refuses it, Transient, RateLimited."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": challenge.verifier,
        }
        try:
            grant = self._ask(form)
        except TokenRefused:
            raise
        except AuthRevoked:
            raise AuthRevoked(
                "Spotify did not accept the code of this sign-in (each serves once, for ten minutes): sign in again"
            ) from None
        if grant.refresh_token is None:
            raise UnexpectedAnswer("Spotify gave no refresh token: sign in again")
        return grant

    def refresh(self, refresh_token: str) -> TokenGrant:
        """A new access token. Raises AuthRevoked, TokenRefused, Forbidden (the client id), RateLimited, Transient."""
        grant = self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})
        # A refresh that names no permission at all leaves them as they are (RFC 6749, 6); polls would stop for good.
        return replace(grant, scopes=grant.scopes or None)

    def _ask(self, form: Mapping[str, str]) -> TokenGrant:
        headers = {}
        if self._secret is not None:
            basic = base64.b64encode(f"{self.client_id}:{self._secret}".encode()).decode("ascii")
            headers["Authorization"] = f"Basic {basic}"
        self._gate.before(Bucket.TOKENS)
        answer = send(
            self._http,
            "POST",
            f"{self._url}/api/token",
            headers=headers,
            form={**form, "client_id": self.client_id},
        )
        if answer.status == 200:
            grant = self._grant(answer)
            self._gate.passed(Bucket.TOKENS)
            return grant
        raise self._refusal(answer)

    def _grant(self, answer: Answer) -> TokenGrant:
        found = answer.document()
        access, refresh, scope = found.get("access_token"), found.get("refresh_token"), found.get("scope")
        life = found.get("expires_in")
        if not (isinstance(access, str) and access and access.isascii() and access.isprintable()):
            raise UnexpectedAnswer(f"{answer.what}: Spotify's answer holds no access token")
        lasts = _USUAL_LIFE
        if isinstance(life, (int, float)) and not isinstance(life, bool) and 0 < life < 86_400 * 7:
            lasts = timedelta(seconds=life)
        return TokenGrant(
            AccessToken(access, self._clock() + lasts),
            refresh if isinstance(refresh, str) and refresh else None,
            _scopes(scope),
        )

    def _refusal(self, answer: Answer) -> MyiError:
        if answer.status == 429:
            wait = retry_after(answer, self._clock())
            retry_at = self._gate.blocked(Bucket.TOKENS, retry_after=wait, quota_exceeded=is_quota_exceeded(answer))
            return RateLimited(
                f"{answer.what}: Spotify asks to wait; again at {retry_at:%Y-%m-%d %H:%M:%S} UTC", retry_at=retry_at
            )
        if answer.status >= 500:
            return Transient(f"{answer.what}: Spotify answered {answer.status}")
        if answer.status not in (400, 401, 403):
            return UnexpectedAnswer(f"{answer.what}: Spotify answered {answer.status}")
        found = answer.document()  # a page with status 400 is no refusal
        code = found.get("error")
        said = answer.message()
        if code == "invalid_grant":
            return AuthRevoked(f"Spotify no longer accepts this login ({said or 'invalid_grant'})")
        if code in ("invalid_client", "unauthorized_client"):
            return Forbidden(
                f"Spotify does not accept the client id {self.client_id} or its secret ({said or code}):"
                f" compare MYI_SPOTIFY_CLIENT_ID and MYI_SPOTIFY_CLIENT_SECRET with {_DASHBOARD}"
            )
        if code in _WILL_PASS:
            return Transient(f"{answer.what}: Spotify answered {answer.status} ({code})")
        if not isinstance(code, str):
            return UnexpectedAnswer(f"{answer.what}: Spotify answered {answer.status}")
        return TokenRefused(f"Spotify refused the login ({said or 'no reason given'})")


def _scopes(answer: object) -> frozenset[str] | None:
    """The permissions of an answer; None when it gives none that can be read."""
    words = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(each, str) for each in words):
        return None
    return frozenset(" ".join(words).replace(",", " ").split())


def broken_rule(http: HttpClient, *, accounts_url: str, client_id: str, redirect_uri: str) -> str | None:
    """What Spotify's page would say to this client id and redirect, if it refuses them at once; else None.

    This signs no one in. Raises Transient when Spotify cannot be asked.
    """
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge_method": METHOD,
        "code_challenge": Challenge(state="", verifier="").code_challenge,
    }
    answer = send(http, "GET", f"{accounts_url.rstrip('/')}/authorize", params=query)
    if answer.status != 400:
        return None
    said = answer.body[:4_096].decode("utf-8", "replace").lower()
    if "redirect" in said:
        return (
            f"Spotify does not know the redirect address {redirect_uri}: add exactly this to the app's Redirect"
            f" URIs at {_DASHBOARD} (localhost is not taken; 127.0.0.1 is), or set MYI_SPOTIFY_REDIRECT_URI to one"
            " that is there"
        )
    if "client" in said:
        return f"Spotify does not know the client id {client_id}: copy it from {_DASHBOARD}"
    return None


def explain_forbidden(said: str) -> str:
    """Which of Spotify's rules a 403 names, and how it is kept. Source: texts of the Web API, 2025-2026."""
    text = said.lower()
    if "premium" in text:
        return "Spotify asks that the owner of the app has Premium"
    if "registered" in text or "allowlist" in text or "user management" in text:
        return (
            "this Spotify account is not on the app's list of users (five at most): add its e-mail under User"
            f" Management at {_DASHBOARD}, or sign in with a client id of its own (--client-id)"
        )
    if "scope" in text:
        return "the login lacks a permission: sign in again and agree to all of them"
    return f"Spotify refuses this ({said or 'no reason given'})"
