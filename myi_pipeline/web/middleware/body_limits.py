"""Limits the size of request bodies.

A body that is too large is never held in memory: it is refused by its Content-Length or, without one, at the first
excess byte.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from myi_pipeline.web.problems import AsPage, Problem, answer, never_as_page

# A form or a JSON document of this API has a few hundred bytes.
USUAL_BYTES = 64 * 1024


class BodyLimitMiddleware:
    """`larger` lists routes that accept more: (method, path) -> bytes; `as_page` is for people."""

    def __init__(self, app: ASGIApp, larger: Mapping[tuple[str, str], int], as_page: AsPage = never_as_page) -> None:
        self._app = app
        self._as_page = as_page
        self._larger = dict(larger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._larger.get((scope["method"], scope["path"]), USUAL_BYTES)
        declared = Headers(scope=scope).get("content-length", "0")
        # A superscript two is a digit, too, and Python refuses to parse thousands of digits.
        if not (declared.isascii() and declared.isdigit()) or len(declared) > 18 or int(declared) > most:
            problem = _too_large(most)
            shown = await self._as_page(Request(scope), problem) or answer(problem, path=scope["path"])
            await shown(scope, receive, send)
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
    # The rest of the body is still arriving, so the connection cannot be reused.
    return Problem(
        413, "too-large", f"The request body may have at most {most} bytes.", headers={"Connection": "close"}
    )
