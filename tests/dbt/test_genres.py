"""What MusicBrainz says enters the marts without recomputing a day; and who knows no genre builds nothing of them."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import pytest

from myi_pipeline.marts.refresh import RefreshResult
from tests.dbt.test_marts_incremental import connect, differences

RECORDING, ARTIST = UUID(int=1), UUID(int=2)


def describe(marts: Any, track: int, *, by: str = "artist", votes: int = 3) -> None:
    """A track is found, with one artist and one genre."""
    for query, values in (
        ("insert into raw.musicbrainz_artists values (%s, 'a', now()) on conflict do nothing", (ARTIST,)),
        (
            "insert into raw.musicbrainz_recordings (recording_mbid, title, first_release_date, told_at)"
            " values (%s, 't', '1984-07', now()) on conflict do nothing",
            (RECORDING,),
        ),
        ("insert into raw.musicbrainz_credits values (%s, 1, %s, 'a', '') on conflict do nothing", (RECORDING, ARTIST)),
        ("insert into raw.musicbrainz_tags (tag, is_genre) values ('folk', true) on conflict do nothing", ()),
        (
            "insert into raw.musicbrainz_votes select %s, %s, tag_id, %s from raw.musicbrainz_tags",
            (by, RECORDING if by == "recording" else ARTIST, votes),
        ),
        ("insert into raw.found_recordings values (%s, %s, 'isrc', now())", (track, RECORDING)),
    ):
        marts.sql(query, *values)


def names(result: RefreshResult) -> set[str]:
    """The models that a refresh built."""
    return {node.name for node in result.models}


def test_genres_of_a_track_change_its_years_and_no_day(marts: Any) -> None:
    ada, bob = (marts.add_user(key) for key in ("ada", "bob"))
    song, other = marts.add_content("Song"), marts.add_content("Other", "Else")
    for moment in ("2023-12-31 10:00:00Z", "2024-03-01 10:00:00Z", "2024-03-02 10:00:00Z"):
        marts.add_play(ada, moment, song)
    marts.add_play(bob, "2024-03-01 10:00:00Z", other)
    marts.refreshed()
    before = dict(marts.read("select user_id, version from marts.user_versions"))
    assert marts.read("select count(*) from marts.agg_period_genres") == [(0,)]

    describe(marts, song)
    result = marts.refreshed()
    assert not result.is_rebuild
    assert (result.changed_days, result.changed_contents) == (0, 0)
    found = marts.read("select period_start::text, plays from marts.agg_period_genres_stored order by 1")
    assert found == [("1970-01-01", 3), ("2023-01-01", 1), ("2024-01-01", 2)]
    assert marts.read("select release_year from marts.dim_tracks where track_id = %s", song) == [(1984,)]
    after = dict(marts.read("select user_id, version from marts.user_versions"))
    assert after[ada] > before[ada]
    assert after[bob] == before[bob]

    marts.sql("update raw.musicbrainz_tags set is_genre = false")
    assert marts.refreshed().changed_days == 0
    assert marts.read("select count(*) from marts.agg_period_genres") == [(0,)]
    with connect(marts) as connection:
        assert differences(connection) == {}


def test_whoever_knows_no_genre_builds_nothing_of_them(marts: Any) -> None:
    ada = marts.add_user("ada")
    song = marts.add_content("Song")
    marts.add_play(ada, "2024-03-01 10:00:00Z", song)
    marts.refreshed()
    of_genres = {"bridge_track_genres", "agg_period_genres_stored"}
    marts.add_play(ada, "2024-03-02 10:00:00Z", song)
    assert not of_genres & names(marts.refreshed())
    describe(marts, song, by="recording")
    assert of_genres <= names(marts.refreshed())
    marts.add_play(ada, "2024-03-03 10:00:00Z", song)
    assert "agg_period_genres_stored" in names(marts.refreshed())
    assert marts.read("select sum(plays) from marts.agg_period_genres where period = 'all'") == [(3,)]


@pytest.mark.slow
def test_a_refresh_that_was_interrupted_leaves_its_genres_to_the_next(marts: Any) -> None:
    ada = marts.add_user("ada")
    song = marts.add_content("Song")
    marts.add_play(ada, "2024-03-01 10:00:00Z", song)
    marts.refreshed()
    describe(marts, song)
    assert marts.refresh(select="bridge_track_genres").status == "partial"
    marts.refreshed()
    assert marts.read("select sum(plays) from marts.agg_period_genres where period = 'all'") == [(1,)]
    assert marts.verify().is_good


def test_votes_that_are_all_gone_leave_no_genre(marts: Any) -> None:
    ada = marts.add_user("ada")
    song = marts.add_content("Song")
    marts.add_play(ada, "2024-03-01 10:00:00Z", song)
    describe(marts, song)
    marts.refreshed()
    marts.sql("delete from raw.musicbrainz_votes")
    marts.refreshed()
    assert marts.read("select count(*) from marts.bridge_track_genres") == [(0,)]
    assert marts.read("select count(*) from marts.agg_period_genres_stored") == [(0,)]


def test_what_changes_of_tracks_is_looked_up_by_track_however_many_users_there_are(marts: Any) -> None:
    """Of 100 tracks with 3 listeners' rows, that is hundreds of steps in the index; by track and user it is 30,000."""
    ada = marts.add_user("ada")
    marts.sql("insert into app.users (user_key, time_zone) select 'u' || n, 'UTC' from generate_series(1, 300) as n")
    songs = [marts.add_content(f"Song {number}", uri=f"spotify:track:{number}") for number in range(100)]
    for number, song in enumerate(songs):
        marts.add_play(ada, f"2024-03-{1 + number % 28:02} {number // 28:02}:00Z", song)
    describe(marts, songs[0])
    marts.refreshed()

    def steps() -> int:
        ((count,),) = marts.sql(
            "select coalesce(sum(idx_scan), 0) from pg_stat_all_indexes where relname = 'agg_period_tracks_stored'"
        )
        return int(count)

    marts.sql("update raw.contents set title = title || ' (Live)'")
    before = steps()
    result = marts.refreshed()
    assert not result.is_rebuild
    assert "agg_period_genres_stored" in names(result)
    # The counts of a session that is still open arrive within seconds.
    deadline = time.monotonic() + 10
    while steps() == before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert before < steps() < before + 3_000
