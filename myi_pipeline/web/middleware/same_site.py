"""Refuses requests made by another site's page (CSRF), and foreign host names (DNS rebinding).

A method that changes something is served only if the browser reports that this site's own page made the request or, for
an old browser, if the origin is this site's. A request with a foreign host name reaches only the health routes.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from myi_pipeline.settings import Settings
from myi_pipeline.web.problems import Problem, answer, speaks_listenbrainz

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
ATTEMPTS = "/auth/attempts"
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class SameSiteMiddleware:
    """`free_paths`: any host name; `local_paths`: also loopback names, which programs use."""

    def __init__(
        self, app: ASGIApp, settings: Settings, free_paths: Collection[str] = (), local_paths: Collection[str] = ()
    ) -> None:
        self._app = app
        self._free_paths, self._local_paths = frozenset(free_paths), frozenset(local_paths)
        self._local_hosts = {f"{name}:{settings.api_port}" for name in _LOOPBACK_NAMES}
        public = urlsplit(settings.site_origin)
        self._origins = {settings.site_origin}
        self._hosts = {public.netloc}
        if settings.public_url is None:
            self._hosts |= self._local_hosts
            self._origins.update(f"http://{name}" for name in self._local_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            problem = self._problem(scope)
            if problem is not None:
                await answer(problem, path=scope["path"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        path = scope["path"]
        hosts = self._hosts | self._local_hosts if path in self._local_paths else self._hosts
        if path not in self._free_paths and headers.get("host", "").lower() not in hosts:
            return Problem(421, "wrong-host", "This site does not answer to that host name (see MYI_PUBLIC_URL).")
        if scope["method"] in _SAFE_METHODS or self._is_own(headers) or _is_program(path, headers):
            return None
        return Problem(403, "cross-site", "The request came from another site's page and was refused.")

    def _is_own(self, headers: Headers) -> bool:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site == "same-origin"
        return origin in self._origins


def _is_program(path: str, headers: Headers) -> bool:
    """Whether a program asks, which no page can make do something.

    Then the route says what is wrong: that there is no token, or that it is read-only.
    """
    is_browser = any(name in headers for name in ("cookie", "origin", "sec-fetch-site"))
    if speaks_listenbrainz(path):
        # These routes ignore cookies; browser extensions submit plays from other sites' pages.
        return "authorization" in headers or not is_browser
    # An app that is being signed in has no token yet.
    return (path == ATTEMPTS or path.startswith("/v1/")) and not is_browser
