"""What answers teach the catalogue: names by the latest play, facts at any time, two artists of one name as two."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from myi_pipeline.catalogue import catalogue_store, staging
from myi_pipeline.catalogue.records import PolledTrack
from myi_pipeline.catalogue.spotify_answers import named_artist, polled_track
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.sql_files import load_statements
from myi_pipeline.providers.spotify.models import Artist, Track
from tests.integration.archives.setups import Setup, account_row, row, write_account_rows, write_rows
from tests.integration.catalogue.answers import START, answer, polled, uri

CREDITS = """
select c.uri, a.name, a.uri, b.name, b.uri, o.uri
from raw.contents as c
left join raw.artists as a on a.artist_id = c.artist_id
left join raw.albums as b on b.album_id = c.album_id
left join raw.artists as o on o.artist_id = b.artist_id
order by c.uri
"""


class Desk:
    """Archives and answers, one after the other."""

    def __init__(self, setup: Setup, folder: Path) -> None:
        self.setup, self._folder, self._numbers = setup, folder, itertools.count(1_000_000)

    def learn(self, *tracks: PolledTrack) -> dict[str, int]:
        self.setup.close_ledger()
        with self.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            return catalogue_store.intern_tracks(connection, tracks, batch_id=next(self._numbers))

    def hand_in(self, *rows: dict[str, object], account: bool = False) -> None:
        path = self._folder / f"{next(self._numbers)}.zip"
        (write_account_rows if account else write_rows)(path, *rows)
        self.setup.close_ledger()
        self.setup.bring(path)

    def titles(self) -> list[str | None]:
        return [
            title for (title,) in self.setup.sql("select title from raw.contents where uri is not null order by uri")
        ]


@pytest.fixture
def desk(shared_setup: Setup, tmp_path: Path) -> Desk:
    shared_setup.sql("truncate raw.pictures")
    return Desk(shared_setup, tmp_path)


def archived(second: int, number: int = 1, **fields: object) -> dict[str, object]:
    return row(second, spotify_track_uri=uri("track", number), **fields)


def test_an_answer_fills_what_an_archive_cannot_know(desk: Desk) -> None:
    desk.hand_in(archived(10))
    track = polled(5)
    assert desk.learn(track) == {track.content.key: desk.setup.one("select content_id from raw.contents")}
    assert desk.setup.sql("select duration_ms, isrc, names_played_at = '2020-02-01 00:00:10Z' from raw.contents") == [
        (200_000, "ZZABC2000001", True)
    ]
    band = ("Band", uri("artist", 1))
    assert desk.setup.sql(CREDITS) == [(uri("track", 1), *band, "Album", uri("album", 1), uri("artist", 1))]
    assert desk.setup.one("select count(*) from raw.artists") == desk.setup.one("select count(*) from raw.albums") == 1
    assert desk.setup.changed_titles() == {"Song"}
    assert desk.setup.sql("select entity_kind, url, width from raw.pictures") == [
        ("album", "https://i.scdn.co/image/1", 64)
    ]


def test_places_on_albums_are_learnt_of_known_tracks_too_and_move_no_play(desk: Desk) -> None:
    facts = (
        "select disc_number, track_number, total_tracks, release_year"
        " from raw.contents inner join raw.albums using (album_id)"
    )
    desk.learn(polled(5))
    assert desk.setup.sql(facts) == [(None, None, None, None)]
    track = polled(6)
    assert track.album is not None
    album = replace(track.album, total_tracks=12, release_year=1989)
    desk.learn(replace(track, album=album, disc_number=1, track_number=3))
    assert desk.setup.sql(facts) == [(1, 3, 12, 1989)]
    assert desk.setup.changed_titles() == set()
    # What an answer does not say stays known; of another album its place says nothing.
    desk.learn(polled(7))
    other = polled(4, album=(2, "Best of"))
    desk.learn(replace(other, disc_number=2, track_number=9))
    assert desk.setup.sql(facts) == [(1, 3, 12, 1989)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_latest_play_names_a_track_whoever_tells_of_it(desk: Desk, order: tuple[int, ...]) -> None:
    steps = [
        lambda: desk.hand_in(archived(10, master_metadata_track_name="Middle")),
        lambda: desk.learn(polled(5, title="Old"), polled(20, title="New")),
        lambda: desk.learn(polled(15, title="Between")),
    ]
    for step in order:
        steps[step]()
    assert desk.titles() == ["New"]
    assert desk.setup.sql("select names_played_at = '2020-02-01 00:00:20Z', duration_ms from raw.contents") == [
        (True, 200_000)
    ]


def test_the_same_name_of_a_later_play_holds_against_another_one_before_it(desk: Desk) -> None:
    # A poll that brings no news once left the old time of the names, so that an older archive renamed the track.
    desk.learn(polled(5))
    desk.learn(polled(20))
    desk.hand_in(archived(10, master_metadata_track_name="Another name"))
    assert desk.titles() == ["Song"]


def test_two_artists_of_one_name_stay_two_and_so_do_their_albums(desk: Desk) -> None:
    desk.hand_in(archived(1, 1), archived(2, 2), archived(3, 3))
    desk.learn(polled(10, 1), polled(11, 2, artist=(2, "Band"), album=(2, "Album")))
    expected = [
        (uri("track", 1), "Band", uri("artist", 1), "Album", uri("album", 1), uri("artist", 1)),
        (uri("track", 2), "Band", uri("artist", 2), "Album", uri("album", 2), uri("artist", 2)),
        # Nobody has told whose this one is.
        (uri("track", 3), "Band", uri("artist", 1), "Album", uri("album", 1), uri("artist", 1)),
    ]
    assert desk.setup.sql(CREDITS) == expected
    # An archive, which knows names alone, mixes them up no more.
    desk.hand_in(archived(30, 1), archived(31, 2), archived(32, 3))
    assert desk.setup.sql(CREDITS) == expected


def test_broken_archives_that_go_by_names_alone_mix_them_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property above can fail: so it was before names that say nothing new left the artist alone."""
    kept = "when excluded.creator = c.creator then c.artist_id "

    def forgetful(name: str) -> tuple[str, ...]:
        return tuple(statement.replace(kept, "when false then c.artist_id ") for statement in load_statements(name))

    assert any(kept in statement for statement in load_statements("catalogue/load/intern_contents"))
    monkeypatch.setattr(staging, "load_statements", forgetful)
    desk.learn(polled(10, 1), polled(11, 2, artist=(2, "Band"), album=(2, "Album")))
    desk.hand_in(archived(31, 2))
    assert [artist for _, _, artist, *_ in desk.setup.sql(CREDITS)] == [uri("artist", 1)] * 2


