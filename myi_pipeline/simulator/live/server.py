"""A running simulator: uvicorn on loopback, in a thread or in a process of its own.

It listens on 127.0.0.1 only, on a free port. A child process ends when whoever started it does, killed or not, because
the pipe to it closes.
"""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


@dataclass(frozen=True)
class Simulator:
    """A simulator that runs. `api_url` ends in /v1; neither address ends in a slash."""

    spec: SimulatorSpec
    accounts_url: str
    control: Control

    @property
    def api_url(self) -> str:
        return f"{self.accounts_url}/v1"

    @property
    def images_url(self) -> str:
        """Where pictures are whose address says https://i.scdn.co."""
        return self.accounts_url

    @property
    def musicbrainz_url(self) -> str:
        """MusicBrainz' web service, which knows the same tracks."""
        return f"{self.accounts_url}{musicbrainz_app.PREFIX}"

    def sign_in(
        self,
        listener: str,
        *,
        client_id: str | None = None,
        scopes: Iterable[str] = SCOPES,
        denied: Iterable[str] = (),
    ) -> browser.SignedIn:
        """Walks the whole way that a person and a program go. Default client: the first with the listener on its list.

        Raises browser.SignInRefused, ControlError for a client id that there is not.
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
        """Opens an address that a program printed, as `listener` would; see `browser.visit`."""
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
    """Serves in this thread until it is stopped by a signal; `ready` gets the address."""
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
    """A simulator for as long as the block lasts.

    In a thread it goes by the very `clock` that is given. In a process of its own it has a copy, which follows every
    move of the given one, and the given one every move that is made through `control`.
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
    """The application answers at that socket for as long as the block lasts. Raises SimulatorFailed."""
    server = _server(app)
    thread = threading.Thread(target=server.run, args=([listening],), name="simulator", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise SimulatorFailed("the simulator did not start")
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        if thread.is_alive():
            server.force_exit = True
            thread.join(_STOP_S)


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
    """The child's side: reads its orders from a line, serves until the pipe closes."""
    given = json.loads(order.readline())
    clock = MovableClock(datetime.fromisoformat(given["now"]), speed=given["speed"])
    with listening_on(given["port"]) as listening:
        url = url_of(listening)
        server = _server(build_app(SimulatorSpec.model_validate(given["spec"]), clock, url=url))

        def stop_when_left() -> None:
            order.read()
            server.should_exit = True

        threading.Thread(target=stop_when_left, daemon=True).start()
        answer.write(json.dumps({"url": url}) + "\n")
        answer.flush()
        server.run(sockets=[listening])


def _server(app: Starlette) -> uvicorn.Server:
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
    return uvicorn.Server(config)


@contextmanager
def listening_on(port: int) -> Iterator[socket.socket]:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise SimulatorFailed(f"port {port} of {HOST} cannot be used: {error.strerror}") from error
        listening.listen(2048)
        yield listening
    finally:
        listening.close()


def url_of(listening: socket.socket) -> str:
    return f"http://{HOST}:{listening.getsockname()[1]}"
