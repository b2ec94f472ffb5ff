"""A running simulator: uvicorn on loopback, in a thread or in a process of its own.

It listens on a free port of 127.0.0.1. A child process can be told to listen on another address as well, which then is
its URL. A child process ends with its parent, even if that is killed, because the pipe to it closes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import IO

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from myi_pipeline.isolation import children_environment
from myi_pipeline.simulator.live import accounts_app, api_app, browser, control_app, images_app, musicbrainz_app
from myi_pipeline.simulator.live.clock import MovableClock
from myi_pipeline.simulator.live.control import Control
from myi_pipeline.simulator.live.failing import Protocol, error
from myi_pipeline.simulator.live.spec import SCOPES, SimulatorSpec
from myi_pipeline.simulator.live.state import SimulatorState

HOST = "127.0.0.1"
_START_S = 30.0
_STOP_S = 10.0


class SimulatorFailed(Exception):
    """The simulator could not be started or stopped."""


class PromptServer(uvicorn.Server):
    """Stops as soon as it is told to, by any thread. uvicorn itself looks every tenth of a second whether it should
    stop and then waits for another, which the tests would pay some four hundred times."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._has_started = threading.Event()
        self._should_stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def running(self, sockets: list[socket.socket] | None = None) -> Iterator[None]:
        """Serves in a thread for the duration of the block. Raises SimulatorFailed."""
        thread = threading.Thread(target=self.run, args=(sockets,), name="server", daemon=True)
        thread.start()
        deadline = time.monotonic() + _START_S
        while not self._has_started.wait(0.1):
            if not thread.is_alive() or time.monotonic() > deadline:
                raise SimulatorFailed("the server did not start")
        try:
            yield
        finally:
            self.stop()
            thread.join(_STOP_S)
            if thread.is_alive():
                self.force_exit = True
                thread.join(_STOP_S)

    def stop(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # It is closed.
                self._loop.call_soon_threadsafe(self._should_stop.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._has_started.set()

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._should_stop.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for each in (*self.servers, *(sockets or ())):
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # Those that were idle are gone after that; for all others uvicorn waits.
        for _ in range(3):
            await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)
        else:
            await self.lifespan.shutdown()


@dataclass(frozen=True)
class Simulator:
    """A running simulator. `api_url` ends in /v1; no address ends in a slash."""

    spec: SimulatorSpec
    accounts_url: str
    control: Control

    @property
    def api_url(self) -> str:
        return f"{self.accounts_url}/v1"

    @property
    def images_url(self) -> str:
        """The host of pictures, in place of https://i.scdn.co."""
        return self.accounts_url

    @property
    def musicbrainz_url(self) -> str:
        """The simulated MusicBrainz, which knows the same tracks."""
        return f"{self.accounts_url}{musicbrainz_app.PREFIX}"

    def sign_in(
        self,
        listener: str,
        *,
        client_id: str | None = None,
        scopes: Iterable[str] = SCOPES,
        denied: Iterable[str] = (),
    ) -> browser.SignedIn:
        """Signs in as a person and a program would. Default client id: the first with the listener on its list.

        Raises browser.SignInRefused, and ControlError for an unknown client id.
        """
        app = self.control.app_for(listener, client_id)
        return browser.sign_in(
            self.accounts_url,
            listener=listener,
            client_id=app.client_id,
            redirect_uri=app.redirect_uris[0],
            scopes=scopes,
            denied=denied,
        )

    def visit(
        self,
        authorize_url: str,
        listener: str,
        *,
        denied: Iterable[str] = (),
        cancel: bool = False,
        follow: bool = False,
    ) -> str:
        """Opens an address that a program printed, as `listener`; see `browser.visit`."""
        return browser.visit(authorize_url, listener=listener, denied=denied, cancel=cancel, follow=follow)


def build_app(spec: SimulatorSpec, clock: MovableClock, *, url: str) -> Starlette:
    """The application; `url` is where it will be reached."""
    state = SimulatorState(spec, clock, f"{url}/v1")

    async def missing(request: Request, _: Exception) -> Response:
        state.count(client_id="", listener="", route="unknown", status=404)
        return error(404, "Service not found")

    parts = (api_app, accounts_app, images_app, musicbrainz_app, control_app)
    app = Starlette(
        routes=[route for part in parts for route in part.routes(state)],
        exception_handlers={404: missing},
    )
    app.state.simulator = state
    return app


def serve(spec: SimulatorSpec, clock: MovableClock, *, port: int, ready: Callable[[str], None]) -> None:
    """Serves in this thread until stopped by a signal; `ready` is called with the address."""
    with listening_on(port) as listening:
        url = url_of(listening)
        server = _server(build_app(spec, clock, url=url))
        ready(url)
        server.run(sockets=[listening])


@contextmanager
def running_simulator(
    spec: SimulatorSpec | None = None,
    *,
    clock: MovableClock | None = None,
    port: int = 0,
    own_process: bool = False,
) -> Iterator[Simulator]:
    """Runs a simulator for the duration of the block.

    In a thread, it uses the given `clock` itself. In a process of its own, it has a copy: each follows the other when
    the given clock is moved directly or through `control`.
    """
    spec, clock = spec or SimulatorSpec(), clock or MovableClock()
    start = _in_a_process if own_process else _in_a_thread
    with start(spec, clock, port) as url:
        control = Control(url, follower=clock if own_process else None)
        try:
            yield Simulator(spec=spec, accounts_url=url, control=control)
        finally:
            control.close()


@contextmanager
def _in_a_thread(spec: SimulatorSpec, clock: MovableClock, port: int) -> Iterator[str]:
    with listening_on(port) as listening:
        url = url_of(listening)
        with served_in_a_thread(build_app(spec, clock, url=url), listening):
            yield url


@contextmanager
def served_in_a_thread(app: Starlette, listening: socket.socket) -> Iterator[None]:
    """Serves the application at this socket for the duration of the block. Raises SimulatorFailed."""
    with _server(app).running([listening]):
        yield


@contextmanager
def _in_a_process(spec: SimulatorSpec, clock: MovableClock, port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "myi_pipeline.simulator.live"]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=children_environment()
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        order = {
            "spec": spec.model_dump(mode="json"),
            "now": clock.now().isoformat(),
            "speed": clock.speed,
            "port": port,
        }
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
        line = child.stdout.readline()
        if not line:
            raise SimulatorFailed(f"the simulator's process ended with {child.wait(_STOP_S)}")
        yield json.loads(line)["url"]
    finally:
        child.stdin.close()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()


def run_as_child(order: IO[str], answer: IO[str]) -> None:
    """Runs in the child process: reads a line of orders, and serves until the pipe closes."""
    given = json.loads(order.readline())
    clock = MovableClock(datetime.fromisoformat(given["now"]), speed=given["speed"])
    host = given.get("host", HOST)
    with ExitStack() as stack:
        listening = [stack.enter_context(listening_on(given["port"], host=host))]
        url = url_of(listening[0])
        if host != HOST:
            # The controls answer on loopback only.
            listening.append(stack.enter_context(listening_on(listening[0].getsockname()[1])))
        server = _server(build_app(SimulatorSpec.model_validate(given["spec"]), clock, url=url))

        def stop_when_left() -> None:
            order.read()
            server.stop()

        threading.Thread(target=stop_when_left, daemon=True).start()
        answer.write(json.dumps({"url": url}) + "\n")
        answer.flush()
        server.run(sockets=listening)


def _server(app: Starlette) -> PromptServer:
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        backlog=2048,
    )
    return PromptServer(config)


@contextmanager
def listening_on(port: int, *, host: str = HOST) -> Iterator[socket.socket]:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise SimulatorFailed(f"port {port} of {host} cannot be used: {error.strerror}") from error
        listening.listen(2048)
        yield listening
    finally:
        listening.close()


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"http://{host}:{port}"
