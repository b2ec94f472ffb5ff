"""The demo's playlists: gathered from the simulated Spotify, one of them moved to a simulated TIDAL and into files.

One song is left in doubt at TIDAL until somebody decides. The login there is deleted whatever happens.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from myi_pipeline.cli.demo.live import OTHER_ACCOUNT, SIGN_OF_A_LOGIN, LiveDemo
from myi_pipeline.cli.demo.songs import LISTS, MOVED, OF_OTHER_ACCOUNT, ids_at_tidal, offered_by_tidal, put_lists, songs
from myi_pipeline.cli.output import counted, number, table
from myi_pipeline.errors import Permanent

if TYPE_CHECKING:
    from myi_pipeline.postgres.connections import Connection, Warehouse
    from myi_pipeline.settings import Settings
    from myi_pipeline.simulator.tidal import SimulatedTidal

FOLDER, FORMATS = "demo-playlists", ("m3u8", "xspf", "exportify")
_TIDAL_ACCOUNT = "made-up-listener"


@dataclass(frozen=True)
class Found:
    """A playlist in one place. `right`: so many of its entries stand where the simulator's truth has them."""

    playlist: str
    place: str
    entries: int
    right: int
    truth: int

    @property
    def is_equal(self) -> bool:
        return self.entries == self.right == self.truth


