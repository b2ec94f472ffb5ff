"""Dagster's pages end when nobody is connected, and not while somebody is."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any

import pytest
import uvicorn

from myi_pipeline.web.connection_limits import ConnectionLimits, Connections, server_config
from myi_pipeline.web.dagster_pages.server import serve_until_left_alone

ENDS_AFTER_S = 0.6


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def _visit(listening: socket.socket) -> tuple[float, float]:
    """Seconds for which a visitor stayed, and after which the server ended."""
    kept = Connections(ConnectionLimits())
    config = server_config(app, kept, host="127.0.0.1", port=0, grace_s=1)
    began = time.monotonic()
    serving = asyncio.create_task(serve_until_left_alone(uvicorn.Server(config), kept, listening, ENDS_AFTER_S))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert b"200" in await reader.readline()
    await asyncio.sleep(4 * ENDS_AFTER_S)
    assert not serving.done()
    stayed = time.monotonic() - began
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    await asyncio.wait_for(serving, 30)
    return stayed, time.monotonic() - began


@pytest.mark.slow
def test_the_pages_end_a_while_after_the_last_connection_and_their_address_goes_on_listening() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stayed, ended = asyncio.run(_visit(listening.dup()))
        assert ended - stayed >= ENDS_AFTER_S / 2
        # Whoever comes now waits until the pages are started again.
        with socket.create_connection(listening.getsockname(), timeout=5):
            accepted, _ = listening.accept()
            accepted.close()
