"""A whole MYI as a person runs it, for a browser to visit: embedded Postgres, Dagster, API, a simulated Spotify.

One user, ana, has connected Spotify as `listener`; nothing is imported yet. She has a playlist that is being moved.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from psycopg.types.json import Jsonb

from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people import logins, manage_users
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry, PlaylistHead
from myi_pipeline.providers.spotify.open_spotify import open_spotify
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from myi_pipeline.simulator.catalogue import AWKWARD_NAMES
from myi_pipeline.simulator.live import (
    AppSpec,
    MovableClock,
    Simulator,
    SimulatorSpec,
    persona,
    running_simulator,
)
from tests.conftest import end_outside, free_port

USER, LISTENER = "ana", "listener-1"
# The name of an artist, and of titles and albums, in the archive.
HOSTILE = AWKWARD_NAMES[0]
_START_S, _STOP_S = 180.0, 60.0
_YEARS, _PLAYS, _PRETTY_PLAYS = 3, 5_000, 20_000


@dataclass(frozen=True)
class Setup:
    """What runs, where it is, and the folder of this test."""

    settings: Settings
    warehouse: Warehouse
    simulator: Simulator
    folder: Path
    process: subprocess.Popen[bytes]
    is_pretty: bool

    @property
    def url(self) -> str:
        return self.settings.site_origin

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def archive(self) -> Path:
        """Some years of listening up to now; unless it is to be pretty, awkward names are near the top."""
        last = date.today() - timedelta(days=not self.is_pretty)  # noqa: DTZ011 - any day near today will do
        spec = ArchiveSpec(
            seed=4,
            listener=USER,
            first_day=last.replace(year=last.year - _YEARS, month=1, day=1),
            last_day=last,
            plays=_PRETTY_PLAYS if self.is_pretty else _PLAYS,
            awkward_artists_from=1_000 if self.is_pretty else 0,
        )
        path = self.folder / "my_spotify_data.zip"
        write_extended_archive(path, build_listener(spec))
        return path

    def wait_until(self, condition: Callable[[], bool], *, what: str, at_most_s: float = _START_S) -> None:
        deadline = time.monotonic() + at_most_s
        while not condition():
            assert self.process.poll() is None, self.log[-3_000:]
            assert time.monotonic() < deadline, f"{what}\n{self.log[-3_000:]}"
            time.sleep(0.5)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def running_setup(folder: Path, *, is_pretty: bool = False) -> Iterator[Setup]:
    """`myi up` until the block ends. In a pretty one everything has an ordinary name."""
    api_port = free_port()
    redirect = f"http://127.0.0.1:{api_port}/callback"
    listener = persona("albums", LISTENER, plays_per_day=0 if is_pretty else 8)
    spec = SimulatorSpec(apps=(AppSpec(redirect_uris=(redirect,)),), listeners=(listener,))
    with running_simulator(spec, clock=MovableClock(datetime.now(UTC), speed=1.0)) as simulator:
        settings = Settings(
            home=folder / "home",
            api_port=api_port,
            dagster_port=free_port(),
            time_zone="Europe/Berlin",
            spotify_client_id=spec.apps[0].client_id,
            spotify_api_url=simulator.api_url,
            spotify_accounts_url=simulator.accounts_url,
            spotify_images_url=simulator.images_url,
            spotify_redirect_uri=redirect,
            # Every page from one address, several times within a minute.
            api_requests_per_minute=100_000,
            api_sensitive_requests_per_minute=10_000,
        )
        try:
            with open_warehouse(settings) as warehouse:
                _connect(settings, warehouse, simulator)
                with _up(settings, folder / "log") as process:
                    setup = Setup(settings, warehouse, simulator, folder, process, is_pretty)
                    setup.wait_until(setup.answers, what="the pages do not come up")
                    yield setup
        finally:
            end_outside(settings.home)


def _connect(settings: Settings, warehouse: Warehouse, simulator: Simulator) -> None:
    """What `myi user add` and `myi user login` do."""
    with open_spotify(settings, warehouse) as opened, warehouse.connect(Role.INGEST, autocommit=True) as connection:
        manage_users.add_user(connection, user_key=USER, time_zone=settings.new_user_time_zone, display_name="Ana")
        user_id = manage_users.get_user(connection, user_key=USER).user_id
        pending = logins.begin_login(opened, settings, user_id=user_id, user_key=USER)
        redirected = simulator.visit(pending.url, LISTENER)
        logins.finish_login(opened, connection, pending, redirected=redirected, now=utc_now())
        _put_on_the_move(connection, user_id)


# A track that was found, one in doubt between two, one that was not found: each has its form on the page.
_ON_THE_MOVE = """
with account as (
    insert into app.provider_accounts (user_id, provider, provider_account, name, scopes, state, linked_at)
    values (%(user_id)s, 'tidal', 'ana', 'Ana', '{}', 'active', now())
    returning account_id
),

never_gathered as (
    insert into ops.playlist_states (account_id, due_at) select account_id, now() + interval '1 year' from account
),

move as (
    insert into app.migrations (
        user_id, source_playlist_id, source_version_no, source_name, target_account_id, target_name, state, created_at
    )
    select %(user_id)s, %(playlist_id)s, 1, %(name)s, account_id, %(name)s, 'planned', now() from account
    returning migration_id
)

insert into app.migration_items (
    migration_id, position, title, artists, outcome, uri, score, kinship, reason, candidates
)
select
    move.migration_id, item.position, %(name)s, array['Somebody'], item.outcome, item.uri, 0.5, 'unsure', item.reason,
    case when item.outcome = 'missing' then '[]' else %(candidates)s::jsonb end
from move
cross join (
    values
    (0, 'matched', 'tidal:track:1', 'names'),
    (1, 'ambiguous', null, 'rivals'),
    (2, 'missing', null, 'no_candidate')
) as item (position, outcome, uri, reason)
"""


def _put_on_the_move(connection: Connection, user_id: int) -> None:
    """A playlist whose tracks were looked up at another service, and which waits to be reviewed."""
    tracks = [ListedTrack(uri=f"file:///{number}", title=HOSTILE, artists=("Somebody",)) for number in range(3)]
    kept = store_playlist(
        connection, user_id=user_id, account_id=None, provider="file",
        head=PlaylistHead(playlist_id="one.m3u8", name=HOSTILE), now=utc_now(),
        entries=[PlaylistEntry(track=each) for each in tracks],
    )  # fmt: skip
    candidates = [
        {"uri": f"tidal:track:{number}", "title": f"{HOSTILE} (Live)", "artists": ["Somebody"], "album": "Album",
         "duration_ms": 200_000, "score": 0.5, "kinship": "unsure", "reason": "lengths_differ"}
        for number in (1, 2)
    ]  # fmt: skip
    values = {"user_id": user_id, "playlist_id": kept.playlist_id, "name": HOSTILE, "candidates": Jsonb(candidates)}
    connection.execute(_ON_THE_MOVE.encode(), values)


@contextmanager
def _up(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    command = [sys.executable, "-c", "from myi_pipeline.cli import main; main(['up'])"]
    with log.open("wb") as opened:
        process = subprocess.Popen(
            command, env=inherited | settings.environment(), stdout=opened, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        # Twice asks for haste: how it stops is tested elsewhere.
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for each in below:
            with suppress(psutil.NoSuchProcess):
                each.kill()