@dataclass(frozen=True)
class PlaylistsShown:
    """`in_doubt`: the titles about which TIDAL's catalogue left a doubt, with the number of candidates of each."""

    found: tuple[Found, ...]
    state: str
    matched: int
    in_doubt: tuple[tuple[str, int], ...]
    requests: int
    files: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Every list is what it must be in every place, and somebody was asked about one song and no other."""
        return self.state == "done" and len(self.in_doubt) == 1 and all(each.is_equal for each in self.found)


def move_playlists(live: LiveDemo, opened: Warehouse) -> PlaylistsShown:
    """Gather, link, plan, decide, apply, write files; and hold what is found everywhere against the simulators."""
    from myi_pipeline.people.manage_users import get_user
    from myi_pipeline.playlists.gather_users import gather_users
    from myi_pipeline.playlists.kept import list_entries, list_playlists
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.providers.accounts import list_accounts

    key, control = live.first, live.simulator.control
    chosen = songs(control.world)
    put_lists(live, chosen)
    for each in gather_users(
        live.session.settings, opened, user_keys=[key], force=True, clock=live.clock, sleep=_sleeping(live)
    ):
        if each.outcome != "gathered":
            raise Permanent(f"the playlists of {key} were not gathered: {each.reason}")
    truth = {name: control.playlist_uris(key, playlist) for name, playlist in LISTS.items()}
    others_list, its_id = OF_OTHER_ACCOUNT
    with opened.connect(Role.INGEST, autocommit=True) as connection:
        user_id = get_user(connection, user_key=key).user_id
        # Each of the two accounts has liked songs.
        main = {each.account_id for each in list_accounts(connection, user_id=user_id) if each.is_main}
        listed = list_playlists(connection, user_id=user_id)
        kept = {each.name: each.playlist_id for each in listed if each.account_id in main}
        kept_there = {each.name: each.playlist_id for each in listed if each.account_id not in main}
        found = []
        for name, uris in truth.items():
            entries = list_entries(connection, user_id=user_id, playlist_id=kept[name])
            found.append(_compare(name, "gathered from Spotify", [each.uri for each in entries], uris))
        entries = list_entries(connection, user_id=user_id, playlist_id=kept_there[others_list])
        found.append(
            _compare(
                others_list, "gathered from the other Spotify account", [each.uri for each in entries],
                control.playlist_uris(OTHER_ACCOUNT, its_id),
            )
        )  # fmt: skip
        with _simulated_tidal(live) as (tidal, settings):
            tidal.world.add_tracks(*offered_by_tidal(control.world, chosen))
            moved = _move(
                live, tidal, settings, opened, connection, user_id=user_id, playlist_id=kept[MOVED],
                truth=ids_at_tidal(MOVED, chosen),
            )  # fmt: skip
        files = _write_files(live, connection, user_id=user_id, playlist_id=kept[MOVED], truth=truth[MOVED])
    return replace(moved, found=(*found, *moved.found, *files.values()), files=tuple(files))


def _sleeping(live: LiveDemo) -> Callable[[float], None]:
    """Whoever has to wait moves the clock."""

    def sleep(seconds: float) -> None:
        live.clock.advance(seconds)

    return sleep


@contextmanager
def _simulated_tidal(live: LiveDemo) -> Iterator[tuple[SimulatedTidal, Settings]]:
    """A TIDAL on the clock of the simulated Spotify, and settings that lead there."""
    from myi_pipeline.simulator.tidal import running_tidal

    with running_tidal(clock=live.clock) as tidal:
        tidal.sign_in.canary = SIGN_OF_A_LOGIN
        tidal.sign_in.redirect_uris = (live.session.settings.providers_redirect_uri,)
        places = {
            "tidal_api_url": tidal.api_url,
            "tidal_login_url": tidal.login_url,
            "tidal_auth_url": tidal.auth_url,
            "tidal_client_id": tidal.sign_in.client_id,
            "tidal_client_secret": None,
        }
        yield tidal, live.session.settings.model_copy(update=places)


def _move(
    live: LiveDemo,
    tidal: SimulatedTidal,
    settings: Settings,
    opened: Warehouse,
    connection: Connection,
    *,
    user_id: int,
    playlist_id: int,
    truth: Sequence[str],
) -> PlaylistsShown:
    """The way to TIDAL, and what is there then; `truth`: ids of its tracks. What is in doubt becomes its best
    candidate.
    """
    from myi_pipeline.people.account_links import begin_link, finish_link
    from myi_pipeline.playlists.migration import deciding, item_rows, journal, moving, store
    from myi_pipeline.playlists.migration.targets import account_for, open_target
    from myi_pipeline.providers.accounts import Provider, unlink_account
    from myi_pipeline.providers.open_playlist_services import open_playlist_services

    clock, sleep = live.clock, _sleeping(live)
    listener = tidal.world.account(_TIDAL_ACCOUNT)
    with open_playlist_services(settings, opened, clock=clock, sleep=sleep) as services:
        pending = begin_link(services, provider=Provider.TIDAL, redirect_uri=settings.providers_redirect_uri)
        redirected = tidal.visit(pending.url, listener)
        linked = finish_link(services, connection, pending, user_id=user_id, redirected=redirected, now=clock())
    try:
        account = account_for(connection, user_id=user_id, account_id=linked.account_id)
        with open_target(settings, opened, account, clock=clock, sleep=sleep) as target:
            made = moving.plan(
                connection, target, user_id=user_id, playlist_id=playlist_id, into=None, is_equal=False, name=None,
                clock=clock, sleep=sleep,
            ).migration_id  # fmt: skip
            migration = store.get_migration(connection, user_id=user_id, migration_id=made)
            planned = item_rows.list_matches(connection, migration_id=made)
            doubts = [each for each in planned if each.outcome == "ambiguous"]
            for each in doubts:
                deciding.decide(
                    connection, migration=migration, position=each.position, kind="is",
                    uri=str(each.candidates[0]["uri"]), now=clock(),
                )  # fmt: skip
            moving.run(connection, target, migration, clock=clock, sleep=sleep)
        migration = store.get_migration(connection, user_id=user_id, migration_id=made)
        there = tidal.world.playlists[migration.target_playlist or ""].track_ids
        return PlaylistsShown(
            found=(_compare(migration.target_name, "moved to TIDAL", there, truth),),
            state=migration.state,
            matched=sum(each.outcome == "matched" for each in planned),
            in_doubt=tuple((each.title, len(each.candidates)) for each in doubts),
            requests=journal.requests_of(connection, migration_id=made),
            files=(),
        )
    finally:
        unlink_account(connection, user_id=user_id, account_id=linked.account_id, now=clock())


def _write_files(
    live: LiveDemo, connection: Connection, *, user_id: int, playlist_id: int, truth: Sequence[str | None]
) -> dict[str, Found]:
    """Their paths, and what is found when they are read again. Those of an earlier demo are replaced."""
    from myi_pipeline.playlists.file_lists import kept_as_file
    from myi_pipeline.playlists.files import FORMATS as KNOWN
    from myi_pipeline.playlists.files import read_file, write_playlists

    folder = live.session.settings.home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    playlist = kept_as_file(connection, user_id=user_id, playlist_id=playlist_id)
    found = {}
    for each in FORMATS:
        made = io.BytesIO()
        write_playlists([playlist], made, format_key=each)
        path = folder / f"{MOVED}{KNOWN[each].suffixes[0]}"
        path.write_bytes(made.getvalue())
        uris = [entry.track.uri for reading in read_file(path) for one in reading.playlists for entry in one.entries]
        found[str(path)] = _compare(MOVED, f"file: {KNOWN[each].label}", uris, truth)
    return found


def _compare(name: str, place: str, entries: Sequence[str | None], truth: Sequence[str | None]) -> Found:
    right = sum(one == other for one, other in zip(entries, truth, strict=False))
    return Found(name, place, len(entries), right, len(truth))


def playlists_document(shown: PlaylistsShown | None) -> dict[str, Any] | None:
    if shown is None:
        return None
    found = [{**asdict(each), "is_equal": each.is_equal} for each in shown.found]
    in_doubt = [{"title": title, "candidates": candidates} for title, candidates in shown.in_doubt]
    return {**asdict(shown), "found": found, "in_doubt": in_doubt, "is_good": shown.is_good}


def render_playlists(console: Console, shown: PlaylistsShown) -> None:
    rows = [
        (
            each.playlist, each.place, number(each.entries), number(each.right), number(each.truth),
            "yes" if each.is_equal else "NO",
        )
        for each in shown.found
    ]  # fmt: skip
    columns = ("playlist", "place", ">entries", ">right", ">truth", "equal")
    console.print(table("Playlists gathered, moved to a simulated TIDAL, and written to files", columns, rows))
    doubts = ", ".join(f"{title} ({counted(candidates, 'candidate')})" for title, candidates in shown.in_doubt)
    console.print(
        f"TIDAL has {number(shown.matched)} of the entries for certain. In doubt, and decided: {doubts or 'none'}.",
        soft_wrap=True,
    )
    for path in shown.files:
        console.print(path, soft_wrap=True)
