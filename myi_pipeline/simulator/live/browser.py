"""A person with a browser: opens an authorisation page, agrees or not, and follows the redirect."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx

from myi_pipeline.simulator.live.sign_in_rules import challenge_of
from myi_pipeline.simulator.live.spec import SCOPES

_TIMEOUT_S = 30.0


def _browser() -> httpx.Client:
    # Plain HTTP on loopback: loading the machine's certificates would take most of the time.
    return httpx.Client(timeout=_TIMEOUT_S, verify=False, trust_env=False)


class SignInRefused(Exception):
    """What the page says instead of redirecting the person."""


@dataclass(frozen=True)
class SignedIn:
    """The result of a sign-in. The repr omits the tokens."""

    listener: str
    client_id: str
    scope: str
    expires_in: int
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.scopes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form":
            self.action = values.get("action") or ""
        elif tag == "input" and values.get("name") == "scope":
            self.scopes.append(values.get("value") or "")


def visit(
    authorize_url: str, *, listener: str, denied: Iterable[str] = (), cancel: bool = False, follow: bool = False
) -> str:
    """Opens the address as `listener` and agrees, except to the `denied` scopes; returns the redirect address.

    `follow` also opens that address, as a browser would. Raises SignInRefused with what the page says.
    """
    with _browser() as http:
        page = http.get(authorize_url)
        if not page.has_redirect_location:
            if page.status_code != 200:
                raise SignInRefused(page.text)
            form = _Form()
            form.feed(page.text)
            fields = [("listener", listener), ("decision", "cancel" if cancel else "agree")]
            fields += [("scope", scope) for scope in form.scopes if scope not in set(denied)]
            page = http.post(
                urljoin(authorize_url, form.action),
                content=urlencode(fields),
                headers={"content-type": "application/x-www-form-urlencoded"},
            )
        if not page.has_redirect_location:
            raise SignInRefused(page.text)
        target = page.headers["location"]
        if follow:
            http.get(target)
        return str(target)


def sign_in(
    accounts_url: str,
    *,
    listener: str,
    client_id: str,
    redirect_uri: str,
    scopes: Iterable[str] = SCOPES,
    denied: Iterable[str] = (),
) -> SignedIn:
    """A complete sign-in: page, code and tokens, with PKCE. Raises SignInRefused."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    query = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "state": state,
        "scope": " ".join(scopes),
        "code_challenge_method": "S256",
        "code_challenge": challenge_of(verifier),
    }
    target = visit(f"{accounts_url}/authorize?{urlencode(query)}", listener=listener, denied=denied)
    answer = dict(parse_qsl(urlsplit(target).query))
    if answer.get("state") != state or "code" not in answer:
        raise SignInRefused(answer.get("error", "no code came back"))
    with _browser() as http:
        made = http.post(
            f"{accounts_url}/api/token",
            data={
                "grant_type": "authorization_code",
                "code": answer["code"],
                "redirect_uri": redirect_uri,
                "client_id": client_id,
                "code_verifier": verifier,
            },
        )
    document = made.json()
    if made.status_code != 200:
        raise SignInRefused(f"{document['error']}: {document['error_description']}")
    return SignedIn(
        listener=listener,
        client_id=client_id,
        scope=document["scope"],
        expires_in=document["expires_in"],
        access_token=document["access_token"],
        refresh_token=document["refresh_token"],
    )