def test_an_artist_that_takes_another_name_stays_one(desk: Desk) -> None:
    desk.learn(polled(1, 1), polled(2, 2, title="Other"))
    desk.learn(polled(3, 1, artist=(1, "Band!")))
    assert desk.setup.sql("select name, uri from raw.artists") == [("Band!", uri("artist", 1))]
    # Both tracks now show another artist.
    assert desk.setup.changed_titles() == {"Song", "Other"}


def test_a_compilation_is_one_album_of_several_artists(desk: Desk) -> None:
    hits = {"album": (9, "Hits"), "album_artist": (99, "Various Artists")}
    desk.learn(polled(1, 1, artist=(1, "Band"), **hits), polled(2, 2, artist=(2, "Choir"), **hits))
    assert desk.setup.sql("select name, uri from raw.albums") == [("Hits", uri("album", 9))]
    assert [(who, album) for _, who, _, album, _, _ in desk.setup.sql(CREDITS)] == [("Band", "Hits"), ("Choir", "Hits")]


def test_the_albums_that_archives_name_are_found_again(desk: Desk) -> None:
    desk.hand_in(
        archived(1, master_metadata_album_artist_name="Various Artists", master_metadata_album_album_name="Hits")
    )
    desk.learn(polled(9, album=(9, "Hits"), album_artist=(99, "Various Artists")))
    assert desk.setup.sql("select name, uri from raw.albums") == [("Hits", uri("album", 9))]


def test_aliases_of_names_follow_answers_too(desk: Desk) -> None:
    aliases = "select count(*) from raw.content_aliases where reason = 'only_match_by_name'"
    desk.hand_in(account_row(), account=True)
    desk.learn(polled(1, 1, title="SONG"))
    assert desk.setup.one(aliases) == 1
    desk.learn(polled(2, 2, title="song"))
    assert desk.setup.one(aliases) == 0


def relinked(desk: Desk, *pairs: tuple[int, int]) -> dict[str, str]:
    """Relinks contents by the numbers in their URIs; returns all aliases."""
    ids = {number: key for key, number in desk.setup.sql("select content_id, uri from raw.contents")}
    with desk.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for one, other in pairs:
            numbers = {"content_id": ids[uri("track", one)], "answering_id": ids[uri("track", other)]}
            catalogue_store.relink(connection, **numbers)
    query = "select coalesce(c.uri, c.title), k.uri from raw.content_aliases join raw.contents c using (content_id)"
    found = desk.setup.sql(f"{query} join raw.contents k on k.content_id = canonical_id")
    return {name[-1]: canonical[-1] for name, canonical in found}


@pytest.mark.parametrize("pairs", [((1, 2), (2, 3)), ((2, 3), (1, 2)), ((1, 2), (2, 3), (3, 1), (1, 3))])
def test_ids_that_answer_for_each_other_lead_to_one_in_one_step(desk: Desk, pairs: tuple[tuple[int, int], ...]) -> None:
    desk.learn(*(polled(number, number, title=f"Title {number}") for number in (1, 2, 3)))
    assert relinked(desk, *pairs) == {"1": "3", "2": "3"}


