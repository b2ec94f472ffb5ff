"""How much anybody may send.

Belongs here: counting the bytes of a request's body. Invariant: a body that is longer than its route takes is never
held in memory: it is refused by its length, or where the length is not told, at the first byte too much.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.api.problems import AsPage, Problem, answer

# A form or a JSON document of this API has some hundred bytes.
USUAL_BYTES = 64 * 1024


class BodyLimits:
    """`larger` names the routes that take more: (method, path) -> bytes; `as_page` is for people."""

    def __init__(
        self, app: ASGIApp, larger: Mapping[tuple[str, str], int], as_page: AsPage = lambda _, __: None
    ) -> None:
        self._app = app
        self._as_page = as_page
        self._larger = dict(larger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._larger.get((scope["method"], scope["path"]), USUAL_BYTES)
        told = Headers(scope=scope).get("content-length", "0")
        if not told.isdigit() or int(told) > most:
            problem = _too_large(most)
            await (self._as_page(Request(scope), problem) or answer(problem))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _too_large(most)
            return message

        await self._app(scope, counted, send)


def _too_large(most: int) -> Problem:
    # The rest of the body is still on its way: the connection cannot be used again.
    return Problem(413, "too-large", f"At most {most} bytes are taken here.", headers={"Connection": "close"})
