"""The demo's live part: people who sign in to a simulated Spotify, are polled on its clock, and upload their archives.

Their logins, which only the simulator knows, are deleted whatever happens, so that no later poll shows them to Spotify.
A play that was polled and is also in an archive counts once.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from myi_pipeline.cli.dagster_processes import DagsterJobs
from myi_pipeline.cli.demo.archives import put_into_uploads
from myi_pipeline.cli.demo.truth import compare_plays
from myi_pipeline.cli.output import number, table
from myi_pipeline.cli.session import Session
from myi_pipeline.errors import Permanent

if TYPE_CHECKING:
    from myi_pipeline.marts.figures import LiveFigures
    from myi_pipeline.postgres.connections import Warehouse
    from myi_pipeline.simulator import ArchiveTruth
    from myi_pipeline.simulator.live import ListenerSpec, MovableClock, Simulator, SimulatorSpec

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
# By chance about one of 2,800 made-up names is in a catalogue of so few artists.
_ARTISTS, _SEEDS_TRIED = 20, 500


@dataclass(frozen=True)
class LiveDemo:
    """What live_spotify yields. `session` leads to the simulator; use it for whatever asks Spotify. `clock` is the
    simulator's.
    """

    session: Session
    simulator: Simulator
    clock: MovableClock
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


# The first listener's other account: it is not polled, and has a playlist.
OTHER_ACCOUNT = "demo-other-account"


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
    from myi_pipeline.simulator.live import AppSpec, MovableClock, persona, running_simulator

    people = listeners()
    other = persona("albums", OTHER_ACCOUNT, first_day=_FIRST_DAY, silent_days=0.0, plays_per_day=0.0)
    app = AppSpec(redirect_uris=(session.settings.spotify_redirect_uri,))
    spec = _catalogue(seed, unlike).model_copy(update={"apps": (app,), "listeners": (*people, other)})
    clock = MovableClock(BEGIN)
    with running_simulator(spec, clock=clock) as simulator:
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
        _make_users(session, opened, keys)
        try:
            yield LiveDemo(replace(session, settings=settings), simulator, clock, keys)
        finally:
            _disconnect(opened, keys)


def sign_in(live: LiveDemo, opened: Warehouse) -> None:
    """Each person's whole way: address, agreement in their browser, code, sealed login. The first allows playlists, and
    links another account besides.
    """
    from myi_pipeline.people import logins, manage_users
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.login_owners import LoginUse
    from myi_pipeline.providers.spotify.open_spotify import open_spotify

    settings, clock = live.session.settings, live.simulator.control.now
    with (
        open_spotify(settings, opened, clock=clock) as spotify,
        opened.connect(Role.INGEST, autocommit=True) as connection,
    ):
        signing = [(key, key, LoginUse.MAIN) for key in live.user_keys]
        for key, listener, use in (*signing, (live.first, OTHER_ACCOUNT, LoginUse.FURTHER)):
            user = manage_users.get_user(connection, user_key=key)
            pending = logins.begin_login(
                spotify, settings, user_id=user.user_id, user_key=key, with_playlists=key == live.first, use=use
            )
            redirected = live.simulator.visit(pending.url, listener)
            logins.finish_login(spotify, connection, pending, redirected=redirected, now=clock())


def poll(live: LiveDemo, jobs: DagsterJobs) -> None:
    """Through Dagster, at each of the hours of POLLED_AT."""
    for hour in POLLED_AT:
        now = live.simulator.control.set_clock(BEGIN + timedelta(hours=hour))
        jobs.run("poll_users", first=live.first, last=live.last, now=now)


def put_archives(live: LiveDemo) -> dict[str, ArchiveTruth]:
    """What Spotify would send each of them two days after BEGIN, in their folders of uploads."""
    made = {}
    with tempfile.TemporaryDirectory(prefix="myi-demo-") as folder:
        for key in live.user_keys:
            path = Path(folder) / f"{key}.zip"
            made[key] = live.simulator.control.archive(key, path, until=BEGIN + ARCHIVED_AFTER)
            put_into_uploads(live.session.settings, f"{key}/my_spotify_data.zip", path)
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


def _make_users(session: Session, opened: Warehouse, keys: tuple[str, ...]) -> None:
    """New ones, next to each other in the order of partitions. Those of an earlier demo go, with their plays."""
    from myi_pipeline.operations.erase_users import erase_user
    from myi_pipeline.people import manage_users
    from myi_pipeline.postgres.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        there = [user for key in keys for user in manage_users.list_users(connection, user_key=key)]
        for user in there:
            if user.display_name != DISPLAY_NAME:
                raise Permanent(
                    f"there is a user {user.user_key!r} that the demo did not make: it stays, and the demo stops"
                )
        for user in there:
            erase_user(opened, session.settings, user_id=user.user_id, now=datetime.now(UTC), keeps_key=True)
        for key in keys:
            manage_users.add_user(connection, user_key=key, time_zone=TIME_ZONE, display_name=DISPLAY_NAME)


def _disconnect(opened: Warehouse, keys: tuple[str, ...]) -> None:
    from myi_pipeline.people import logins
    from myi_pipeline.people.account_links import unlink
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.accounts import Provider, list_accounts
    from myi_pipeline.providers.transport import utc_now

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        for key in keys:
            logins.disconnect_user(connection, user_key=key)
        further = [each for each in list_accounts(connection) if each.user_key in keys]
        for each in further:
            if each.provider is Provider.SPOTIFY and not each.is_main:
                unlink(connection, user_id=each.user_id, account_id=each.account_id, now=utc_now())


@dataclass(frozen=True)
class LivePerson:
    """One person's marts with polls alone, and with the archive; and what differs from the listener's truth."""

    before: LiveFigures
    after: LiveFigures
    true_plays: int
    differences: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Every polled play is confirmed, every gap closed, every figure right."""
        return not self.differences and not self.after.gaps and not self.after.polled_only


