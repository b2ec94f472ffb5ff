"""The demo's step about playlists, without the rest of the demo: what it shows is what the simulators hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from myi_pipeline.cli.demo.live import SIGN_OF_A_LOGIN, LiveDemo, live_spotify, sign_in
from myi_pipeline.cli.demo.playlists import FOLDER, move_playlists, playlists_document
from myi_pipeline.cli.output import Output
from myi_pipeline.cli.session import Session
from myi_pipeline.playlists.files import read_file
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.tidal import TidalPlaylist
from tests.searching import files_with, tables_with


@pytest.fixture
def live(settings_for_tests: Settings, warehouse: Warehouse) -> Iterator[LiveDemo]:
    settings_for_tests.home.mkdir(exist_ok=True)
    session = Session(settings_for_tests, Output(as_json=True))
    with live_spotify(session, warehouse, seed=3, unlike=frozenset()) as live:
        sign_in(live, warehouse)
        yield live


def test_a_playlist_is_gathered_decided_about_moved_and_written_and_no_login_is_left(
    live: LiveDemo, warehouse: Warehouse, settings_for_tests: Settings
) -> None:
    shown = move_playlists(live, warehouse)
    assert shown.is_good, shown
    assert [each.place for each in shown.found] == [
        *["gathered from Spotify"] * 3, "gathered from the other Spotify account", "moved to TIDAL",
        "file: M3U8", "file: XSPF", "file: Exportify's CSV",
    ]  # fmt: skip
    moved = shown.found[4]
    assert (len(shown.in_doubt), moved.entries) == (1, shown.matched + 1)
    assert shown.in_doubt[0][1] > 1, "there is something to choose from"
    assert shown.requests == 2, "the list is made, and filled at once"
    assert [Path(each).suffix for each in shown.files] == [".m3u8", ".xspf", ".csv"]
    for path in shown.files:
        assert Path(path).parent == settings_for_tests.home / FOLDER
        assert len(read_file(Path(path))[0].playlists[0].entries) == moved.entries
    document = playlists_document(shown)
    assert document is not None
    assert document["is_good"] is True
    assert [each["is_equal"] for each in document["found"]] == [True] * len(shown.found)

    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        assert connection.execute("select count(*) from app.account_credentials").fetchone() == (0,)
        assert connection.execute(
            "select kind, count(*) from app.match_decisions group by kind"
        ).fetchall() == [("is", 1)]  # fmt: skip
    assert tables_with("Songs for the night train", warehouse.url(Role.OWNER))
    assert tables_with(SIGN_OF_A_LOGIN, warehouse.url(Role.OWNER)) == []
    assert files_with(SIGN_OF_A_LOGIN, settings_for_tests.home) == []


@pytest.mark.slow
def test_it_can_be_done_again_where_it_was_done(settings_for_tests: Settings, warehouse: Warehouse) -> None:
    settings_for_tests.home.mkdir(exist_ok=True)
    session = Session(settings_for_tests, Output(as_json=True))
    shown = []
    for _ in range(2):
        with live_spotify(session, warehouse, seed=1, unlike=frozenset()) as live:
            sign_in(live, warehouse)
            shown.append(move_playlists(live, warehouse))
    assert shown[0].is_good
    assert shown[0].found == shown[1].found
    assert shown[0] == shown[1]


def test_a_tidal_that_holds_something_else_than_it_says_is_no_success(
    live: LiveDemo, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(playlist: TidalPlaylist) -> list[str]:
        held = [each.track_id for each in playlist.entries]
        return [held[1], held[0], *held[2:]]

    monkeypatch.setattr(TidalPlaylist, "track_ids", property(swapped))
    shown = move_playlists(live, warehouse)
    moved = shown.found[4]
    assert not moved.is_equal
    assert (moved.entries, moved.right) == (moved.truth, moved.truth - 2)
    assert not shown.is_good
