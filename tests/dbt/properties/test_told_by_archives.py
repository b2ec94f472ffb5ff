"""Which rows of several archives are one play, by the files that people hand in: whichever comes first, and again."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from myi_pipeline.operations import checks
from tests.integration.archives.setups import (
    Setup,
    account_row,
    nameless,
    row,
    write_account_rows,
    write_files,
    write_rows,
)

pytestmark = pytest.mark.property

ARCHIVES = "ABC"


class Moment(NamedTuple):
    """A second of 61 seconds of sound: which ids of one song each archive has for it ("-": a removed track), and how
    many plays that is."""

    told: dict[str, str]
    plays: int


# One archive's rows are plays of their own; what no archive has side by side is one play.
MOMENTS = (
    Moment({"A": "1", "B": "2"}, 1),
    Moment({"A": "1", "B": "2", "C": "3"}, 1),
    Moment({"A": "12"}, 2),
    Moment({"A": "1", "B": "12"}, 2),
    Moment({"A": "1", "B": "12", "C": "2"}, 2),
    Moment({"A": "1", "B": "2", "C": "12"}, 2),
    Moment({"A": "12", "B": "12", "C": "12"}, 2),
    Moment({"A": "12", "B": "23"}, 2),
    Moment({"A": "12", "B": "23", "C": "13"}, 3),
    Moment({"A": "12", "B": "3"}, 2),
    Moment({"A": "12", "B": "34"}, 2),
    Moment({"A": "123", "B": "4"}, 3),
    Moment({"A": "n", "B": "1"}, 1),
    Moment({"A": "n", "B": "n1"}, 2),
    Moment({"A": "-", "B": "1"}, 1),
    Moment({"A": "-1", "B": "1"}, 2),
    Moment({"A": "-", "B": "-1"}, 2),
    Moment({"A": "-1", "B": "2"}, 2),
    Moment({"A": "-1", "B": "12"}, 2),
    Moment({"A": "-1", "B": "12", "C": "-2"}, 3),
)


def rows_of(archive: str) -> list[dict[str, object]]:
    rows = []
    for minute, moment in enumerate(MOMENTS):
        for thing in moment.told.get(archive, ""):
            if thing == "-":
                rows.append(nameless(60 * minute, ms_played=61_000))
            else:
                # Another release: the album differs with the id. "n" has no id at all.
                uri = None if thing == "n" else f"spotify:track:{thing:0>22}"
                names = {"spotify_track_uri": uri, "master_metadata_album_album_name": f"Album {thing}"}
                rows.append(row(60 * minute, ms_played=61_000, **names))
    return rows


def counts(marts: Any, user: int) -> list[int]:
    found = dict(
        marts.read(
            "select (extract(epoch from played_at - '2020-02-01Z') / 60)::int, count(*) from marts.fct_plays"
            " where user_id = %s group by 1",
            user,
        )
    )
    return [found.get(minute, 0) for minute in range(len(MOMENTS))]


def test_an_id_alone_makes_no_second_play_unless_one_archive_has_both(marts: Any, tmp_path: Path) -> None:
    setup = Setup(marts.warehouse)
    paths = {name: write_rows(tmp_path / f"{name}.zip", *rows_of(name)) for name in ARCHIVES}
    users = {}
    for order in permutations(ARCHIVES):
        key = "".join(order).lower()
        users[key] = marts.add_user(key)
        for name in order:
            result = setup.bring(paths[name], key)
            assert result.accounting.unaccounted == 0
    marts.refreshed()
    expected = [moment.plays for moment in MOMENTS]
    assert {key: counts(marts, user) for key, user in users.items()} == dict.fromkeys(users, expected)
    # Whichever came first, it is the same plays.
    plays = "select user_id, played_at, content_id, ms_played from marts.fct_plays order by 1, 2, 3"
    assert len({tuple(each[1:] for each in marts.read(plays) if each[0] == user) for user in users.values()}) == 1
    assert len(plays_of_track_lists(marts)) == 1

    # Again, and piece by piece: refreshed in between, nothing is otherwise, and nothing is noted twice.
    held = setup.sql("select count(*) from raw.event_holders")
    step = marts.add_user("step")
    for names in ("A", "B", "C", "CBA"):
        for name in names:
            setup.bring(paths[name], "step")
        marts.refreshed()
    assert counts(marts, step) == expected
    setup.bring(paths["B"], "abc")
    assert setup.sql("select count(*) from raw.event_holders where user_id <> %s", step) == held
    assert marts.verify().is_good

    # What is known of an archive goes with it.
    setup.sql("delete from app.imports where user_id = %s", step)
    assert setup.sql("select count(*) from raw.event_holders where user_id = %s", step) == [(0,)]
    marts.refreshed()
    assert marts.verify().is_good
    setup.sql("delete from app.users")
    assert setup.sql("select count(*) from raw.event_holders") == [(0,)]


def test_exports_that_lie_in_one_archive_tell_what_they_would_tell_one_by_one(marts: Any, tmp_path: Path) -> None:
    """Downloads of three years in one folder or ZIP, in any order, before and after one of them alone."""
    setup = Setup(marts.warehouse)
    alone = write_rows(tmp_path / "alone.zip", *rows_of("B"))
    expected = [moment.plays for moment in MOMENTS]
    for number, order in enumerate(permutations(ARCHIVES)):
        files = {f"{year}/Streaming_History_Audio_0.json": rows_of(name) for year, name in enumerate(order, 2020)}
        together = write_files(tmp_path / f"{number}.zip", files)
        user = marts.add_user(f"user-{number}")
        for path in ((alone, together), (together, alone))[number % 2]:
            assert setup.bring(path, f"user-{number}").accounting.unaccounted == 0
            if number < 2:
                marts.refreshed()
        held = setup.sql("select count(*) from raw.event_holders")
        setup.bring(together, f"user-{number}")
        assert setup.sql("select count(*) from raw.event_holders") == held
        if number < 2:
            marts.refreshed()
            assert counts(marts, user) == expected
    marts.refreshed()
    for number in range(6):
        (user,) = setup.sql("select user_id from app.users where user_key = %s", f"user-{number}")[0]
        assert counts(marts, user) == expected, number
    assert marts.verify().is_good
    assert checks.plays_have_one_event_a_source(marts.warehouse).passed


def test_a_song_that_a_second_export_of_one_archive_knows_by_another_id_is_one_play(marts: Any, tmp_path: Path) -> None:
    def song(number: int) -> dict[str, object]:
        return row(ms_played=61_000, spotify_track_uri=f"spotify:track:{number:022}")

    setup, expected = Setup(marts.warehouse), {}
    # Both rows of one export are plays; nor does it matter which of them the second export has.
    for number, (older, newer, plays) in enumerate([([1], [2], 1), ([2], [1], 1), ([1, 2], [2], 2), ([1], [1, 2], 2)]):
        files = {"endsong_0.json": [*map(song, older)], "Streaming_History_Audio_2020_0.json": [*map(song, newer)]}
        user = marts.add_user(f"user-{number}")
        setup.bring(write_files(tmp_path / f"{number}.zip", files), f"user-{number}")
        expected[user] = plays
    marts.refreshed()
    assert dict(marts.read("select user_id, count(*) from marts.fct_plays group by 1")) == expected
    assert marts.verify().is_good


def plays_of_track_lists(marts: Any) -> set[tuple[Any, ...]]:
    """What the users' track lists add up to."""
    return set(
        marts.read(
            "select sum(plays), sum(ms_played) from marts.agg_period_tracks where period = 'all' group by user_id"
        )
    )


