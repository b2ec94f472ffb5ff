"""The accounts service over HTTP: the consent page and the token endpoint.

The page asks who you are, which the real one knows from its cookie, and lets you deny individual scopes.
"""

from __future__ import annotations

import base64
import binascii
from html import escape
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from myi_pipeline.simulator.live import failing
from myi_pipeline.simulator.live.accounts import OAuthError, TokenAnswer
from myi_pipeline.simulator.live.documents import dump
from myi_pipeline.simulator.live.sign_in_rules import AuthorisePageError, known_scopes
from myi_pipeline.simulator.live.spec import AppSpec
from myi_pipeline.simulator.live.state import SimulatorState

_MOST_FORM_BYTES = 64_000
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Simulated Spotify</title></head><body>
<h1>Simulated Spotify</h1><p>The app <b>{app}</b> asks for access.</p>
<form method="post" action="/authorize/decide?{query}">
<p><label>You are <select name="listener">{listeners}</select></label></p>
{scopes}
<p><button name="decision" value="agree">Agree</button>
<button name="decision" value="cancel">Cancel</button></p></form></body></html>
"""


def routes(state: SimulatorState) -> list[Route]:
    """The routes of the accounts service."""

    async def page(request: Request) -> Response:
        query = dict(request.query_params)
        try:
            app = state.accounts.check_authorisation(query)
            scopes = known_scopes(query.get("scope", ""))
        except AuthorisePageError as complaint:
            return _answer(state, request, "/authorize", Response(str(complaint), 400, media_type="text/plain"))
        problem = _problem(query, app)
        if problem:
            answer: Response = _send_back(query, {"error": problem})
        else:
            answer = HTMLResponse(
                _PAGE.format(
                    app=escape(app.client_id),
                    query=escape(urlencode(query)),
                    listeners="".join(f"<option>{escape(key)}</option>" for key in sorted(state.listeners)[:500]),
                    scopes="".join(
                        f'<p><label><input type="checkbox" name="scope" value="{escape(scope)}" checked> '
                        f"{escape(scope)}</label></p>"
                        for scope in scopes
                    ),
                )
            )
        return _answer(state, request, "/authorize", answer, client_id=app.client_id)

    async def decide(request: Request) -> Response:
        query = dict(request.query_params)
        form = await _form(request)
        try:
            app = state.accounts.check_authorisation(query)
            asked = known_scopes(query.get("scope", ""))
        except AuthorisePageError as complaint:
            return Response(str(complaint), 400, media_type="text/plain")
        problem = _problem(query, app)
        if problem:
            return _send_back(query, {"error": problem})
        listener = dict(form).get("listener", "")
        if listener not in state.listeners:
            return Response("There is no such listener.", 400, media_type="text/plain")
        if dict(form).get("decision") != "agree":
            return _send_back(query, {"error": "access_denied"})
        left = {value for name, value in form if name == "scope"}
        code = state.accounts.authorise(
            app=app,
            listener=listener,
            scopes=[scope for scope in asked if scope in left],
            redirect_uri=query["redirect_uri"],
            challenge=query.get("code_challenge") or None,
        )
        return _send_back(query, {"code": code})

    async def token(request: Request) -> Response:
        form = dict(await _form(request))
        client_id = form.get("client_id") or (_basic(request) or ("", ""))[0]
        listener = _listener_of(state, form)
        fault = state.faults.strike(path=request.url.path, listener=listener or None, client_id=client_id or None)
        answer = failing.instead(fault) if fault else None
        if answer is None:
            try:
                made = _make_token(state, request, form)
                document: dict[str, object] = {
                    "access_token": made.access_token,
                    "token_type": "Bearer",
                    "scope": made.scope,
                    "expires_in": made.expires_in,
                }
                if made.refresh_token is not None:
                    document["refresh_token"] = made.refresh_token
                answer = _oauth(document, 200)
            except OAuthError as complaint:
                answer = _oauth({"error": complaint.error, "error_description": complaint.description}, 400)
            if fault:
                answer = failing.spoil(fault, answer)
        return _answer(state, request, "/api/token", answer, client_id=client_id, listener=listener)

    return [
        Route("/authorize", page, methods=["GET"]),
        Route("/authorize/decide", decide, methods=["POST"]),
        Route("/api/token", token, methods=["POST"]),
    ]


def _answer(
    state: SimulatorState, request: Request, route: str, answer: Response, *, client_id: str = "", listener: str = ""
) -> Response:
    status = 0 if failing.is_broken(answer) else answer.status_code
    state.count(client_id=client_id, listener=listener, route=route, status=status)
    return answer


def _oauth(document: object, status: int) -> Response:
    return Response(dump(document), status, {"cache-control": "no-store"}, "application/json")


def _problem(query: dict[str, str], app: AppSpec) -> str | None:
    """The error in a request with a valid redirect, to which it is reported."""
    if query.get("response_type") != "code":
        return "unsupported_response_type"
    challenge, method = query.get("code_challenge", ""), query.get("code_challenge_method", "")
    if challenge and (method != "S256" or len(challenge) != 43):
        return "invalid_request"
    return "invalid_request" if not challenge and app.client_secret is None else None


def _send_back(query: dict[str, str], answer: dict[str, str]) -> Response:
    if "state" in query:
        answer = {**answer, "state": query["state"]}
    uri = query["redirect_uri"]
    return RedirectResponse(f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer)}", 302)


async def _form(request: Request) -> list[tuple[str, str]]:
    body = await request.body()
    if len(body) > _MOST_FORM_BYTES or not body.isascii():
        return []
    return parse_qsl(body.decode("ascii"), keep_blank_values=True)


def _basic(request: Request) -> tuple[str, str] | None:
    header = request.headers.get("authorization", "")
    if not header.startswith("Basic "):
        return None
    try:
        name, _, secret = base64.b64decode(header.removeprefix("Basic "), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return unquote(name), unquote(secret)


def _listener_of(state: SimulatorState, form: dict[str, str]) -> str:
    token = state.accounts.refresh_tokens.get(form.get("refresh_token", ""))
    return token.grant.listener if token else state.accounts.listener_of_code(form.get("code", ""))


def _make_token(state: SimulatorState, request: Request, form: dict[str, str]) -> TokenAnswer:
    basic = _basic(request)
    client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
    app = state.accounts.apps.get(client_id)
    if app is None:
        raise OAuthError("invalid_client", "Invalid client")
    if secret and secret != app.client_secret:
        raise OAuthError("invalid_client", "Invalid client secret")
    kind = form.get("grant_type")
    if kind == "authorization_code":
        return state.accounts.exchange(
            app=app,
            code=form.get("code", ""),
            redirect_uri=form.get("redirect_uri", ""),
            verifier=form.get("code_verifier", ""),
            has_secret=bool(secret),
        )
    if kind == "refresh_token":
        return state.accounts.refresh(app=app, text=form.get("refresh_token", ""))
    raise OAuthError("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
