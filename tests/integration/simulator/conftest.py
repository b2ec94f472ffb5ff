"""A simulator with listeners of each kind, and a signed-in client for one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from myi_pipeline.simulator.live import (
    AppSpec,
    MovableClock,
    Simulator,
    SimulatorSpec,
    mixed_listeners,
    running_simulator,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SPEC = SimulatorSpec(
    seed=3,
    artists=40,
    relinked_tracks=0.05,
    removed_tracks=0.02,
    listeners=mixed_listeners(10),
    apps=(
        AppSpec(client_id="new", max_users=20, per_30_s=None, per_day={}),
        AppSpec(client_id="old", max_users=20, per_30_s=None, per_day={}, dialect="old"),
        AppSpec(client_id="small"),
    ),
)

Caller = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with running_simulator(SPEC, clock=MovableClock(START)) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Simulator:
    """The module's simulator, its clock put back and its script empty."""
    running.control.set_clock(START)
    running.control.clear_faults()
    running.control.forget_calls()
    running.control.reset_quota()
    return running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10.0, verify=False, trust_env=False) as client:
        yield client


@pytest.fixture
def get(simulator: Simulator, http: httpx.Client) -> Caller:
    """Calls the Web API as somebody who has just signed in: get('/me', listener=..., client_id=..., limit=...)."""

    def call(path: str, *, listener: str = "listener-1", client_id: str = "new", **query: object) -> httpx.Response:
        token = simulator.sign_in(listener, client_id=client_id).access_token
        return http.get(
            simulator.api_url + path,
            params={name: str(value) for name, value in query.items()},
            headers={"authorization": f"Bearer {token}"},
        )

    return call
