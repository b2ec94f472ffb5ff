"""A setup with users, a simulated Spotify beside it, and both on one clock that only tests move."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from myi_pipeline.people import logins, manage_users
from myi_pipeline.people.logins import SignedIn
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers import token_vault
from myi_pipeline.providers.spotify.open_spotify import Spotify, open_spotify
from myi_pipeline.providers.token_vault import Credential
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import (
    AppSpec,
    MovableClock,
    Simulator,
    SimulatorSpec,
    mixed_listeners,
    running_simulator,
)

CLIENT = "myi-simulated-client"
CANARY = "canary0sings"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Setup:
    """The warehouse, the settings that lead to it and to the simulator, and the clock of both."""

    warehouse: Warehouse
    settings: Settings
    simulator: Simulator
    clock: MovableClock
    slept: list[float] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def open(self, **changes: Any) -> Spotify:
        """A way to Spotify, as a new process would have it; closed with the test."""
        settings = self.settings.model_copy(update=changes)
        opened = open_spotify(settings, self.warehouse, clock=self.clock, sleep=self.sleep)
        return self.stack.enter_context(opened)

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def user(self, key: str) -> int:
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            if not manage_users.list_users(connection, user_key=key):
                manage_users.add_user(connection, user_key=key, time_zone="UTC")
            return manage_users.get_user(connection, user_key=key).user_id

    def sign_in(
        self,
        spotify: Spotify,
        key: str = "ana",
        *,
        listener: str = "listener-1",
        client_id: str | None = None,
        denied: tuple[str, ...] = (),
        cancel: bool = False,
        may_switch: Callable[[], bool] = lambda: False,
    ) -> SignedIn:
        """The whole way, as `listener` in a browser."""
        pending = logins.begin_login(spotify, self.settings, user_id=self.user(key), user_key=key, client_id=client_id)
        redirected = self.simulator.visit(pending.url, listener, denied=denied, cancel=cancel)
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            return logins.finish_login(
                spotify,
                connection,
                pending,
                redirected=redirected,
                now=self.clock.now(),
                may_switch=may_switch,
            )

    def credential(self, key: str = "ana") -> Credential:
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            (found,) = [each for each in token_vault.list_credentials(connection) if each.user_key == key]
        return found

    def refresh_token(self, spotify: Spotify, key: str = "ana") -> str:
        return token_vault.open_token(spotify.keys, self.credential(key))

    def token_calls(self, status: int | None = None) -> int:
        return self.simulator.control.calls(route="/api/token", status=status)


SetupMaker = Callable[..., Setup]


@pytest.fixture
def make_setup(warehouse: Warehouse, settings_for_tests: Settings) -> Iterator[SetupMaker]:
    """Makes a setup; changes are those of the simulated app, listeners and spec."""
    with ExitStack() as stack:

        def make(*, listeners: int = 3, apps: tuple[AppSpec, ...] | None = None, **app: Any) -> Setup:
            clock = MovableClock()
            port = free_port()
            redirect = f"http://127.0.0.1:{port}/callback"
            known = apps or (AppSpec(redirect_uris=(redirect,), **app),)
            spec = SimulatorSpec(apps=known, listeners=mixed_listeners(listeners), artists=20, canary=CANARY)
            simulator = stack.enter_context(running_simulator(spec, clock=clock))
            settings = settings_for_tests.model_copy(
                update={
                    "spotify_client_id": known[0].client_id,
                    "spotify_api_url": simulator.api_url,
                    "spotify_accounts_url": simulator.accounts_url,
                    "spotify_images_url": simulator.images_url,
                    "spotify_redirect_uri": known[0].redirect_uris[0],
                }
            )
            setup = Setup(warehouse, settings, simulator, clock)
            stack.enter_context(setup.stack)
            return setup

        yield make


@pytest.fixture
def setup(make_setup: SetupMaker) -> Setup:
    return make_setup()
