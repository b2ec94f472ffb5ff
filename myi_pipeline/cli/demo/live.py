"""The demo's live part: people who sign in to a simulated Spotify, are polled on its clock, and hand in their archives.

Belongs here: these people, their logins, the hours in which they are polled. Not here: the demo's other steps, polling.
Invariant: nothing of it outlives the demo but plays: the logins, which only the simulator knows, are deleted whatever
happens, so that no later poll shows them to Spotify.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from myi_pipeline.cli.dagster_jobs import DagsterJobs
from myi_pipeline.cli.session import Session
from myi_pipeline.core.errors import Permanent

if TYPE_CHECKING:
    from myi_pipeline.simulator import ArchiveTruth
    from myi_pipeline.simulator.live import ListenerSpec, Simulator, SimulatorSpec
    from myi_pipeline.warehouse.connections import Warehouse

DISPLAY_NAME = "Made-up live listener of myi demo"
TIME_ZONE = "Europe/Berlin"
# In every code and token that this Spotify gives out: nothing that the demo leaves behind may hold it.
SIGN_OF_A_LOGIN = "made-up-login"
_FIRST_DAY = date(2025, 2, 24)
BEGIN = datetime(2025, 3, 3, 8, 30, tzinfo=UTC)
# Hours after BEGIN at which polls run: all of a day but nine hours, in which this machine is as if it were off.
POLLED_AT = (*range(6), *range(15, 24))
# The archives are younger than the last poll, and reach over all of it.
ARCHIVED_AFTER = timedelta(days=2)
_SETTLED_S = 3600
# Of 2,800 made-up names about one is in a catalogue of so few artists by chance.
_ARTISTS, _SEEDS_TRIED = 20, 500


@dataclass(frozen=True)
class LiveDemo:
    """What live_spotify yields. `session` leads to the simulator; use it for whatever asks Spotify."""

    session: Session
    simulator: Simulator
    user_keys: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.user_keys[0]

    @property
    def last(self) -> str:
        return self.user_keys[-1]


def listeners() -> tuple[ListenerSpec, ...]:
    """An ordinary listener, one who fills the window while nothing is polled, and one whose clock says start."""
    from myi_pipeline.simulator.live import persona

    habits: dict[str, Any] = {"first_day": _FIRST_DAY, "silent_days": 0.0}
    return (
        persona("albums", "demo-albums", plays_per_day=80, **habits),
        persona("skipper", "demo-skipper", plays_per_day=600, **habits),
        persona("start_clock", "demo-start-clock", plays_per_day=80, **habits),
    )


def is_dagster_running(session: Session) -> bool:
    """Whether something answers at Dagster's port: its daemon would poll the demo's people at the real Spotify."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", session.settings.dagster_port)) == 0


@contextmanager
def live_spotify(
    session: Session, opened: Warehouse, *, seed: int, unlike: frozenset[tuple[str, str]]
) -> Iterator[LiveDemo]:
    """A simulated Spotify whose tracks have other names than `unlike`, and users for its listeners.

    Their logins go at the end.
    """
    from myi_pipeline.simulator.live import AppSpec, MovableClock, running_simulator

    people = listeners()
    app = AppSpec(redirect_uris=(session.settings.spotify_redirect_uri,))
    spec = _catalogue(seed, unlike).model_copy(update={"apps": (app,), "listeners": people})
    with running_simulator(spec, clock=MovableClock(BEGIN)) as simulator:
        settings = session.settings.model_copy(
            update={
                "spotify_api_url": simulator.api_url,
                "spotify_accounts_url": simulator.accounts_url,
                "spotify_images_url": simulator.images_url,
                "spotify_client_id": app.client_id,
                "spotify_client_secret": None,
            }
        )
        keys = tuple(person.key for person in people)
        _make_users(opened, keys)
        try:
            yield LiveDemo(replace(session, settings=settings), simulator, keys)
        finally:
            _disconnect(opened, keys)


def sign_in(live: LiveDemo, opened: Warehouse) -> None:
    """Each person's whole way: address, agreement in their browser, code, sealed login."""
    from myi_pipeline.services import login_user, manage_users
    from myi_pipeline.services.open_spotify import open_spotify
    from myi_pipeline.warehouse.connections import Role

    settings, clock = live.session.settings, live.simulator.control.now
    with (
        open_spotify(settings, opened, clock=clock) as spotify,
        opened.connect(Role.INGEST, autocommit=True) as connection,
    ):
        for key in live.user_keys:
            user = manage_users.get_user(connection, user_key=key)
            pending = login_user.begin_login(spotify, settings, user_id=user.user_id, user_key=key)
            redirected = live.simulator.visit(pending.url, key)
            login_user.finish_login(spotify, connection, pending, redirected=redirected, now=clock())


def poll(live: LiveDemo, jobs: DagsterJobs) -> None:
    """Through Dagster, at each of the hours of POLLED_AT."""
    for hour in POLLED_AT:
        now = live.simulator.control.set_clock(BEGIN + timedelta(hours=hour))
        jobs.run("poll_users", first=live.first, last=live.last, now=now)


def put_archives(live: LiveDemo) -> dict[str, ArchiveTruth]:
    """What Spotify would send each of them two days after BEGIN, in their folders of uploads."""
    made = {}
    for key in live.user_keys:
        path = live.session.settings.uploads_folder / key / "my_spotify_data.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        made[key] = live.simulator.control.archive(key, beside, until=BEGIN + ARCHIVED_AFTER)
        settled = time.time() - _SETTLED_S
        os.utime(beside, (settled, settled))
        beside.replace(path)
    return made


def _catalogue(seed: int, unlike: frozenset[tuple[str, str]]) -> SimulatorSpec:
    """The first seed from here whose tracks bear no name of those: one name with two ids would be two tracks.

    Nor are any tracks moved to other ids, which the catalogue makes one, but takes days of its budget for.
    """
    from myi_pipeline.simulator.live import SimulatorSpec, world_of

    specs = (
        SimulatorSpec(seed=each, artists=_ARTISTS, relinked_tracks=0.0, canary=SIGN_OF_A_LOGIN)
        for each in range(seed, seed + _SEEDS_TRIED)
    )
    return next(spec for spec in specs if not world_of(spec).shelf.names() & unlike)


def _make_users(opened: Warehouse, keys: tuple[str, ...]) -> None:
    """New ones, next to each other in the order of partitions. Those of an earlier demo go, with their plays."""
    from myi_pipeline.services import manage_users
    from myi_pipeline.warehouse.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        there = [user for key in keys for user in manage_users.list_users(connection, user_key=key)]
        for user in there:
            if user.display_name != DISPLAY_NAME:
                raise Permanent(
                    f"there is a user {user.user_key!r} that the demo did not make: it stays, and the demo stops"
                )
        for user in there:
            manage_users.remove_user(connection, user_key=user.user_key)
        for key in keys:
            manage_users.add_user(connection, user_key=key, time_zone=TIME_ZONE, display_name=DISPLAY_NAME)


def _disconnect(opened: Warehouse, keys: tuple[str, ...]) -> None:
    from myi_pipeline.services import manage_logins
    from myi_pipeline.warehouse.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        for key in keys:
            manage_logins.disconnect_user(connection, user_key=key)
