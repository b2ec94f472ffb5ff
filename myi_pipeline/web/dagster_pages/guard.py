"""The guard before Dagster's application: host names, origins, sign-in, methods and headers.

Invariants: whatever could change something is done for an operator alone, and never because another site's page asked;
a GET and a WebSocket change nothing; without a sign-in nobody learns more than Dagster's version.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.errors import MyiError
from myi_pipeline.people.dagster_access import LINK_PATH, DagsterAccess, dagster_origin
from myi_pipeline.people.manage_access import LinkUsed
from myi_pipeline.settings import Settings
from myi_pipeline.web.dagster_pages.operations import (
    NotUnderstood,
    only_reads,
    only_subscribes,
    query_of_body,
    query_of_message,
)
from myi_pipeline.web.dagster_pages.texts import account_page, sign_in_page
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.cookies import session_cookie

log = structlog.get_logger(__name__)

OWN, SIGN_OUT = "/myi", "/myi/sign-out"
# Says which version runs: `myi up` and probes ask it.
_FREE = "/server_info"
_GRAPHQL = "/graphql"
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
# A launch with its configuration, or a backfill of many partitions.
_MOST_BODY_BYTES = 16 * 1024 * 1024
_MOST_FORM_BYTES = 8 * 1024
# How long it takes at most until a socket that is open hears that its session has ended.
_LOOK_AGAIN_S = 15.0
_HEADERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Beside Dagster's own policy, which says nothing about frames: browsers obey both.
_FRAMES = "frame-ancestors 'none'"
_OWN_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; " + _FRAMES


@dataclass(frozen=True)
class Credential:
    """What somebody shows: cookies of a browser, or the token of a program."""

    secrets: tuple[str, ...]
    is_program: bool
    # Where it came from; of a program alone, whose token's first use is noted.
    address: str | None = None


@dataclass(frozen=True)
class AccessBackend:
    """The guard's ways to the database; each may raise MyiError."""

    find: Callable[[Credential], Awaitable[DagsterAccess | None]]
    # The secret, the browser's name for itself, and its address.
    use_link: Callable[[str, str, str], Awaitable[str]]
    end_session: Callable[[str], Awaitable[None]]
    # The token, and the address that it came from.
    note_wrong_token: Callable[[str, str], Awaitable[None]]


