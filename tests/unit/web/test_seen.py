"""What a request has seen and changed, beside a replica."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from myi_pipeline.settings import Settings
from myi_pipeline.web.middleware.seen import SeenMiddleware
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.security import cookies


class CountingPools:
    """Beside a replica; counts what it is told of changes."""

    def __init__(self) -> None:
        self.replica = object()
        self.changes: list[int] = []

    async def note_change(self, user_id: int) -> int:
        self.changes.append(user_id)
        return 7


@pytest.mark.parametrize(
    ("status", "changes"), [(200, [5]), (303, [5]), (500, [5]), (400, []), (403, []), (409, []), (429, [])]
)
def test_a_request_that_is_refused_is_no_change(status: int, changes: list[int]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"visitor": SimpleNamespace(user_id=5, session_id=3)}
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    pools = CountingPools()
    middleware = SeenMiddleware(app, Settings(), cast(Pools, pools))
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asyncio.run(middleware(scope, cast(Any, None), send))
    assert pools.changes == changes
    assert any(b"myi_position" in value for _, value in sent[0]["headers"]) == bool(changes)


def test_signing_out_leaves_no_position_behind() -> None:
    settings = Settings()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"visitor": SimpleNamespace(user_id=5, session_id=3)}
        answer = Response(status_code=303)
        cookies.clear_session(answer, settings)
        await answer(scope, receive, send)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    asyncio.run(SeenMiddleware(app, settings, cast(Pools, CountingPools()))(scope, cast(Any, None), send))
    told = [value for name, value in sent[0]["headers"] if name == b"set-cookie"]
    (position,) = (value for value in told if b"myi_position" in value)
    assert b'myi_position="";' in position
    assert b"Max-Age=0" in position
