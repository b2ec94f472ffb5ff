"""Around every request: its id, its log line, its figures, and an answer whatever happens.

Belongs here: what is the same for all routes. Invariants: the id that comes in goes out and is in every log line; an
address is logged as its route's template, because a real one may hold a code or a link; a bug answers 500 as a problem
document like every other error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.api.problems import answer, describe
from myi_pipeline.logs import start_correlation

log = structlog.get_logger(__name__)
# Asked before a line is made: structlog's own way costs a line that nobody wants 20 µs.
_plain_log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
_REQUEST_ID = REQUEST_ID.encode()
_SLOW_S = 1.0

Observe = Callable[[str, str, int, float], None]


class Requests:
    """The outermost layer; `observe` gets method, route, status and seconds."""

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
            route = getattr(scope.get("route"), "path", None) or "unknown"
            self._observe(scope["method"], route, status, seconds)
            # A line a request would cost more than the request; whoever wants all asks for debug.
            is_worth_it = status >= 400 or status == 0 or seconds > _SLOW_S or scope["method"] not in ("GET", "HEAD")
            if _plain_log.isEnabledFor(logging.INFO if is_worth_it else logging.DEBUG):
                tell = log.info if is_worth_it else log.debug
                tell("request", method=scope["method"], route=route, status=status, ms=round(seconds * 1000, 1))


class Boundary:
    """The innermost layer: an error that no route handled becomes an answer here, below all headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or has_begun:
                raise
            problem = describe(error)
            if problem.status_code == 500:
                log.error("request_failed", exc_info=error)
            elif problem.status_code == 503:
                log.warning("request_not_served", reason=type(error).__name__)
            await answer(problem)(scope, receive, send)