class Refused(Exception):
    """Answered here."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Guard:
    """ASGI, for HTTP and WebSockets."""

    def __init__(
        self, app: ASGIApp, settings: Settings, backend: AccessBackend, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._backend = backend
        self._clock = clock
        self._site_cookie = session_cookie(settings)
        self._site = settings.site_url
        self._trusted = settings.trusted_networks
        origin = urlsplit(dagster_origin(settings))
        self._is_secure = origin.scheme == "https"
        # Cookies ignore ports: two installations on one machine must not sign each other out.
        self.cookie = "__Host-myi_dagster" if self._is_secure else f"myi_dagster_{settings.dagster_port}"
        self._session_days = settings.session_days
        loopback = {f"{name}:{settings.dagster_port}" for name in _LOOPBACK_NAMES}
        self._hosts = {origin.netloc, *loopback}
        self._origins = {dagster_origin(settings), *(f"http://{name}" for name in loopback)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            if scope["path"] in (OWN, SIGN_OUT) or scope["path"].startswith(f"{OWN}/"):
                answer = await self._serve_own(scope, headers, receive)
            elif scope["path"] == _FREE and scope["method"] in _SAFE:
                answer = None
            else:
                receive = await self._judge(scope, headers, receive)
                answer = None
        except Refused as refused:
            answer = self._refusal(scope, headers, refused)
        except MyiError as error:
            log.warning("dagster_access_not_known", reason=str(error))
            answer = _told(503, "MYI's database does not answer; try again in a moment.")
        if answer is not None:
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _judge(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Raises Refused; returns what the application receives."""
        credential = self._credential(scope, headers)
        access = await self._access(credential)
        is_safe = scope["method"] in _SAFE
        if not credential.is_program:
            self._check_page(headers, is_safe=is_safe, is_document=is_safe and scope["path"] != _GRAPHQL)
        if is_safe:
            if scope["path"] == _GRAPHQL:
                self._check_query_string(scope)
            return receive
        if not access.may_change and scope["path"] != _GRAPHQL:
            raise Refused(403, "This token only reads.")
        body = await _whole(receive, headers, _MOST_BODY_BYTES)
        if scope["path"] == _GRAPHQL:
            # With other content types, which browsers send without asking, Dagster runs the query in the address.
            if [kind.partition(";")[0].strip().lower() for kind in headers.getlist("content-type")] != [
                "application/json"
            ]:
                raise Refused(415, "GraphQL requests must be application/json.")
            try:
                query = query_of_body(body)
                if not access.may_change and not only_reads(query):
                    raise Refused(403, "This token only reads.")
            except NotUnderstood as error:
                raise Refused(400, f"This was not done: {error}.") from None
        return _again(body, receive)

    async def _access(self, credential: Credential) -> DagsterAccess:
        """Raises Refused."""
        access = await self._backend.find(credential)
        if access is None:
            # Browsers send old cookies unasked; a token that is not good was tried out.
            if credential.is_program:
                await self._backend.note_wrong_token(credential.secrets[0], credential.address or "")
            raise Refused(401, "Sign in first.")
        return access

    async def _serve_own(self, scope: Scope, headers: Headers, receive: Receive) -> Response:
        """The pages of the guard itself: coming in, and going out."""
        path, method = scope["path"], scope["method"]
        if method in _SAFE:
            if path == LINK_PATH:
                return _own(sign_in_page(site=self._site, return_to="/"))
            name = path.removeprefix(f"{OWN}/")
            if name in _STATIC:
                return _own_file(name)
            if path == OWN:
                await self._access(self._credential(scope, headers))
                return _own(account_page())
            return _wrong_method("POST") if path == SIGN_OUT else _told(404, "There is nothing here.")
        if method != "POST" or path not in (LINK_PATH, SIGN_OUT):
            return _wrong_method({LINK_PATH: "GET, HEAD, POST", SIGN_OUT: "POST"}.get(path, "GET, HEAD"))
        self._check_page(headers, is_safe=False)
        if path == SIGN_OUT:
            if reference := _cookies(headers).get(self.cookie):
                await self._backend.end_session(reference)
            answer: Response = _own(sign_in_page(site=self._site, return_to="/"))
            self._set_cookie(answer, "", 0)
            return answer
        fields = parse_qs((await _whole(receive, headers, _MOST_FORM_BYTES)).decode("utf-8", "replace"))
        return_to = _local(fields.get("return_to", ["/"])[0])
        # What people paste is the whole link as often as its end.
        secret = fields.get("secret", [""])[0].strip().rpartition("#")[2]
        try:
            reference = await self._backend.use_link(
                secret, headers.get("user-agent", ""), client_address(HTTPConnection(scope), self._trusted)
            )
        except LinkUsed as error:
            return _own(sign_in_page(site=self._site, return_to=return_to, trouble=str(error)), status=410)
        answer = RedirectResponse(return_to, 303)
        self._set_cookie(answer, reference, self._session_days * 86_400)
        return answer

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            credential = self._credential(scope, headers)
            if not credential.is_program and headers.get("origin") not in self._origins:
                raise Refused(403, "Another site's page asked for this.")
            await self._access(credential)
            if scope["path"] != _GRAPHQL:
                raise Refused(404, "There is nothing here.")
        except (Refused, MyiError):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        checked_at = self._clock()

        async def still_in() -> bool:
            nonlocal checked_at
            if self._clock() - checked_at < _LOOK_AGAIN_S:
                return True
            checked_at = self._clock()
            try:
                return await self._backend.find(credential) is not None
            except MyiError:
                return False

        is_closed = False

        async def judged() -> Message:
            nonlocal is_closed
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            if not await still_in() or not _may_be_sent(message):
                if not is_closed:
                    is_closed = True
                    await send({"type": "websocket.close", "code": 1008})
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        async def watched(message: Message) -> None:
            nonlocal is_closed
            if is_closed:
                return
            if message["type"] == "websocket.send" and not await still_in():
                message = {"type": "websocket.close", "code": 1008}
            is_closed = message["type"] == "websocket.close"
            await send(message)

        await self._app(scope, judged, watched)

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise Refused(400, "A request names one host.")
        if hosts[0].lower() not in self._hosts:
            raise Refused(421, "Dagster's pages do not answer to that host name (see MYI_DAGSTER_PUBLIC_URL).")

    def _check_page(self, headers: Headers, *, is_safe: bool, is_document: bool = False) -> None:
        """Raises Refused unless a page of these asks; a person may follow a link from elsewhere to one of them."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is None:
            is_own = origin in self._origins or (is_safe and origin is None)
        else:
            is_own = site == "same-origin" or (is_safe and site == "none")
        is_visit = is_document and headers.get("sec-fetch-mode") == "navigate"
        if not is_own and not (is_visit and headers.get("sec-fetch-dest") == "document"):
            raise Refused(403, "The request came from another site's page and was refused.")

    def _check_query_string(self, scope: Scope) -> None:
        for name, query in QueryParams(scope["query_string"]).multi_items():
            if name == "query":
                try:
                    if not only_reads(query):
                        raise Refused(405, "Changes must use POST.")
                except NotUnderstood as error:
                    raise Refused(400, f"This was not done: {error}.") from None

    def _credential(self, scope: Scope, headers: Headers) -> Credential:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        # A proxy in front may ask for a password of its own, and passes that on.
        if scheme.lower() == "bearer":
            address = client_address(HTTPConnection(scope), self._trusted)
            return Credential((token.strip(),), is_program=True, address=address)
        cookies = _cookies(headers)
        shown = (cookies.get(self.cookie), cookies.get(self._site_cookie))
        return Credential(tuple(each for each in shown if each), is_program=False)

    def _refusal(self, scope: Scope, headers: Headers, refused: Refused) -> Response:
        if refused.status == 401 and "text/html" in headers.get("accept", "") and scope["method"] == "GET":
            query = scope["query_string"].decode("latin-1")
            return_to = _local(scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""))
            answer: Response = _own(sign_in_page(site=self._site, return_to=return_to), status=401)
        else:
            answer = _told(refused.status, refused.text)
        if refused.status == 401:
            answer.headers["www-authenticate"] = 'Bearer realm="MYI"'
        return answer

    def _set_cookie(self, answer: Response, value: str, max_age_s: int) -> None:
        answer.set_cookie(
            self.cookie, value, max_age=max_age_s, path="/", secure=self._is_secure, httponly=True, samesite="lax"
        )


_STATIC = {"enter.js": "text/javascript", "enter.css": "text/css"}


def _own(text: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(text, status, {"content-security-policy": _OWN_POLICY, "cache-control": "no-store"})


def _own_file(name: str) -> Response:
    content = files("myi_pipeline.web.dagster_pages").joinpath("static", name).read_bytes()
    return Response(content, media_type=_STATIC[name])


def _wrong_method(allowed: str) -> Response:
    answer = _told(405, "This address does not allow that method.")
    answer.headers["allow"] = allowed
    return answer


def _told(status: int, text: str) -> Response:
    # The form of GraphQL errors, which is what most of those who are refused asked for.
    return JSONResponse({"errors": [{"message": text}]}, status, {"cache-control": "no-store"})


def _local(address: str) -> str:
    """A path of these pages, or `/` when it is anything else: browsers read `//host` and `/\\host` as another site."""
    is_local = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_local and address.isascii() and address.isprintable() else "/"


def _cookies(headers: Headers) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for header in headers.getlist("cookie"):
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            found.setdefault(name, value)
    return found


def _may_be_sent(message: Message) -> bool:
    try:
        query = query_of_message(message.get("text") or "")
        return query is None or only_subscribes(query)
    except NotUnderstood:
        return False


async def _whole(receive: Receive, headers: Headers, most: int) -> bytes:
    """The body. Raises Refused."""
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()) or len(declared) > 12 or int(declared) > most:
        raise Refused(413, f"The request body may have at most {most} bytes.")
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "The request broke off.")
        body += message.get("body", b"")
        if len(body) > most:
            raise Refused(413, f"The request body may have at most {most} bytes.")
        if not message.get("more_body", False):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """What was read for judging it, for the application."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            if _FRAMES not in headers.get("content-security-policy", ""):
                headers.append("content-security-policy", _FRAMES)
        await send(message)

    return send_with_headers
