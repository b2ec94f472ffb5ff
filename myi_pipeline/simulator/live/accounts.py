"""The state and rules of the accounts service: authorisations, codes, access tokens and refresh tokens.

A code works once, for the client, redirect and verifier that it was made for. A refresh token works for six months from
the authorisation, no matter how often it is used. `revoke` invalidates tokens at once.
"""

from __future__ import annotations

import calendar
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from myi_pipeline.simulator.live.clock import MovableClock
from myi_pipeline.simulator.live.sign_in_rules import AuthorisePageError, fits, is_registered, is_secure_redirect
from myi_pipeline.simulator.live.spec import AppSpec, SimulatorSpec

CODE_LIFE = timedelta(minutes=10)


class OAuthError(Exception):
    """An error from the token endpoint; the client gets both texts."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass
class Grant:
    """One listener's permission to one client id."""

    listener: str
    client_id: str
    scopes: frozenset[str]
    authorised_at: datetime
    is_revoked: bool = False


@dataclass
class RefreshToken:
    text: str
    grant: Grant
    parent: RefreshToken | None = None
    uses: int = 0
    unused_child: RefreshToken | None = None


@dataclass
class AccessToken:
    grant: Grant
    expires_at: datetime
    refresh: RefreshToken | None = None


@dataclass
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str | None
    expires_at: datetime
    is_used: bool = False


@dataclass(frozen=True)
class TokenAnswer:
    """A successful answer of the token endpoint; without a refresh token, the old one stays valid."""

    access_token: str
    refresh_token: str | None
    expires_in: int
    scope: str


