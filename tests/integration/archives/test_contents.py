"""Names, aliases and unknown contents: what is interned beside the events, and what the change ledger hears of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.integration.archives.setups import (
    Setup,
    account_row,
    nameless,
    row,
    write_account_rows,
    write_rows,
)

TITLES = "select title from raw.contents where uri is not null order by uri"
ALIASES = """
select n.title, u.uri
from raw.content_aliases as a
inner join raw.contents as n on n.content_id = a.content_id
inner join raw.contents as u on u.content_id = a.canonical_id
"""


def titled(title: str | None, second: int, uri: int = 1, **fields: object) -> dict[str, object]:
    fields = {"spotify_track_uri": f"spotify:track:{uri:022d}", **fields}
    return row(second, master_metadata_track_name=title, **fields)


class Desk:
    """Archives of a few rows, handed in one after the other."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup, self._folder, self._numbers = setup, folder, itertools.count()

    def hand_in(self, *rows: dict[str, object], account: bool = False) -> None:
        path = self._folder / f"{next(self._numbers)}.zip"
        (write_account_rows if account else write_rows)(path, *rows)
        self.setup.close_ledger()
        self.setup.bring(path)

    def titles(self) -> list[str | None]:
        return [title for (title,) in self.setup.sql(TITLES)]

    def aliases(self) -> list[tuple[str, str]]:
        return [(title, uri[-1]) for title, uri in self.setup.sql(ALIASES)]


@pytest.fixture
def desk(shared_setup: Setup, tmp_path: Path) -> Desk:
    return Desk(shared_setup, tmp_path)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_names_are_those_of_the_latest_play_whichever_archive_comes_first(
    desk: Desk, order: tuple[int, ...]
) -> None:
    archives = [(titled("Old", 10), titled("Older", 5)), (titled("New", 20),)]
    for number in order:
        desk.hand_in(*archives[number])
    assert desk.titles() == ["New"]
    assert desk.setup.sql("select names_played_at = '2020-02-01 00:00:20Z' from raw.contents") == [(True,)]


def test_at_the_same_moment_the_later_batch_names_it(desk: Desk) -> None:
    desk.hand_in(titled("First spelling", 10))
    desk.hand_in(titled("Second spelling", 10), titled("Second spelling", 5))
    assert desk.titles() == ["Second spelling"]


def test_a_row_without_a_name_takes_none_away(desk: Desk) -> None:
    desk.hand_in(titled(None, 10))
    assert desk.titles() == [None]
    desk.hand_in(titled("Known", 5))
    assert desk.titles() == ["Known"]
    desk.hand_in(titled(None, 30), titled(None, 31))
    assert desk.titles() == ["Known"]


def test_artist_and_album_follow_the_names(desk: Desk) -> None:
    desk.hand_in(titled("Song", 10))
    desk.hand_in(titled("Song", 20, master_metadata_album_artist_name="Renamed Band"))
    names = "select a.name, b.name, b.artist_id = a.artist_id from raw.contents as c"
    joins = " inner join raw.artists as a using (artist_id) inner join raw.albums as b on b.album_id = c.album_id"
    assert desk.setup.sql(names + joins) == [("Renamed Band", "Album", True)]


def test_a_name_becomes_an_alias_of_the_one_uri_that_bears_it_and_of_none_of_two(desk: Desk) -> None:
    desk.hand_in(account_row(), account=True)
    assert desk.aliases() == []
    # Names are compared without case and width.
    desk.hand_in(titled("SONG", 10, uri=1))
    assert desk.aliases() == [("Song", "1")]
    assert desk.setup.changed_titles() == {"Song", "SONG"}

    desk.hand_in(titled("song", 11, uri=2))
    assert desk.aliases() == []
    assert desk.setup.changed_titles() == {"Song", "SONG", "song"}

    # The second one gets another name: the first fits alone again.
    desk.hand_in(titled("Another song", 12, uri=2))
    assert desk.aliases() == [("Song", "1")]
    assert {"Song", "SONG", "Another song"} <= desk.setup.changed_titles()

    # And when the first is renamed too, nothing fits.
    desk.hand_in(titled("A third one", 13, uri=1))
    assert desk.aliases() == []
    assert {"Song", "A third one"} <= desk.setup.changed_titles()


@pytest.mark.parametrize("uris", [(1,), (1, 2)])
def test_aliases_are_the_same_when_the_uris_are_known_first(desk: Desk, uris: tuple[int, ...]) -> None:
    desk.hand_in(*(titled("Song", uri, uri=uri) for uri in uris))
    desk.hand_in(account_row(), account=True)
    assert desk.aliases() == ([("Song", "1")] if uris == (1,) else [])


def test_names_of_another_artist_or_kind_are_no_alias(desk: Desk) -> None:
    desk.hand_in(account_row(), account_row(1, artistName="Cover Band"), account=True)
    podcast = {"episode_name": "Song", "spotify_episode_uri": "spotify:episode:0000000000000000000003"}
    desk.hand_in(titled("Song", 10), nameless(11, **podcast))
    assert len(desk.aliases()) == 1
    assert desk.setup.one("select count(*) from raw.contents where kind_id = 2") == 1


def test_the_ledger_hears_of_contents_in_the_transaction_that_changes_them(desk: Desk) -> None:
    desk.hand_in(account_row(), account=True)
    desk.hand_in(titled("Song", 10), titled("Other", 11, uri=2))
    of = "(select distinct xmin::text from {}{})".format
    contents = of("raw.contents", " where uri is not null")
    ledger, aliases = of("ops.changed_contents", ""), of("raw.content_aliases", "")
    assert desk.setup.sql(f"select {contents} = {ledger}, {aliases} = {ledger}") == [(True, True)]


def test_unchanged_contents_are_not_reported(desk: Desk) -> None:
    desk.hand_in(titled("Song", 10), titled("Other", 11, uri=2))
    desk.hand_in(titled("Song", 20), titled("Elsewhere", 21, uri=3))
    assert desk.setup.changed_titles() == {"Elsewhere"}


def test_a_play_of_unknown_content_is_an_event_without_content(desk: Desk) -> None:
    desk.hand_in(nameless(), nameless(1), row(1))
    assert desk.setup.sql("select content_id is null from raw.listening_events order by 1") == [
        (False,),
        (True,),
        (True,),
    ]
    assert desk.titles() == ["Song"]


def test_two_users_share_contents(desk: Desk) -> None:
    desk.hand_in(titled("Song", 10))
    desk.setup.add_user("bob")
    path = write_rows(desk._folder / "bob.zip", titled("Song", 5), titled("Song", 6))
    assert desk.setup.bring(path, "bob").accounting.loaded == 2
    assert desk.setup.sql("select count(*), count(distinct content_id) from raw.listening_events") == [(3, 1)]
