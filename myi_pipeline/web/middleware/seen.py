"""Read your own writes: a request carries the newest position that its client has seen or changed, so that a replica
never shows anything older. See reads/replica.py."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.settings import Settings
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.reads.replica import OWN_CHANGE_S, Seen, current
from myi_pipeline.web.security import cookies
from myi_pipeline.web.security.visitors import Visitor

_READING = ("GET", "HEAD", "OPTIONS")


class SeenMiddleware:
    """Beside a replica, a request that may change something reads the primary, and is remembered before its answer."""

    def __init__(self, app: ASGIApp, settings: Settings, pools: Pools) -> None:
        self._app = app
        self._settings = settings
        self._pools = pools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_replica = self._pools.replica is not None
        changes = has_replica and scope["method"] not in _READING
        position = cookies.read_position(HTTPConnection(scope), self._settings) if has_replica else 0

        async def remembering(message: Message) -> None:
            # What was refused changed nothing, and may be asked as often as anybody likes.
            if message["type"] == "http.response.start" and not 400 <= message["status"] < 500:
                await self._remember(scope, message)
            await send(message)

        token = current.set(Seen(primary_alone=changes, position=position))
        try:
            await self._app(scope, receive, remembering if changes else send)
        finally:
            current.reset(token)

    async def _remember(self, scope: Scope, message: Message) -> None:
        visitor: Visitor | None = scope.get("state", {}).get("visitor")
        if visitor is None:
            return
        position = await self._pools.note_change(visitor.user_id)
        if position is not None and visitor.session_id is not None:
            # Another process may serve the next page.
            made = Response()
            cookies.set_position(made, self._settings, position, seconds=OWN_CHANGE_S)
            cookie, headers = made.headers["set-cookie"], MutableHeaders(scope=message)
            # Signing out has cleared it.
            if not any(each.startswith(cookie.partition("=")[0] + "=") for each in headers.getlist("set-cookie")):
                headers.append("set-cookie", cookie)
