"""Tracks are looked for at the made-up TIDAL: one that cannot be asked for keeps none of the others from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from myi_pipeline.errors import RateLimited
from myi_pipeline.playlists.migration import finding, item_rows
from myi_pipeline.providers.playlists import PlaylistEntry
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.playlists.mover import Mover, at_tidal, mover, song
from tests.integration.providers.conftest import tidal_track

__all__ = ["at_tidal", "mover"]

REFUSED = ServiceFault(times=1_000, status=403, body=json.dumps({"errors": [{"detail": "no search.read"}]}))


def uris(mover: Mover, migration_id: int) -> Sequence[str | None]:
    return [each.uri for each in item_rows.list_matches(mover.connection, migration_id=migration_id)]


def calls(mover: Mover, path: str) -> int:
    return sum(path in each for each in mover.tidal.tidal.world.calls)


def test_codes_are_asked_for_twenty_at_once(mover: Mover) -> None:
    mover.tidal.add_tracks(50)
    made = mover.plan(mover.source(list(range(1, 51))))
    assert uris(mover, made) == [f"tidal:track:{number}" for number in range(1, 51)]
    assert calls(mover, "GET /tracks") == 3
    assert calls(mover, "searchResults") == 0


def test_a_code_that_is_none_costs_no_more_than_its_own_lookup(mover: Mover) -> None:
    mover.tidal.add_tracks(3)
    odd = [replace(song(2), isrc=code) for code in ("DEA12,000002", "not a code")]
    made = mover.plan(mover.source([1, 3], entries=[PlaylistEntry(track=each) for each in odd]))
    assert uris(mover, made)[:2] == ["tidal:track:1", "tidal:track:3"]
    assert set(uris(mover, made)[2:]) <= {"tidal:track:2", None}


def test_without_the_permission_to_search_what_has_a_code_is_found_and_it_is_said(mover: Mover) -> None:
    mover.tidal.add_tracks(2)
    mover.tidal.tidal.world.fail(replace(REFUSED, on="searchResults"))
    planned = mover.planned(mover.source([900, 1, 901, 2]))
    assert uris(mover, planned.migration_id) == [None, "tidal:track:1", None, "tidal:track:2"]
    assert calls(mover, "searchResults") == 1
    assert "not looked up by name" in planned.note
    assert mover.planned(mover.source([1])).note == ""


def test_a_question_that_is_refused_is_that_tracks_alone(mover: Mover) -> None:
    mover.tidal.add_tracks(2)
    fault = ServiceFault(status=400, body=json.dumps({"errors": [{"detail": "odd words"}]}), on="searchResults")
    mover.tidal.tidal.world.fail(fault)
    planned = mover.planned(mover.source([900, 1, 901]))
    assert uris(mover, planned.migration_id) == [None, "tidal:track:1", None]
    assert calls(mover, "searchResults") == 2
    assert "odd words" in planned.note


def test_a_quota_that_is_used_up_is_waited_for_within_a_limit(mover: Mover) -> None:
    mover.tidal.add_tracks(2)
    world = mover.tidal.tidal.world
    limited = ServiceFault(status=429, body="{}", headers=(("Retry-After", "90"),), on="searchResults")
    world.fail(limited)
    started = mover.tidal.clock.now()
    made = mover.plan(mover.source([900, 1]))
    assert uris(mover, made) == [None, "tidal:track:1"]
    assert mover.tidal.clock.now() - started >= timedelta(seconds=90)
    world.fail(replace(limited, headers=(("Retry-After", str(int(finding.MOST_WAITING.total_seconds()) + 60)),)))
    with pytest.raises(RateLimited):
        mover.plan(mover.source([901]))


def test_a_code_whose_first_track_does_not_fit_is_asked_for_alone(mover: Mover) -> None:
    mover.tidal.add_tracks(2)
    world = mover.tidal.tidal.world
    (one,) = [each for each in world.tracks.values() if each.track_id == "1"]
    world.tracks.clear()
    world.add_tracks(replace(one, track_id="70", title="Something else", artists=("Nobody",)), one)
    made = mover.plan(mover.source([1]))
    assert uris(mover, made) == ["tidal:track:1"]


def test_a_candidate_ruled_out_for_one_track_is_not_ruled_out_for_another_of_its_names(mover: Mover) -> None:
    """Two contents of one name, of which one has a decision."""
    said = [item_rows.Decision(content_id=1, kind="never", uri="tidal:track:1")]
    mover.tidal.add_tracks(1)
    made = song(1)
    entries = [
        item_rows.SourceEntry(
            position=number, kind="track", content_id=number, added_at=None, title=made.title, artist=made.artists[0],
            album=made.album, isrc=made.isrc, recording_mbid=None, duration_ms=None,
        )
        for number in (1, 2)
    ]  # fmt: skip
    looking = finding.Finding(
        mover.target.finder, mover.target.writer.capabilities, mover.tidal.clock, mover.tidal.sleep
    )
    found = looking.match(entries, {1: said})
    assert [choice.chosen and choice.chosen.uri for _, choice, _, _ in found] == [None, "tidal:track:1"]


def test_a_track_of_a_compilation_that_an_archive_names_by_the_albums_artist_is_found(mover: Mover) -> None:
    mover.tidal.tidal.world.add_tracks(
        tidal_track(1, title="Amber Tide", artists=("The Quay", "Ada Berger"), album="Amber"),
        tidal_track(2, title="Amber Tide", artists=("DJ Somebody",), album="Mixed", isrc="DEA120000099"),
    )
    listed = replace(song(1), title="Amber Tide", artists=("DJ Somebody",), album="Summer", duration_ms=200_000)
    made = mover.plan(mover.source([], entries=[PlaylistEntry(track=listed)]))
    (found,) = item_rows.list_matches(mover.connection, migration_id=made)
    assert (found.uri, found.reason) == ("tidal:track:1", "same_isrc")


def test_the_artists_that_a_list_or_musicbrainz_tells_go_before_the_one_that_an_archive_named(mover: Mover) -> None:
    mbid = "b2e2ae5a-7a45-4d4d-a4e8-0fd2ae1ff5d5"
    listed = replace(song(1), artists=("The Quay", "Ada Berger"))
    by_file = replace(song(2), artists=("DJ Somebody",), recording_mbid=mbid)
    playlist_id = mover.source([], entries=[PlaylistEntry(track=each) for each in (listed, by_file)])
    run = mover.connection.execute
    run("update raw.contents set creator = 'DJ Somebody'")

    def artists() -> list[tuple[str, ...]]:
        found = item_rows.source_entries(mover.connection, playlist_id=playlist_id, version_no=1)
        assert {each.artist for each in found} == {"DJ Somebody"}
        return [each.track.artists for each in found]

    assert artists() == [("The Quay", "Ada Berger"), ("DJ Somebody",)]
    run("insert into raw.musicbrainz_recordings (recording_mbid, title, told_at) values (%s, 'Song 2', now())", (mbid,))
    for place, name in ((1, "The Quay"), (2, "Carla")):
        row = run(
            "insert into raw.musicbrainz_artists values (gen_random_uuid(), %s, now()) returning artist_mbid", (name,)
        ).fetchone()
        assert row is not None
        run("insert into raw.musicbrainz_credits values (%s, %s, %s, %s, '')", (mbid, place, row[0], name))
    assert artists() == [("The Quay", "Ada Berger"), ("The Quay", "Carla")]
