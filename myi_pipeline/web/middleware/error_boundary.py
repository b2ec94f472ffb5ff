"""An error that no route handled becomes an answer here, below all headers: a problem document like every other."""

from __future__ import annotations

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.web.problems import answer, describe

log = structlog.get_logger(__name__)


class ErrorBoundaryMiddleware:
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
        except ClientDisconnect:
            # The client has disconnected; nothing is wrong here.
            log.debug("client_left")
        except Exception as error:
            if scope["type"] != "http" or has_begun:
                raise
            problem = describe(error)
            if problem.status_code == 500:
                log.error("request_failed", exc_info=error)
            elif problem.status_code == 503:
                log.warning("request_not_served", reason=type(error).__name__)
            await answer(problem, path=scope["path"])(scope, receive, send)
