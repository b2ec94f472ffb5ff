"""Deezer read over HTTP: what is public, at the pace that it allows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.errors import BadInput, Forbidden, Gone, RateLimited, Transient, UnexpectedAnswer
from myi_pipeline.providers.deezer.client import CAPABILITIES
from myi_pipeline.providers.playlists import EntryKind
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.providers.conftest import AtDeezer, deezer_track


def test_every_public_list_of_an_account_is_read_with_every_entry(at_deezer: AtDeezer) -> None:
    tracks = at_deezer.add_tracks(60)
    order = [*tracks, 5, 5]
    made = at_deezer.world.make_playlist("42", "Morning", order)
    hidden = at_deezer.world.make_playlist("42", "Secret", [1])
    hidden.is_public = False
    for number in range(30):
        at_deezer.world.make_playlist("42", f"List {number}", [])
    for at_deezer.world.numbers_are_texts in (False, True):
        reader = at_deezer.services.deezer_reader("42")
        heads = list(reader.playlists())
        assert len(heads) == 31
        assert (heads[0].name, heads[0].owner_id, heads[0].items) == ("Morning", "42", 62)
        assert reader.head(str(made.playlist_id)) == heads[0]
        entries = list(reader.entries(str(made.playlist_id)))
        assert [each.track.uri for each in entries] == [f"deezer:track:{number}" for number in order]
        first = entries[0].track
        assert (first.title, first.artists, first.isrc) == ("Song 1", ("Artist 1",), "DEA120000001")
        assert first.duration_ms == 200_000
        assert entries[0].added_at is not None
        assert (reader.who().name, reader.who().country) == ("listener 42", "FR")
    with pytest.raises(Forbidden):
        reader.head(str(hidden.playlist_id))


def test_a_list_that_changed_has_another_version(at_deezer: AtDeezer) -> None:
    made = at_deezer.world.make_playlist("42", "Morning", at_deezer.add_tracks(3))
    reader = at_deezer.services.deezer_reader("42")
    before = reader.head(str(made.playlist_id)).version
    made.track_ids.reverse()
    assert reader.head(str(made.playlist_id)).version != before


def test_entries_that_pages_leave_out_are_missed_by_the_count_and_what_is_no_track_keeps_its_place(
    at_deezer: AtDeezer,
) -> None:
    at_deezer.add_tracks(30)
    made = at_deezer.world.make_playlist("42", "Odd", [*range(1, 31), -7, 999])
    made.hidden = frozenset({3, 27})
    reader = at_deezer.services.deezer_reader("42")
    entries = list(reader.entries(str(made.playlist_id)))
    assert reader.head(str(made.playlist_id)).items == 32
    assert len(entries) == 30
    assert [each.track.kind for each in entries[-2:]] == [EntryKind.LOCAL, EntryKind.TRACK]
    assert [each.track.uri for each in entries[-2:]] == ["deezer:track:-7", "deezer:track:999"]


def test_tracks_are_found_by_code_and_by_name(at_deezer: AtDeezer) -> None:
    at_deezer.world.add_tracks(deezer_track(1, title="Amber Tide", artists=("The Quay", "Guest"), version="(Live)"))
    finder = at_deezer.services.deezer_finder()
    (found,) = finder.by_isrc("de-a12-0000001")
    assert (found.title, found.artists, found.released_on) == ("Amber Tide (Live)", ("The Quay", "Guest"), "2019-05-17")
    assert finder.by_isrc("ZZZ990000000") == ()
    assert finder.search(title='Amber "Tide"', artist="Quay")[0].uri == "deezer:track:1"
    assert finder.search(title="Nothing", artist="Nobody") == ()
    with pytest.raises(BadInput):
        finder.by_isrc("../user/42")


def test_fifty_in_five_seconds_are_never_passed(at_deezer: AtDeezer) -> None:
    at_deezer.world.make_playlist("42", "Morning", [])
    for number in range(60):
        at_deezer.services.deezer_reader("42").head("1000")
        assert at_deezer.world.refused == 0, number


def test_an_address_that_asks_too_often_is_silent_for_five_seconds(at_deezer: AtDeezer) -> None:
    made = at_deezer.world.make_playlist("42", "Morning", [])
    at_deezer.world.most = 0
    now = at_deezer.clock.now()
    with pytest.raises(RateLimited) as limited:
        at_deezer.services.deezer_reader("42").head(str(made.playlist_id))
    assert timedelta(seconds=5) <= limited.value.retry_at - now <= timedelta(seconds=7)
    calls = len(at_deezer.world.calls)
    with pytest.raises(RateLimited):
        at_deezer.services.deezer_finder().by_isrc("DEA120000001")
    assert len(at_deezer.world.calls) == calls
    at_deezer.world.most = 50
    at_deezer.clock.advance(timedelta(seconds=8))
    assert at_deezer.services.deezer_reader("42").head(str(made.playlist_id)).name == "Morning"


def test_errors_with_status_200_are_errors(at_deezer: AtDeezer) -> None:
    reader = at_deezer.services.deezer_reader("42")
    with pytest.raises(Gone):
        list(reader.playlists())
    with pytest.raises(Gone):
        list(reader.entries("1"))
    at_deezer.world.fail(ServiceFault(times=3, status=200, body='{"error": {"code": 700}}'))
    with pytest.raises(Transient):
        reader.head("1")
    assert at_deezer.sleep.waits.count(1.0) == 1, "reads are made again"


def test_no_page_leads_to_another_server_or_in_a_circle(at_deezer: AtDeezer) -> None:
    made = at_deezer.world.make_playlist("42", "Morning", at_deezer.add_tracks(30))
    reader = at_deezer.services.deezer_reader("42")
    at_deezer.world.next_host = "https://tokens.example.org"
    with pytest.raises(UnexpectedAnswer, match="another server"):
        list(reader.entries(str(made.playlist_id)))
    at_deezer.world.fail(ServiceFault(status=200, body='{"data": [], "next": "/x?index=0"}'))
    with pytest.raises(UnexpectedAnswer, match="circle"):
        list(reader.entries(str(made.playlist_id)))


def test_deezer_is_never_written(at_deezer: AtDeezer) -> None:
    assert CAPABILITIES.reads
    assert not any((CAPABILITIES.creates, CAPABILITIES.moves, CAPABILITIES.removes))
    for user_id in ("42/../7", "me", "", "1" * 19):
        with pytest.raises(BadInput):
            at_deezer.services.deezer_reader(user_id)