@dataclass
class Accounts:
    spec: SimulatorSpec
    clock: MovableClock
    apps: dict[str, AppSpec] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    _codes: dict[str, _Code] = field(default_factory=dict)
    _lists: dict[str, tuple[AppSpec, frozenset[str]]] = field(default_factory=dict)
    _made: int = 0

    def __post_init__(self) -> None:
        for app in self.spec.apps:
            self.apps[app.client_id] = app

    # The page

    def check_authorisation(self, query: dict[str, str]) -> AppSpec:
        """The requesting app. Raises AuthorisePageError if, as on the real page, nobody may be redirected."""
        app = self.apps.get(query.get("client_id", ""))
        if app is None:
            raise AuthorisePageError("INVALID_CLIENT: Invalid client")
        redirect = query.get("redirect_uri", "")
        if not is_secure_redirect(redirect):
            raise AuthorisePageError("INVALID_CLIENT: Insecure redirect URI")
        if not any(is_registered(redirect, each) for each in app.redirect_uris):
            raise AuthorisePageError("INVALID_CLIENT: Invalid redirect URI")
        return app

    def authorise(
        self, *, app: AppSpec, listener: str, scopes: Iterable[str], redirect_uri: str, challenge: str | None
    ) -> str:
        """The person agrees; returns the code."""
        grant = Grant(listener, app.client_id, frozenset(scopes), self.clock.now())
        self.grants.append(grant)
        if app.allowed is None:
            known = self.users.setdefault(app.client_id, [])
            if listener not in known and len(known) < app.max_users:
                known.append(listener)
        code = self._secret("code")
        self._codes[code] = _Code(grant, redirect_uri, challenge, self.clock.now() + CODE_LIFE)
        return code

    def is_registered_user(self, app: AppSpec, listener: str) -> bool:
        """Whether the listener is on the app's list, which has at most `max_users`."""
        if app.allowed is None:
            return listener in self.users.get(app.client_id, ())
        cached = self._lists.get(app.client_id)
        if cached is None or cached[0] is not app:
            cached = self._lists[app.client_id] = (app, frozenset(app.allowed[: app.max_users]))
        return listener in cached[1]

    def listener_of_code(self, code: str) -> str:
        known = self._codes.get(code)
        return known.grant.listener if known else ""

    def app_for(self, listener: str, client_id: str | None = None) -> AppSpec:
        """The app with this client id; without one, the first with the listener on its list, or the first.

        Raises KeyError for an unknown client id.
        """
        if client_id is not None:
            return self.apps[client_id]
        on_list = (app for app in self.apps.values() if app.allowed is not None and listener in app.allowed)
        return next(on_list, next(iter(self.apps.values())))

    def sign_in_at_once(self, *, app: AppSpec, listener: str, scopes: Iterable[str]) -> TokenAnswer:
        """As if the person had agreed and the program had exchanged its code."""
        uri = app.redirect_uris[0]
        code = self.authorise(app=app, listener=listener, scopes=scopes, redirect_uri=uri, challenge=None)
        return self.exchange(app=app, code=code, redirect_uri=uri, verifier="", has_secret=True)

    # The token endpoint

    def exchange(self, *, app: AppSpec, code: str, redirect_uri: str, verifier: str, has_secret: bool) -> TokenAnswer:
        """Exchanges a code for tokens. Raises OAuthError."""
        known = self._codes.get(code)
        if known is None or known.grant.client_id != app.client_id or known.grant.is_revoked:
            raise OAuthError("invalid_grant", "Invalid authorization code")
        if known.expires_at <= self.clock.now() or known.is_used:
            raise OAuthError("invalid_grant", "Authorization code expired")
        if redirect_uri != known.redirect_uri:
            raise OAuthError("invalid_grant", "Invalid redirect URI")
        if known.challenge is not None:
            if not verifier:
                raise OAuthError("invalid_request", "code_verifier required")
            if not fits(verifier, known.challenge):
                raise OAuthError("invalid_grant", "code_verifier was incorrect")
        elif not has_secret:
            raise OAuthError("invalid_client", "Invalid client secret")
        known.is_used = True
        refresh = self._refresh_token(known.grant, parent=None)
        return self._answer(app, known.grant, refresh, refresh.text)

    def refresh(self, *, app: AppSpec, text: str) -> TokenAnswer:
        """Exchanges a refresh token for an access token. Raises OAuthError: invalid_grant if it no longer works."""
        token = self.refresh_tokens.get(text)
        if token is None or token.grant.client_id != app.client_id:
            raise OAuthError("invalid_grant", "Invalid refresh token")
        if token.grant.is_revoked:
            raise OAuthError("invalid_grant", "Refresh token revoked")
        if self.clock.now() >= add_months(token.grant.authorised_at, app.refresh_token_months):
            raise OAuthError("invalid_grant", "Refresh token expired")
        token.uses += 1
        self._successor_is_used(token)
        if app.refresh_tokens != "rotate":
            return self._answer(app, token.grant, token, token.text if app.refresh_tokens == "repeat" else None)
        if token.unused_child is not None:
            # Used twice: the refresh token from the first answer is no longer valid.
            self._kill(token.unused_child)
        child = self._refresh_token(token.grant, parent=token)
        if app.rotated_token_dies == "at_once":
            self._kill(token)
        else:
            token.unused_child = child
        return self._answer(app, token.grant, child, child.text)

    def _answer(self, app: AppSpec, grant: Grant, refresh: RefreshToken, shown: str | None) -> TokenAnswer:
        now = self.clock.now()
        if len(self.access_tokens) > 4 * len(self.grants) + 1000:
            self.access_tokens = {text: each for text, each in self.access_tokens.items() if each.expires_at > now}
        access = self._secret("access")
        self.access_tokens[access] = AccessToken(grant, now + timedelta(seconds=app.access_token_s), refresh)
        return TokenAnswer(access, shown, app.access_token_s, " ".join(sorted(grant.scopes)))

    def _refresh_token(self, grant: Grant, *, parent: RefreshToken | None) -> RefreshToken:
        token = RefreshToken(self._secret("refresh"), grant, parent)
        self.refresh_tokens[token.text] = token
        return token

    def _successor_is_used(self, token: RefreshToken | None) -> None:
        """Invalidates a rotated token, because its successor is in use."""
        if token is not None and token.parent is not None:
            self._kill(token.parent)
            token.parent = None

    def _kill(self, token: RefreshToken) -> None:
        token.unused_child = None
        self.refresh_tokens.pop(token.text, None)

    # The API's side

    def holder(self, text: str) -> Grant | None:
        """The grant of an access token; None if it is unknown or revoked. Raises TimeoutError if it has expired."""
        token = self.access_tokens.get(text)
        if token is None or token.grant.is_revoked:
            return None
        if token.expires_at <= self.clock.now():
            raise TimeoutError
        self._successor_is_used(token.refresh)
        return token.grant

    # By hand

    def revoke(self, listener: str, client_id: str | None = None) -> int:
        """The person revokes access on their account page; returns how many grants that ended."""
        ended = 0
        for grant in self.grants:
            if grant.listener == listener and client_id in (None, grant.client_id) and not grant.is_revoked:
                grant.is_revoked = True
                ended += 1
        return ended

    def expire_access_tokens(self, listener: str | None = None) -> int:
        """Makes access tokens expire now; returns how many."""
        ended = 0
        for token in self.access_tokens.values():
            if listener in (None, token.grant.listener) and token.expires_at > self.clock.now():
                token.expires_at = self.clock.now()
                ended += 1
        return ended

    def _secret(self, kind: str) -> str:
        self._made += 1
        body = urlsafe_b64encode(sha256(f"{self.spec.seed} {kind} {self._made}".encode()).digest() * 3).decode()
        return f"{self.spec.canary}{ {'code': 'AQC', 'access': 'BQA', 'refresh': 'AQR'}[kind] }{body.rstrip('=')}"


def add_months(moment: datetime, months: int) -> datetime:
    """The same day of the month, or the month's last."""
    month = moment.month - 1 + months
    year, month = moment.year + month // 12, month % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))
