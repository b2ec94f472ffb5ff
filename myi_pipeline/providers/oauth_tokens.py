"""The token endpoint of RFC 6749, as all services here implement it: codes, refresh tokens, and the app's own tokens.

An error names the rule, never a token, a code or a secret.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from myi_pipeline.errors import AuthRevoked, Forbidden, MyiError, Permanent, RateLimited, Transient, UnexpectedAnswer
from myi_pipeline.providers.pkce import Challenge
from myi_pipeline.providers.quota_rules import Bucket
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant, TokenRefused
from myi_pipeline.providers.transport import Answer, Clock, Gate, HttpClient, is_quota_exceeded, retry_after, send

# RFC 6749 lets a server omit expires_in; services use an hour.
_USUAL_LIFE = timedelta(hours=1)
_LONGEST_LIFE_S = 7 * 86_400
# RFC 6749: these errors are not about the login.
_WILL_PASS = ("server_error", "temporarily_unavailable")
# A token is no longer handed out this long before it expires: a request takes at most 25 s, and clocks differ.
_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class App:
    """This installation's app at one service.

    `console` is the page where its owner sees it, `settings` the variables to compare with that page.
    `has_secret_in_form`: the secret is sent as a field (Google), not as Basic. `revoke_url` revokes a login (RFC 7009);
    None if the service does not offer that.
    """

    service: str
    client_id: str
    secret: str | None = field(repr=False)
    token_url: str
    console: str
    settings: str
    has_secret_in_form: bool = False
    revoke_url: str | None = None


class TokenEndpoint:
    """Raises AuthRevoked, TokenRefused, Forbidden, RateLimited, Transient and UnexpectedAnswer. Thread-safe."""

    def __init__(self, http: HttpClient, app: App, *, gate: Gate, clock: Clock) -> None:
        self._http = http
        self._gate = gate
        self._clock = clock
        self.app = app

    def exchange(self, code: str, challenge: Challenge, *, redirect_uri: str) -> TokenGrant:
        """Exchanges a code for tokens, including a refresh token."""
        service = self.app.service
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
                f"{service} did not accept the code of this sign-in (each works once, for minutes): sign in again"
            ) from None
        if grant.refresh_token is None:
            raise UnexpectedAnswer(f"{service} gave no refresh token: sign in again")
        return grant

    def refresh(self, refresh_token: str) -> TokenGrant:
        """Gets a new access token."""
        grant = self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})
        # A refresh without any scopes leaves them unchanged (RFC 6749, 6); otherwise polls would stop forever.
        return replace(grant, scopes=grant.scopes or None)

    def revoke(self, refresh_token: str) -> None:
        """Revokes a login: neither it nor its access tokens work afterwards. Does nothing for one that has ended."""
        app = self.app
        if app.revoke_url is None:
            raise Permanent(f"{app.service} has no address for revoking a login")
        headers, client = self._client()
        self._gate.before(Bucket.TOKENS)
        form = {"token": refresh_token, "token_type_hint": "refresh_token", **client}
        answer = send(self._http, "POST", app.revoke_url, headers=headers, form=form, service=app.service)
        # RFC 7009 answers 200 for a token that is not known; Google says invalid_token with 400.
        is_unknown = answer.status == 400 and answer.document().get("error") in ("invalid_token", "invalid_grant")
        if answer.status != 200 and not is_unknown:
            raise self._refusal(answer)
        self._gate.passed(Bucket.TOKENS)

    def of_the_app(self) -> AccessToken:
        """A token of the app itself (client credentials), for the catalogue and public data."""
        if self.app.secret is None:
            raise Forbidden(
                f"{self.app.service} gives the app a token only with its client secret: see {self.app.settings}"
            )
        return self._ask({"grant_type": "client_credentials"}).access

    def _ask(self, form: Mapping[str, str]) -> TokenGrant:
        app = self.app
        headers, more = self._client()
        self._gate.before(Bucket.TOKENS)
        answer = send(
            self._http, "POST", app.token_url, headers=headers, form={**form, **more}, service=app.service
        )  # fmt: skip
        if answer.status == 200:
            grant = self._grant(answer)
            self._gate.passed(Bucket.TOKENS)
            return grant
        raise self._refusal(answer)

    def _client(self) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and fields that identify the app."""
        app = self.app
        fields = {"client_id": app.client_id}
        if app.secret is None:
            return {}, fields
        if app.has_secret_in_form:
            return {}, {**fields, "client_secret": app.secret}
        basic = base64.b64encode(f"{app.client_id}:{app.secret}".encode()).decode("ascii")
        return {"Authorization": f"Basic {basic}"}, fields

    def _grant(self, answer: Answer) -> TokenGrant:
        found = answer.document()
        access, refresh, scope = found.get("access_token"), found.get("refresh_token"), found.get("scope")
        life = found.get("expires_in")
        if not (isinstance(access, str) and access and access.isascii() and access.isprintable()):
            raise UnexpectedAnswer(f"{answer.what}: {self.app.service}'s answer holds no access token")
        lasts = _USUAL_LIFE
        if isinstance(life, (int, float)) and not isinstance(life, bool) and 0 < life < _LONGEST_LIFE_S:
            lasts = timedelta(seconds=life)
        return TokenGrant(
            AccessToken(access, self._clock() + lasts),
            refresh if isinstance(refresh, str) and refresh else None,
            _scopes(scope),
        )

    def _refusal(self, answer: Answer) -> MyiError:
        service, status, what = self.app.service, answer.status, answer.what
        if status == 429:
            until = self._gate.blocked(
                Bucket.TOKENS,
                retry_after=retry_after(answer, self._clock()),
                quota_exceeded=is_quota_exceeded(answer),
            )
            return RateLimited(
                f"{what}: {service} asks to wait; again at {until:%Y-%m-%d %H:%M:%S} UTC", retry_at=until
            )
        if status >= 500:
            return Transient(f"{what}: {service} answered {status}")
        if status not in (400, 401, 403):
            return UnexpectedAnswer(f"{what}: {service} answered {status}")
        found = answer.document()  # an HTML page with status 400 is not a refusal
        code, said = found.get("error"), answer.message()
        if code == "invalid_grant":
            return AuthRevoked(f"{service} no longer accepts this login ({said or 'invalid_grant'})")
        if code in ("invalid_client", "unauthorized_client"):
            return Forbidden(
                f"{service} does not accept the client id {self.app.client_id} or its secret ({said or code}):"
                f" compare {self.app.settings} with {self.app.console}"
            )
        if code in _WILL_PASS:
            return Transient(f"{what}: {service} answered {status} ({code})")
        if not isinstance(code, str):
            return UnexpectedAnswer(f"{what}: {service} answered {status}")
        return TokenRefused(f"{service} refused the login ({said or 'no reason given'})")


def _scopes(answer: object) -> frozenset[str] | None:
    """The permissions of an answer; None if it has no readable ones."""
    words = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(each, str) for each in words):
        return None
    return frozenset(" ".join(words).replace(",", " ").split())


class HeldTokens:
    """A TokenSource that keeps its token in memory, and fetches another one when that is rejected or about to end.
    Thread-safe."""

    def __init__(self, fetch: Callable[[AccessToken | None], AccessToken], *, clock: Clock) -> None:
        """`fetch` is called with the token that was rejected, if one was."""
        self._fetch = fetch
        self._clock = clock
        self._held: AccessToken | None = None
        self._guard = threading.Lock()

    def __call__(self, rejected: AccessToken | None = None) -> AccessToken:
        with self._guard:
            held = self._held
            if held is None or held == rejected or not held.is_good(self._clock(), margin=_MARGIN):
                held = self._held = self._fetch(rejected)
            return held
