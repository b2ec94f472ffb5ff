"""A setup with many users who are signed in to a simulated Spotify: for the benchmarks of polling.

Belongs here: making the users, their logins and the simulator, and what processes and tables cost. Not here: polling.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psutil
import psycopg

from benchmarks.setups import Setup
from myi_pipeline.postgres.connections import Role, compose_url, parse_url
from myi_pipeline.providers import login_owners
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.simulator.live import (
    ListenerSpec,
    MovableClock,
    Simulator,
    SimulatorSpec,
    apps_for,
    running_simulator,
)

_SIGNED_IN_AT_ONCE = 500
# What of Dagster's storage grows with polls.
EVENT_TABLES = ("event_logs", "asset_event_tags", "runs", "run_tags")


@contextmanager
def many_listeners(
    setup: Setup, *, listeners: tuple[ListenerSpec, ...], clock: MovableClock, seed: int = 1
) -> Iterator[tuple[Setup, Simulator]]:
    """The setup with these listeners signed in, five to a client id, and the simulator that answers."""
    spec = SimulatorSpec(seed=seed, artists=200, listeners=listeners, apps=apps_for(listeners))
    with running_simulator(spec, clock=clock, own_process=True) as simulator:
        settings = setup.settings.model_copy(
            update={
                "spotify_api_url": simulator.api_url,
                "spotify_accounts_url": simulator.accounts_url,
                "spotify_images_url": simulator.images_url,
            }
        )
        made = Setup(settings, setup.warehouse, setup.folder)
        sign_in_listeners(made, simulator, [listener.key for listener in listeners], now=clock.now())
        yield made, simulator


def sign_in_listeners(setup: Setup, simulator: Simulator, keys: list[str], *, now: datetime) -> None:
    """Adds users with these keys, signed in to the simulator."""
    ring = require_keys(setup.settings, setup.warehouse)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for start in range(0, len(keys), _SIGNED_IN_AT_ONCE):
            some = keys[start : start + _SIGNED_IN_AT_ONCE]
            connection.execute(
                "insert into app.users (user_key, time_zone) select key, 'Europe/Berlin'"
                " from unnest(%s::text[]) with ordinality as given (key, place) order by place",
                (some,),
            )
            found = connection.execute("select user_key, user_id from app.users where user_key = any (%s)", (some,))
            ids = dict(found.fetchall())
            for login in simulator.control.sign_in_all(some):
                login_owners.store_login(
                    connection,
                    ring,
                    user_id=ids[login.listener],
                    client_id=login.client_id,
                    account_key=f"account:{login.listener}",
                    other_key=None,
                    refresh_token=login.refresh_token,
                    scopes=login.scope.split(),
                    now=now,
                )
        connection.execute("analyze app.users")


@dataclass(frozen=True)
class Spent:
    """CPU seconds of this process, of its children that ended, and of the database; and the wall's seconds."""

    own: float
    children: float
    database: float
    wall: float

    @property
    def cpu(self) -> float:
        return self.own + self.children + self.database

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            self.own - other.own,
            self.children - other.children,
            self.database - other.database,
            self.wall - other.wall,
        )


def spent(setup: Setup) -> Spent:
    """So far. The database's share needs a server on this machine that this user may look at."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(time.process_time(), ended.ru_utime + ended.ru_stime, _of_database(setup), time.perf_counter())


def _of_database(setup: Setup) -> float:
    """CPU seconds of the server's first process and its children, ended ones included; 0 for a server elsewhere."""
    with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
        pid = connection.info.backend_pid
        first = psutil.Process(pid).parent() if psutil.pid_exists(pid) else None
        if first is None or not first.name().startswith("postgres"):
            return 0.0
        times = [each.cpu_times() for each in (first, *first.children())]
    return sum(each.user + each.system for each in times) + times[0].children_user + times[0].children_system


def event_rows(setup: Setup) -> dict[str, int]:
    """Rows of Dagster's own tables."""
    url = compose_url(parse_url(setup.warehouse.dagster_url()))
    with psycopg.connect(url, autocommit=True) as connection:
        counts = {}
        for table in EVENT_TABLES:
            row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
            counts[table] = int(row[0]) if row else 0
    return counts


def child_environment(setup: Setup, dagster: dict[str, str]) -> dict[str, str]:
    """What a process of Dagster gets."""
    return {**os.environ, **setup.settings.environment(), **dagster}