def test_a_relinked_track_is_one_with_its_namesake_for_names(desk: Desk) -> None:
    desk.hand_in(account_row(), account=True)
    desk.learn(polled(1, 1), polled(2, 2))
    # Two contents of that name: whose it is, nobody knows.
    assert relinked(desk) == {}
    assert relinked(desk, (1, 2)) == {"1": "2", "g": "2"}
    # It stays so when an archive names it again, and when another name comes in between.
    desk.hand_in(archived(50, 1), archived(51, 2))
    assert relinked(desk) == {"1": "2", "g": "2"}
    desk.learn(polled(60, 3))
    assert relinked(desk) == {"1": "2"}


def test_both_sides_of_a_relink_enter_the_ledger(desk: Desk) -> None:
    desk.learn(polled(1, 1, title="One"), polled(2, 2, title="Two"))
    desk.setup.close_ledger()
    relinked(desk, (1, 2))
    assert desk.setup.changed_titles() == {"One", "Two"}
    desk.setup.close_ledger()
    relinked(desk, (1, 2))
    assert desk.setup.changed_titles() == set()


def test_what_is_known_writes_nothing(desk: Desk) -> None:
    page = [polled(second, number) for second, number in enumerate((1, 2, 3, 1, 2))]
    first = desk.learn(*page)
    desk.setup.close_ledger()
    before = desk.setup.untouched()
    assert desk.learn(*page) == first
    assert desk.setup.untouched() == before


@pytest.mark.parametrize(
    ("fields", "marked"),
    [
        ({"duration_ms": 150_000}, True),
        ({"external_ids": {"isrc": "ZZ1"}}, True),
        ({"title": "Renamed"}, True),
        ({"artist": (5, "Choir")}, True),
        ({"artist": (5, "Band"), "album_artist": (5, "Band"), "album": (5, "Album")}, True),
        ({"album": (5, "Live")}, True),
        ({}, False),
    ],
)
def test_the_ledger_hears_of_each_change(desk: Desk, fields: dict[str, object], marked: bool) -> None:
    desk.learn(polled(1))
    desk.learn(polled(2, **fields))
    assert bool(desk.setup.changed_titles()) is marked


def test_a_uri_that_is_learnt_recomputes_no_play(desk: Desk) -> None:
    desk.hand_in(archived(1, 1), archived(2, 2))
    desk.setup.close_ledger()
    desk.learn(polled(0, 1, duration_ms=None, external_ids={}))
    assert desk.setup.one("select uri from raw.artists") == uri("artist", 1)
    assert desk.setup.changed_titles() == set()


def test_odd_answers_lose_their_odd_fields_and_nothing_else(desk: Desk) -> None:
    odd = {"duration_ms": 0, "external_ids": {"isrc": "x" * 500}, "artists": [{"uri": "spotify:artist:;", "name": "B"}]}
    track = polled_track(Track.model_validate(answer().model_dump() | odd), START)
    assert track is not None
    assert track.artist is None
    desk.learn(track)
    assert desk.setup.sql("select c.title, a.name, a.uri, c.isrc, c.duration_ms from raw.contents c"
                          " join raw.artists a using (artist_id)") == [("Song", "B", None, None, None)]  # fmt: skip
    assert polled_track(Track(), START) is None


def test_artists_of_top_lists_are_interned_with_their_pictures(desk: Desk) -> None:
    desk.hand_in(archived(1))
    known = desk.setup.one("select artist_id from raw.artists")

    def artist(number: int, name: str, *urls: str) -> Artist:
        images = [{"url": url, "width": 1, "height": 1} for url in urls]
        return Artist.model_validate({"uri": uri("artist", number), "name": name, "images": images})

    with desk.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for urls in (("https://a/1", "https://a/2"), ("https://a/3",)):
            made = [named_artist(each) for each in (artist(1, "Band", *urls), artist(2, "Band"))]
            ids = catalogue_store.intern_artists(connection, [each for each in made if each is not None])
    assert ids[uri("artist", 1)] == known != ids[uri("artist", 2)]
    assert desk.setup.sql("select entity_id, url from raw.pictures") == [(known, "https://a/3")]


def test_many_who_learn_the_same_at_once_agree(desk: Desk) -> None:
    names = [(number, number % 7) for number in range(60)]
    ready = threading.Barrier(4)

    def work(turn: int) -> dict[str, int]:
        tracks = [
            polled(turn * 100 + number, number, artist=(artist, f"Band {artist % 3}")) for number, artist in names
        ]
        with desk.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            ready.wait()
            for part in range(0, 60, 20):
                ids = catalogue_store.intern_tracks(
                    connection, tracks[part : part + 20][:: 1 - 2 * (turn % 2)], batch_id=1
                )
                found.update(ids)
        return ids

    found: dict[str, int] = {}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(found) == desk.setup.one("select count(*) from raw.contents") == 60
    assert (
        desk.setup.one("select count(*) from raw.artists")
        == desk.setup.one("select count(distinct uri) from raw.artists")
        == 7
    )
