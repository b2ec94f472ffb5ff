"""Addresses as scrobblers build them: people end the server's address with a slash, and clients start theirs with one.

`//1/submit-listens` and `/1/submit-listens/` are one address of ListenBrainz' API; other paths are not changed. A
redirect would not work: most clients do not send a body again.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from myi_pipeline.web.problems import speaks_listenbrainz

_SLASHES: Final = re.compile("/{2,}")


class ScrobblerPathsMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ("//" in scope["path"] or scope["path"].endswith("/")):
            path = _SLASHES.sub("/", scope["path"])
            if speaks_listenbrainz(path):
                path = path.rstrip("/")
                scope = dict(scope, path=path, raw_path=path.encode())
        await self._app(scope, receive, send)
