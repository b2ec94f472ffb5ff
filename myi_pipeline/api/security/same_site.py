"""Requests that another site's page makes in a visitor's browser (CSRF), and names that are not this site's.

Belongs here: refusing them before any route runs. Invariants: a method that changes something is served only when the
browser says that this site's own page asked, or, for a browser too old to say, when the origin is this site's; a
request under a foreign host name (DNS rebinding) reaches no route but health.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from myi_pipeline.api.problems import Problem, answer
from myi_pipeline.settings import Settings

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class SameSite:
    """`free_paths` are served under every name: probes ask by address."""

    def __init__(self, app: ASGIApp, settings: Settings, free_paths: Collection[str] = ()) -> None:
        self._app = app
        self._free_paths = frozenset(free_paths)
        public = urlsplit(settings.site_origin)
        self._origins = {settings.site_origin}
        self._hosts = {public.netloc}
        if settings.public_url is None:
            names = [f"{name}:{settings.api_port}" for name in _LOOPBACK_NAMES]
            self._hosts.update(names)
            self._origins.update(f"http://{name}" for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            problem = self._problem(scope)
            if problem is not None:
                await answer(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if scope["path"] not in self._free_paths and headers.get("host", "").lower() not in self._hosts:
            return Problem(421, "wrong-host", "This site is not known by that name (see MYI_PUBLIC_URL).")
        if scope["method"] in _SAFE_METHODS or self._is_own(headers):
            return None
        return Problem(403, "cross-site", "Another site's page asked for this, so it was not done.")

    def _is_own(self, headers: Headers) -> bool:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site == "same-origin"
        return origin in self._origins