def test_episodes_that_old_account_data_tells_as_tracks_are_episodes(marts: Any, tmp_path: Path) -> None:
    none: dict[str, object] = dict.fromkeys(
        ("master_metadata_track_name", "master_metadata_album_artist_name", "master_metadata_album_album_name",
         "spotify_track_uri")
    )  # fmt: skip

    def episode(second: int, title: str, ms: int = 61_000) -> dict[str, object]:
        uri = f"spotify:episode:{title:0>22}"
        return row(
            second, ms_played=ms, episode_name=title, episode_show_name="The Show", spotify_episode_uri=uri, **none
        )

    def told(minute: int, title: str, ms: int = 61_000, artist: str = "THE SHOW") -> dict[str, object]:
        return account_row(minute, artistName=artist, trackName=title, msPlayed=ms)

    extended = write_rows(
        tmp_path / "extended.zip",
        episode(30, "One"), episode(61, "Two"), episode(150, "Three"), episode(210, "Five"), episode(270, "Skipped", 0),
        row(360, ms_played=61_000),
    )  # fmt: skip
    account = write_account_rows(
        tmp_path / "account.zip",
        told(0, "one"), told(1, "Two (edited since)"), told(2, "Three", 61_001), told(3, "A song", artist="A singer"),
        told(4, "Skipped", 0), told(5, "Only here", artist="Another Show"), told(6, "Song", artist="Band"),
    )  # fmt: skip
    setup = Setup(marts.warehouse)
    plays = (
        "select to_char(p.played_at, 'MI:SS'), p.kind, c.title, p.artist_id is null, p.source, p.confirmed_by"
        " from marts.fct_plays as p left join marts.dim_contents as c using (content_id)"
        " where user_id = %s order by p.played_at, p.source desc"
    )
    one, both = "extended_history", "account_history"
    expected = [
        ("00:30", "episode", "One", True, one, both),
        ("01:01", "episode", "Two", True, one, both),
        ("02:00", "track", "Three", False, both, None),
        ("02:30", "episode", "Three", True, one, None),
        ("03:00", "track", "A song", False, both, None),
        ("03:30", "episode", "Five", True, one, None),
        ("04:30", "episode", "Skipped", True, one, both),
        ("05:00", "track", "Only here", False, both, None),
        ("06:00", "track", "Song", False, one, both),
    ]
    shows = (
        "select d.name from marts.agg_period_artists as a inner join marts.dim_artists as d using (artist_id)"
        " where a.user_id = %s and a.period = 'all' order by 1"
    )
    for number, order in enumerate(((extended, account), (account, extended))):
        user = marts.add_user(f"user-{number}")
        for path in order:
            setup.bring(path, f"user-{number}")
            marts.refreshed()
        assert marts.read(plays, user) == expected
        assert marts.read(shows, user) == [("A singer",), ("Another Show",), ("Band",), ("THE SHOW",)]
    assert marts.verify().is_good

    # Nothing is left to call the show an artist for: the one row of another length goes.
    setup.sql("delete from raw.listening_events where ms_played = 61001")
    marts.refreshed()
    assert marts.read("select name from marts.dim_artists order by 1") == [("A singer",), ("Another Show",), ("Band",)]

    # Without the extended history nobody knows better; and without the account data there is nothing to know.
    setup.sql("delete from raw.listening_events where user_id = %s and source_id = 1", user)
    marts.refreshed()
    assert {kind for _, kind, *_ in marts.read(plays, user)} == {"track"}
    assert ("THE SHOW",) in marts.read("select name from marts.dim_artists")
    setup.sql("delete from raw.listening_events where source_id = 2")
    marts.refreshed()
    assert {kind for _, kind, *_ in marts.read(plays, user - 1)} == {"episode", "track"}
    assert marts.verify().is_good
