"""Accounts at TIDAL, YouTube Music and Deezer: linked by a person, then gathered like Spotify's."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest

from myi_pipeline.cli.app import main
from myi_pipeline.errors import BadInput
from myi_pipeline.people import manage_users
from myi_pipeline.people.account_links import MadeLink, begin_link, finish_link, link_deezer
from myi_pipeline.playlists.gather_users import gather_users
from myi_pipeline.playlists.gathering import GatherResult
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.open_playlist_services import PlaylistServices
from myi_pipeline.providers.pkce import LoginDenied
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import MovableClock
from tests.integration.providers.conftest import AtDeezer, AtTidal, AtYouTube, Slept, at_deezer, at_tidal, at_youtube

__all__ = ["at_deezer", "at_tidal", "at_youtube"]

REDIRECT = "http://127.0.0.1:8897/linked"


def add_ana(warehouse: Warehouse) -> int:
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        return manage_users.add_user(connection, user_key="ana", time_zone="UTC").user_id


def link(
    at: AtTidal | AtYouTube,
    warehouse: Warehouse,
    services: PlaylistServices,
    *,
    user_id: int,
    denied: Sequence[str] = (),
) -> MadeLink:
    provider = Provider.TIDAL if isinstance(at, AtTidal) else Provider.YOUTUBE_MUSIC
    pending = begin_link(services, provider=provider, redirect_uri=REDIRECT)
    if isinstance(at, AtTidal):
        redirected = at.tidal.visit(pending.url, at.ana, denied=denied)
    else:
        redirected = at.youtube.visit(pending.url, "ana", denied=denied)
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        return finish_link(
            services, connection, pending, user_id=user_id, redirected=redirected, now=at.clock.now()
        )  # fmt: skip


def gather(settings: Settings, warehouse: Warehouse, clock: MovableClock, sleep: Slept) -> GatherResult:
    (result,) = gather_users(settings, warehouse, force=True, clock=clock, sleep=sleep)
    return result


def kept(warehouse: Warehouse) -> dict[str, list[str | None]]:
    """The URIs of each list's last version, by its name."""
    query = """
        select v.name, coalesce(c.uri, i.original ->> 'uri')
        from raw.playlist_versions as v
        left join raw.playlist_items as i on i.playlist_id = v.playlist_id and i.items_key = v.items_key
        left join raw.contents as c on c.content_id = i.content_id
        where v.version_no = (select max(version_no) from raw.playlist_versions where playlist_id = v.playlist_id)
        order by v.name, i.position
    """
    found: dict[str, list[str | None]] = {}
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for name, uri in connection.execute(query).fetchall():
            found.setdefault(name, []).append(uri)
    return found


@pytest.fixture(autouse=True)
def registered(request: pytest.FixtureRequest) -> None:
    """The apps know where the browser is sent back to."""
    for name in ("at_tidal", "at_youtube"):
        if name in request.fixturenames:
            at = request.getfixturevalue(name)
            (at.tidal if name == "at_tidal" else at.youtube).sign_in.redirect_uris = (REDIRECT,)


def test_a_tidal_account_is_linked_and_gathered_and_only_what_changed_is_read_again(
    at_tidal: AtTidal, warehouse: Warehouse
) -> None:
    world = at_tidal.tidal.world
    tracks = at_tidal.add_tracks(5)
    made = world.make_playlist(at_tidal.ana, "Morning", tracks=[*tracks, "2"])
    world.make_playlist(at_tidal.ana, "Evening", tracks=["1"])
    world.remove_track("4")
    world.like(at_tidal.ana, "3")
    user_id = add_ana(warehouse)
    found = link(at_tidal, warehouse, at_tidal.services, user_id=user_id, denied=["collection.write"])
    assert (found.name, [scope.name for scope in found.denied]) == ("ana", ["collection.write"])

    first = gather(at_tidal.settings, warehouse, at_tidal.clock, at_tidal.sleep)
    assert (first.outcome, first.lists_read, first.new_versions) == ("gathered", 3, 3)
    assert kept(warehouse) == {
        "Morning": [f"tidal:track:{each}" for each in [*tracks, "2"]],
        "Evening": ["tidal:track:1"],
        "Liked tracks": ["tidal:track:3"],
    }

    # Two hours later the access token has run out, and one list has changed.
    at_tidal.clock.advance(7_200)
    del made.entries[0]
    world.touch(made)
    second = gather(at_tidal.settings, warehouse, at_tidal.clock, at_tidal.sleep)
    assert (second.outcome, second.lists_read, second.unchanged, second.new_versions) == ("gathered", 1, 2, 1)

    at_tidal.tidal.sign_in.revoke("ana")
    at_tidal.clock.advance(7_200)
    assert gather(at_tidal.settings, warehouse, at_tidal.clock, at_tidal.sleep).outcome == "failed"
    assert len(kept(warehouse)) == 3, "what was read stays"


