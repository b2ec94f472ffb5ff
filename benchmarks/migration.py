"""A playlist moved from Spotify to TIDAL: calls beside the least that batch sizes allow, memory, and time.

    python -m benchmarks.migration [--entries 10000]

Three commands, each a process of its own as a person runs them: gather, plan, apply; both services are simulated, on
loopback. The least: pages of 50 at Spotify; at TIDAL 20 codes, 50 additions and a page of 20 a request, and one for the
new playlist. Memory is the largest resident set of the command, sampled twenty times a second: what the operating
system accounts at its end begins with that of the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from benchmarks.setups import Setup, arguments, open_setup, print_machine, print_table
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers import accounts, login_owners
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.login_terms import scopes_to_ask
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant
from myi_pipeline.simulator.live import (
    MovableClock,
    ScriptedEntry,
    ScriptedPlaylist,
    Simulator,
    SimulatorSpec,
    mixed_listeners,
    running_simulator,
)
from myi_pipeline.simulator.live.spec import AppSpec
from myi_pipeline.simulator.live.world import world_of
from myi_pipeline.simulator.tidal import SimulatedTidal, TidalTrack, running_tidal

MB = 1_000_000
LISTENER = "listener-1"
CODES, ADDED, PAGE, SPOTIFY_PAGE = 20, 50, 20, 50


@contextmanager
def both_services(setup: Setup) -> Iterator[tuple[Simulator, SimulatedTidal, dict[str, str]]]:
    """The services, and the environment that leads commands to them. Ana has a login at both."""
    app = AppSpec(per_30_s=None, per_day={})
    spec = SimulatorSpec(artists=900, apps=(app,), listeners=mixed_listeners(1))
    with (
        running_simulator(spec, clock=MovableClock(datetime.now(UTC), speed=1.0), own_process=True) as spotify,
        running_tidal(clock=lambda: datetime.now(UTC)) as tidal,
    ):
        world = world_of(spec)
        for track in world.tracks.values():
            thing = world.thing(track.thing)
            tidal.world.add_tracks(
                TidalTrack(
                    track_id=str(track.thing + 1), title=thing.title_in("new") or "-",
                    artists=(thing.artist or "Somebody",), album=world.albums[track.album].name, isrc=track.isrc,
                    seconds=thing.duration_ms // 1_000,
                )
            )  # fmt: skip
        tidal.world.account("ana")
        sign_in(setup, spotify, tidal)
        environment = {
            "MYI_SPOTIFY_CLIENT_ID": app.client_id, "MYI_SPOTIFY_API_URL": spotify.api_url,
            "MYI_SPOTIFY_ACCOUNTS_URL": spotify.accounts_url, "MYI_SPOTIFY_REQUESTS_PER_MINUTE": "100000",
            "MYI_TIDAL_CLIENT_ID": tidal.sign_in.client_id, "MYI_TIDAL_CLIENT_SECRET": tidal.sign_in.secret,
            "MYI_TIDAL_API_URL": tidal.api_url, "MYI_TIDAL_LOGIN_URL": tidal.login_url,
            "MYI_TIDAL_AUTH_URL": tidal.auth_url, "MYI_TIDAL_REQUESTS_PER_MINUTE": "100000",
        }  # fmt: skip
        yield spotify, tidal, environment


def sign_in(setup: Setup, spotify: Simulator, tidal: SimulatedTidal) -> None:
    user_id, now = setup.add_user("ana"), datetime.now(UTC)
    ring = require_keys(setup.settings, setup.warehouse)
    scopes = [scope.name for scope in scopes_to_ask(with_playlists=True)]
    (login,) = spotify.control.sign_in_all([LISTENER], scopes=scopes)
    access, refresh = tidal.sign_in.token_for("ana")
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        login_owners.store_login(
            connection, ring, user_id=user_id, client_id=login.client_id, account_key=f"account:{LISTENER}",
            other_key=None, refresh_token=login.refresh_token, scopes=login.scope.split(), now=now,
        )  # fmt: skip
        accounts.link_account(
            connection, ring, user_id=user_id, provider=Provider.TIDAL, provider_account="ana", name="Ana",
            client_id=tidal.sign_in.client_id,
            grant=TokenGrant(AccessToken(access, now + timedelta(hours=1)), refresh, frozenset()), now=now,
        )  # fmt: skip


def command(environment: dict[str, str], *arguments: str) -> tuple[float, float]:
    """Seconds and MB of a command."""
    started = time.perf_counter()
    program = str(Path(sys.executable).with_name("myi"))
    child = subprocess.Popen(
        [program, *arguments, "--json"], env=os.environ | environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    process, most = psutil.Process(child.pid), 0
    while child.poll() is None:
        with contextlib.suppress(psutil.Error):
            most = max(most, process.memory_info().rss)
        time.sleep(0.05)
    assert child.stderr is not None
    if child.returncode:
        raise SystemExit(child.stderr.read().decode()[-2_000:])
    return time.perf_counter() - started, most / MB


def main() -> None:
    given = arguments(__doc__, entries=10_000)
    print_machine()
    rows = [measured(given.database_url, entries) for entries in (given.entries // 10, given.entries)]
    print_table(
        "a playlist from Spotify to TIDAL (calls at most 1.1 times the least, memory flat)",
        ("entries", "matched", "calls", "least", "ratio", "gather s", "plan s", "apply s", "plan MB", "apply MB"),
        rows,
    )


def measured(database_url: str | None, entries: int) -> Sequence[object]:
    with open_setup(database_url) as setup, both_services(setup) as (spotify, tidal, environment):
        world = spotify.control.world
        there = [index for index in sorted(world.listable) if not world.tracks[index].is_gone]
        numbers = [there[number % len(there)] for number in range(entries)]
        spotify.control.put_playlist(
            ScriptedPlaylist(
                id="long", owner=LISTENER, name="Long",
                entries=tuple(ScriptedEntry(track=each, added_by=LISTENER) for each in numbers),
            )
        )  # fmt: skip
        spotify.control.forget_calls()
        gather_s, _ = command(environment, "playlists", "gather", "--user", "ana")
        ((playlist,),) = setup.execute("select playlist_id from raw.playlists where provider_playlist = 'long'")
        plan_s, plan_mb = command(environment, "migrate-playlist", "plan", "ana", str(playlist))
        apply_s, apply_mb = command(environment, "migrate-playlist", "apply", "ana", "1")
        (moved,) = tidal.world.playlists.values()
        wanted = [row[0] for row in setup.execute(
            "select uri from app.migration_items where uri is not null order by position"
        )]  # fmt: skip
        assert [f"tidal:track:{each}" for each in moved.track_ids] == wanted
        calls = len(tidal.world.calls) + sum(
            count for (_, _, route, _), count in spotify.control.call_counts().items() if "playlists" in route
        )
        codes = len({world.tracks[each].isrc for each in numbers})
        least = -(-entries // SPOTIFY_PAGE) - (-codes // CODES) - (-len(wanted) // ADDED) + 1 - (-len(wanted) // PAGE)
        return (
            f"{entries:,}", f"{len(wanted):,}", f"{calls:,}", f"{least:,}", calls / least, gather_s, plan_s, apply_s,
            plan_mb, apply_mb,
        )  # fmt: skip


if __name__ == "__main__":
    main()