@dataclass(frozen=True)
class LiveShown:
    people: tuple[LivePerson, ...]

    @property
    def is_good(self) -> bool:
        return bool(self.people) and all(person.is_good for person in self.people)


def import_live_archives(live: LiveDemo, opened: Warehouse, jobs: DagsterJobs) -> LiveShown:
    """Look, import each person's archive, refresh, look again."""
    from myi_pipeline.marts.figures import listening_figures, live_figures
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.simulator import expected_marts

    with opened.connect(Role.ANALYST, autocommit=True) as connection:
        before = live_figures(connection, user_keys=live.user_keys)
    truths = put_archives(live)
    jobs.run("import_uploads", first=live.first, last=live.last)
    jobs.run("refresh_marts")
    people = []
    with opened.connect(Role.ANALYST, autocommit=True) as connection:
        after = live_figures(connection, user_keys=live.user_keys)
        for one, other in zip(before, after, strict=True):
            truth = expected_marts([truths[one.user_key]], time_zone=TIME_ZONE)
            compared = compare_plays(listening_figures(connection, user_key=one.user_key), truth)
            wrong = tuple(f"{each.figure}: {each.marts}, not {each.truth}" for each in compared if not each.is_equal)
            people.append(LivePerson(one, other, truth.total_plays, wrong))
    return LiveShown(tuple(people))


def live_document(shown: LiveShown | None) -> dict[str, Any] | None:
    if shown is None:
        return None
    return {
        "is_good": shown.is_good,
        "people": [{**asdict(person), "is_good": person.is_good} for person in shown.people],
    }


def render_live(console: Console, shown: LiveShown) -> None:
    columns = (
        "user",
        ">polled plays",
        ">gaps",
        ">hours in gaps",
        ">plays with archive",
        ">truth",
        ">confirmed",
        ">gaps left",
    )
    rows = [
        (
            person.before.user_key, number(person.before.plays), number(person.before.gaps),
            f"{person.before.gap_hours:.1f}", number(person.after.plays), number(person.true_plays),
            number(person.after.confirmed), number(person.after.gaps),
        )
        for person in shown.people
    ]  # fmt: skip
    console.print(table("Polled from a simulated Spotify, then confirmed by archives", columns, rows))
    for person in shown.people:
        for difference in person.differences:
            console.print(f"{person.before.user_key}: {difference}")
