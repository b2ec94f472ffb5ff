"""The methods of an address: HEAD wherever there is GET, and all of them in the refusal of any other.

HEAD is served as a GET without sending the body, so its headers are those of the GET.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi.routing import iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class MethodsMiddleware:
    """Must be outside the middleware that compresses answers and the one that hides a disconnected client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._known: Sequence[tuple[re.Pattern[str], frozenset[str]]] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._serve_head(scope, receive, send)
        elif scope["method"] == "GET":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, self._naming_all_methods(scope, send))

    async def _serve_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {**scope, "method": "GET"}
        send = self._naming_all_methods(scope, send)

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif message.get("more_body"):
                # A stream would continue until the client disconnects.
                raise ClientDisconnect

        try:
            await self._app(asked, receive, send_head)
        finally:
            # The log and the metrics need the route.
            if "route" in asked:
                scope["route"] = asked["route"]

    def _naming_all_methods(self, scope: Scope, send: Send) -> Send:
        """A router knows only the methods of its first route with this address."""

        async def send_with_methods(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                methods = self._methods_of(scope)
                if methods:
                    MutableHeaders(scope=message)["Allow"] = ", ".join(methods)
            await send(message)

        return send_with_methods

    def _methods_of(self, scope: Scope) -> list[str]:
        if not self._known:
            self._known = _methods_by_address(scope["app"].routes)
        found = set().union(*(methods for address, methods in self._known if address.match(scope["path"])))
        return sorted(found | {"HEAD"} if "GET" in found else found)


def _methods_by_address(routes: Sequence[BaseRoute]) -> Sequence[tuple[re.Pattern[str], frozenset[str]]]:
    return [(each.path_regex, frozenset(each.methods)) for each in iter_route_contexts(routes) if each.methods]
