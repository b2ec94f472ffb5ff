"""A server of the simulator ends at once where nothing is under way, and else once it has answered."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from myi_pipeline.simulator.live.server import listening_on, served_in_a_thread, url_of


def test_a_server_with_an_idle_connection_stops_without_waiting() -> None:
    took_s = []
    for _ in range(5):
        # Plain HTTP on loopback: reading the machine's certificates would take most of the time.
        with ExitStack() as stack:
            client = stack.enter_context(httpx.Client(verify=False, trust_env=False))
            listening = stack.enter_context(listening_on(0))
            with served_in_a_thread(Starlette(), listening):
                assert client.get(url_of(listening)).status_code == 404
                began = time.monotonic()
            took_s.append(time.monotonic() - began)
    # uvicorn's own way takes a tenth of a second at least; the quickest of five has met no busy machine.
    assert min(took_s) < 0.1


def test_a_request_that_is_under_way_is_answered_first() -> None:
    arrived = Event()

    async def answer(_: Request) -> PlainTextResponse:
        arrived.set()
        await asyncio.sleep(0.3)
        return PlainTextResponse("late")

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        listening = stack.enter_context(listening_on(0))
        with served_in_a_thread(Starlette(routes=[Route("/", answer)]), listening):
            asking = pool.submit(httpx.get, url_of(listening), verify=False, trust_env=False)
            assert arrived.wait(20)
        assert asking.result(20).text == "late"
