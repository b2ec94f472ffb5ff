"""Id, log line and metrics of every request.

An incoming id is returned and appears in every log line. An address is logged as its route's template, because a real
one may contain a code or a link.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.logs import start_correlation

log = structlog.get_logger(__name__)
# Checked before a line is made: structlog's own way takes 20 µs for a line that is not wanted.
_plain_log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
_REQUEST_ID = REQUEST_ID.encode()
_SLOW_S = 1.0

Observe = Callable[[str, str, int, float], None]


class RequestLogMiddleware:
    """The outermost middleware; `observe` gets method, route, status and seconds."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self._app = app
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = start_correlation(Headers(scope=scope).get(REQUEST_ID))
        began = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_REQUEST_ID, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            found = scope.get("route")
            route = getattr(found, "path_format", None) or getattr(found, "path", None) or "unknown"
            self._observe(scope["method"], route, status, seconds)
            # A line for every request would cost more than the request; level debug logs all of them.
            is_worth_it = status >= 400 or status == 0 or seconds > _SLOW_S or scope["method"] not in ("GET", "HEAD")
            if _plain_log.isEnabledFor(logging.INFO if is_worth_it else logging.DEBUG):
                tell = log.info if is_worth_it else log.debug
                tell("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))
