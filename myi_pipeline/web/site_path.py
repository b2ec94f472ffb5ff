"""A site that has only a part of its host name: every address below the path of MYI_PUBLIC_URL.

Within the site addresses begin at `/`, as they do without such a path. They are translated at its edge: the path is
taken off requests, if the proxy in front has left it there, and put before the addresses of headers, pages and files.
"""

from __future__ import annotations

import re
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of the site that answers a request; empty for one that has a whole host name.
_path: ContextVar[str] = ContextVar("site_path", default="")
# Two slashes would be another site.
_IN_PAGE = re.compile(r"""(\s(?:href|src|action|formaction|poster|content|data-[a-z-]+)=")/(?!/)""")
_IN_HEADER = {"location": re.compile(r"^()/(?!/)"), "link": re.compile(r"(<)/(?!/)")}
# In a script or a style sheet an address of this site is a text that begins with a slash.
_IN_FILE = {
    **dict.fromkeys(("text/javascript", "application/javascript"), re.compile(rb"""(["'`])/(?=[a-z])""")),
    "text/css": re.compile(rb"""(url\(["']?)/(?!/)"""),
}


def below_site_path(markup: str) -> str:
    """A page, or a part of one, with its addresses below the path of the site that answers this request. No value on a
    page looks like an address of it: quotation marks are escaped there."""
    path = _path.get()
    return _IN_PAGE.sub(rf"\1{path}/", markup) if path else markup


def address_below(address: str) -> str:
    """An address of the site, which begins at `/`, as somebody outside asks for it."""
    return f"{_path.get()}{address}"


class SitePathMiddleware:
    """The outermost middleware; `path` is not empty."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_below(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, addresses in _IN_HEADER.items():
                    if name in headers:
                        headers[name] = addresses.sub(rf"\1{self._path}/", headers[name])
            await send(message)

        _path.set(self._path)
        await self._app({**scope, **self._within(scope)}, receive, send_below)

    def _within(self, scope: Scope) -> Scope:
        path, raw = scope["path"], scope.get("raw_path", b"")
        if path != self._path and not path.startswith(f"{self._path}/"):
            return {}
        return {"path": path[len(self._path) :] or "/", "raw_path": raw[len(self._path) :] or b"/"}


class FilesBelow:
    """Files of the site with their addresses moved below `path`; they are small, and browsers keep them."""

    def __init__(self, files: ASGIApp, path: str) -> None:
        self._files = files
        self._path = path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith(".min.js"):
            # Somebody else's library, which knows no address of this site.
            await self._files(scope, receive, send)
            return
        start: Message | None = None
        body = bytearray()

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                addresses = _IN_FILE.get(Headers(raw=message["headers"]).get("content-type", "").partition(";")[0])
                if addresses is None:
                    await send(message)
                else:
                    start = message
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await self._send_moved(start, bytes(body), send)

        # A part of a file would be a part of another one.
        headers = [header for header in scope["headers"] if header[0].lower() != b"range"]
        await self._files({**scope, "headers": headers}, receive, collect)

    async def _send_moved(self, start: Message, body: bytes, send: Send) -> None:
        headers = MutableHeaders(scope=start)
        if body:
            body = _IN_FILE[headers["content-type"].partition(";")[0]].sub(rb"\1" + self._path + b"/", body)
            headers["content-length"] = str(len(body))
        await send(start)
        await send({"type": "http.response.body", "body": body, "more_body": False})