def test_a_youtube_account_is_linked_and_gathered(at_youtube: AtYouTube, warehouse: Warehouse) -> None:
    at_youtube.world.make_playlist("ana", "Morning", at_youtube.add_videos(3))
    found = link(at_youtube, warehouse, at_youtube.services, user_id=add_ana(warehouse))
    assert "7 days" in found.note
    first = gather(at_youtube.settings, warehouse, at_youtube.clock, at_youtube.sleep)
    assert (first.outcome, first.lists_read) == ("gathered", 2)
    assert kept(warehouse)["Morning"] == ["youtube:video:v1", "youtube:video:v2", "youtube:video:v3"]
    again = gather(at_youtube.settings, warehouse, at_youtube.clock, at_youtube.sleep)
    assert (again.lists_read, again.new_versions) == (2, 0)


def test_a_deezer_account_is_linked_by_its_number(at_deezer: AtDeezer, warehouse: Warehouse) -> None:
    at_deezer.world.make_playlist("42", "Morning", at_deezer.add_tracks(3))
    user_id = add_ana(warehouse)
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for number in ("43", "me"):
            with pytest.raises(BadInput):
                link_deezer(at_deezer.services, connection, user_id=user_id, number=number, now=at_deezer.clock.now())
        link_deezer(at_deezer.services, connection, user_id=user_id, number="42", now=at_deezer.clock.now())
    assert gather(at_deezer.settings, warehouse, at_deezer.clock, at_deezer.sleep).outcome == "gathered"
    assert kept(warehouse) == {"Morning": ["deezer:track:1", "deezer:track:2", "deezer:track:3"]}


def test_nothing_is_linked_when_a_person_says_no(at_tidal: AtTidal, warehouse: Warehouse) -> None:
    user_id = add_ana(warehouse)
    pending = begin_link(at_tidal.services, provider=Provider.TIDAL, redirect_uri=REDIRECT)
    back = at_tidal.tidal.visit(pending.url, at_tidal.ana, cancel=True)
    with warehouse.connect(Role.INGEST, autocommit=True) as connection:
        with pytest.raises(LoginDenied):
            finish_link(
                at_tidal.services, connection, pending, user_id=user_id, redirected=back, now=at_tidal.clock.now()
            )  # fmt: skip
        assert connection.execute("select count(*) from app.provider_accounts").fetchone() == (0,)


def test_the_command_links_an_account_from_a_pasted_address(
    at_tidal: AtTidal,
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment_for_tests: dict[str, str],
) -> None:
    add_ana(warehouse)
    settings = at_tidal.settings
    more = {
        "MYI_TIDAL_CLIENT_ID": settings.tidal_client_id or "",
        "MYI_TIDAL_API_URL": settings.tidal_api_url,
        "MYI_TIDAL_LOGIN_URL": settings.tidal_login_url,
        "MYI_TIDAL_AUTH_URL": settings.tidal_auth_url,
    }
    for name, value in (environment_for_tests | more).items():
        monkeypatch.setenv(name, value)

    class Person(io.StringIO):
        """Opens the address that the command printed, and pastes where it was sent."""

        def readline(self, *_: Any) -> str:
            printed = capsys.readouterr().err
            url = next(line for line in printed.splitlines() if line.startswith(at_tidal.tidal.login_url))
            return at_tidal.tidal.visit(url, at_tidal.ana) + "\n"

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    monkeypatch.setattr("sys.stdin", Person())
    assert run("providers", "link", "ana", "tidal", "--no-browser") == (0, "ana's TIDAL account ana is linked.\n")
    assert "playlists are read" in run("providers", "list")[1]
    assert run("providers", "link", "ana", "deezer")[0] == 2
    assert run("providers", "link", "ana", "napster")[0] == 2
    code, said = run("providers", "link", "ana", "youtube_music", "--no-browser")
    assert (code, "MYI_YOUTUBE_CLIENT_ID" in said) == (1, True)
