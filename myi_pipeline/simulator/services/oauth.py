"""A simulated sign-in as in RFC 6749 and 7636: a consent page, codes that work once, tokens that expire and can be
revoked, and tokens of the app itself. Everything may be changed while requests are being answered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from threading import RLock
from urllib.parse import parse_qsl, urlencode

import httpx
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

CODE_LIFE = timedelta(minutes=5)


class SignInRefused(Exception):
    """The page did not redirect the person back."""


@dataclass
class Grant:
    """What one account has granted. `account` is None for a token of the app itself."""

    account: str | None
    scopes: frozenset[str]
    given_at: datetime
    is_revoked: bool = False


@dataclass
class _Held:
    grant: Grant
    expires_at: datetime


@dataclass
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str
    expires_at: datetime


@dataclass
class OAuthServer:
    """One service's sign-in, for one app. `refresh_life` None: a refresh token is valid until it is revoked; `rotates`:
    each refresh returns a new one. `needs_secret`: PKCE alone is not enough. `down`: how many more times the token
    endpoint answers 503. `canary`: text in every code and token, for tests that look for leaks.
    """

    clock: Callable[[], datetime]
    accounts: Callable[[], Iterable[str]]
    scopes: frozenset[str]
    client_id: str = "made-up-app"
    secret: str = "made-up-secret-of-the-app"
    redirect_uris: tuple[str, ...] = ("http://127.0.0.1:8898/callback",)
    access_life: timedelta = timedelta(hours=1)
    refresh_life: timedelta | None = None
    rotates: bool = False
    needs_secret: bool = False
    allows_app_tokens: bool = True
    down: int = 0
    canary: str = ""
    exchanges: int = 0
    _codes: dict[str, _Code] = field(default_factory=dict)
    _access: dict[str, _Held] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)
    _guard: RLock = field(default_factory=RLock)

    def holder(self, authorization: str) -> Grant | None:
        """The grant of the token in this header; None unless the token is valid now."""
        held = self._access.get(authorization.removeprefix("Bearer "))
        if held is None or held.grant.is_revoked or held.expires_at <= self.clock():
            return None
        return held.grant

    def token_for(self, account: str, *, scopes: Iterable[str] | None = None) -> tuple[str, str]:
        """An access and a refresh token, as if the account had agreed."""
        with self._guard:
            grant = Grant(account, frozenset(self.scopes if scopes is None else scopes), self.clock())
            document = self._answer(grant, with_refresh=True)
        return str(document["access_token"]), str(document["refresh_token"])

    def revoke(self, account: str) -> None:
        """The person revokes everything."""
        with self._guard:
            for grant in [*(held.grant for held in self._access.values()), *self._refresh.values()]:
                grant.is_revoked = grant.is_revoked or grant.account == account

    def expire_access_tokens(self) -> None:
        with self._guard:
            for held in self._access.values():
                held.expires_at = self.clock()

    def routes(self, *, authorize: str, token: str, revoke: str) -> list[Route]:
        async def page(request: Request) -> Response:
            query = dict(request.query_params)
            wrong = self._what_is_wrong(query)
            if wrong:
                return Response(wrong, 400, media_type="text/plain")
            boxes = "".join(
                f'<input type="checkbox" name="scope" value="{escape(each)}" checked>{escape(each)}'
                for each in query.get("scope", "").split()
            )
            action = f"{request.url.path}?{escape(request.url.query)}"
            return HTMLResponse(f'<form method="post" action="{action}">{boxes}<button>Agree</button></form>')

        async def decide(request: Request) -> Response:
            query = dict(request.query_params)
            wrong = self._what_is_wrong(query)
            form = parse_qsl((await request.body()).decode(), keep_blank_values=True)
            account = dict(form).get("account", "")
            if wrong or account not in self.accounts():
                return Response(wrong or "There is no such account.", 400, media_type="text/plain")
            if dict(form).get("decision") != "agree":
                return _back(query, {"error": "access_denied"})
            asked = set(query.get("scope", "").split())
            given = frozenset(value for name, value in form if name == "scope" and value in asked)
            code = self._secret(24)
            self._codes[code] = _Code(
                Grant(account, given, self.clock()), query["redirect_uri"], query["code_challenge"],
                self.clock() + CODE_LIFE,
            )  # fmt: skip
            return _back(query, {"code": code})

        async def give(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            with self._guard:
                self.exchanges += 1
                if self.down > 0:
                    self.down -= 1
                    return Response("upstream", 503, media_type="text/plain")
                status, document = self._give(form, request.headers.get("authorization", ""))
            return Response(json.dumps(document), status, {"cache-control": "no-store"}, "application/json")

        async def take_back(request: Request) -> Response:
            form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            with self._guard:
                if self.down > 0:
                    self.down -= 1
                    return Response("upstream", 503, media_type="text/plain")
                status, document = self._take_back(form, request.headers.get("authorization", ""))
            return Response(json.dumps(document), status, media_type="application/json")

        return [
            Route(authorize, page, methods=["GET"]),
            Route(authorize, decide, methods=["POST"]),
            Route(token, give, methods=["POST"]),
            Route(revoke, take_back, methods=["POST"]),
        ]

    def _what_is_wrong(self, query: dict[str, str]) -> str:
        if query.get("client_id") != self.client_id:
            return "Unknown client id"
        if query.get("redirect_uri") not in self.redirect_uris:
            return "Redirect URI is not registered"
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            return "A code with PKCE (S256) is required"
        if len(query.get("code_challenge", "")) != 43:
            return "The code challenge is malformed"
        unknown = set(query.get("scope", "").split()) - self.scopes
        return f"Unknown scopes: {' '.join(sorted(unknown))}" if unknown else ""

    def _take_back(self, form: dict[str, str], basic: str) -> tuple[int, dict[str, object]]:
        if not self._knows(form, basic)[0]:
            return 401, {"error": "invalid_client", "error_description": "Client not found or secret wrong"}
        grant = self._refresh.get(form.get("token", ""))
        if grant is None or grant.is_revoked:
            return 400, {"error": "invalid_token", "error_description": "Token expired or revoked"}
        grant.is_revoked = True
        return 200, {}

    def _knows(self, form: dict[str, str], basic: str) -> tuple[bool, str | None]:
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        if basic.startswith("Basic "):
            client_id, _, secret = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
        return client_id == self.client_id and (secret is None or secret == self.secret), secret

    def _give(self, form: dict[str, str], basic: str) -> tuple[int, dict[str, object]]:
        is_known, secret = self._knows(form, basic)
        if not is_known:
            return 401, {"error": "invalid_client", "error_description": "Client not found or secret wrong"}
        kind = form.get("grant_type")
        if kind == "client_credentials" and self.allows_app_tokens:
            if secret is None:
                return 401, {"error": "invalid_client", "error_description": "The secret is required"}
            return 200, self._answer(Grant(None, frozenset(), self.clock()), with_refresh=False)
        if self.needs_secret and secret is None:
            return 401, {"error": "invalid_client", "error_description": "client_secret is missing"}
        if kind == "authorization_code":
            return self._exchange(form)
        if kind == "refresh_token":
            return self._refreshed(form)
        return 400, {"error": "unsupported_grant_type"}

    def _exchange(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        code = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            code is None
            or code.expires_at <= self.clock()
            or code.redirect_uri != form.get("redirect_uri")
            or not secrets.compare_digest(code.challenge, challenge)
        ):
            return 400, {"error": "invalid_grant", "error_description": "The code is invalid"}
        return 200, self._answer(code.grant, with_refresh=True)

    def _refreshed(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        text = form.get("refresh_token", "")
        grant = self._refresh.get(text)
        if grant is None or grant.is_revoked or self._is_over(grant):
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        if self.rotates:
            del self._refresh[text]
        return 200, self._answer(grant, with_refresh=self.rotates)

    def _is_over(self, grant: Grant) -> bool:
        return self.refresh_life is not None and self.clock() >= grant.given_at + self.refresh_life

    def _secret(self, length: int) -> str:
        return f"{self.canary}{secrets.token_urlsafe(length)}"

    def _answer(self, grant: Grant, *, with_refresh: bool) -> dict[str, object]:
        access = self._secret(32)
        self._access[access] = _Held(grant, self.clock() + self.access_life)
        document: dict[str, object] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.access_life.total_seconds()),
            "scope": " ".join(sorted(grant.scopes)),
        }
        if with_refresh:
            refresh = self._secret(32)
            self._refresh[refresh] = grant
            document["refresh_token"] = refresh
        return document


def agree(authorize_url: str, account: str, *, denied: Iterable[str] = (), cancel: bool = False) -> str:
    """Opens the address as this account and decides; returns where it is redirected to. Raises SignInRefused."""
    with httpx.Client(trust_env=False, timeout=20) as http:
        page = http.get(authorize_url)
        if page.status_code != 200:
            raise SignInRefused(page.text)
        asked = httpx.URL(authorize_url).params.get("scope", "").split()
        fields = [("account", account), ("decision", "cancel" if cancel else "agree")]
        fields += [("scope", each) for each in asked if each not in set(denied)]
        form = {"content-type": "application/x-www-form-urlencoded"}
        answer = http.post(authorize_url, content=urlencode(fields), headers=form)
        if not answer.has_redirect_location:
            raise SignInRefused(answer.text)
        return str(answer.headers["location"])


def _back(query: dict[str, str], answer: dict[str, str]) -> Response:
    uri = query["redirect_uri"]
    given = {**answer, **({"state": query["state"]} if "state" in query else {})}
    return RedirectResponse(f"{uri}{'&' if '?' in uri else '?'}{urlencode(given)}", 302)
