"""TIDAL read over HTTP: every entry of every list, whatever its pages do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.errors import (
    BadInput,
    Forbidden,
    Gone,
    RateLimited,
    Transient,
    UnexpectedAnswer,
)
from myi_pipeline.providers.pkce import LoginDenied, new_challenge, read_redirect
from myi_pipeline.providers.playlists import LIKED, EntryKind
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.providers.conftest import AtTidal, tidal_track

REDIRECT = "http://127.0.0.1:8898/callback"


def test_a_person_signs_in_and_the_login_says_whose_it_is_and_lives_on_by_refreshing(at_tidal: AtTidal) -> None:
    sign_in, challenge = at_tidal.services.tidal_sign_in(), new_challenge()
    url = sign_in.authorise_url(challenge, redirect_uri=REDIRECT)
    back = at_tidal.tidal.visit(url, at_tidal.ana, denied=["collection.write"])
    grant = sign_in.exchange(read_redirect(back, challenge, service="TIDAL"), challenge, redirect_uri=REDIRECT)
    assert [each.name for each in sign_in.terms.denied(grant.scopes)] == ["collection.write"]
    who = sign_in.who(grant.access)
    assert (who.account_id, who.name, who.country) == (at_tidal.ana.account_id, "ana", "DE")

    at_tidal.clock.advance(timedelta(hours=2))
    with pytest.raises(Forbidden):
        sign_in.who(grant.access)
    assert grant.refresh_token is not None
    again = sign_in.refresh(grant.refresh_token)
    assert again.refresh_token is None, "the old one stays good"
    assert sign_in.who(again.access) == who


def test_a_person_who_says_no_is_not_signed_in(at_tidal: AtTidal) -> None:
    sign_in, challenge = at_tidal.services.tidal_sign_in(), new_challenge()
    back = at_tidal.tidal.visit(sign_in.authorise_url(challenge, redirect_uri=REDIRECT), at_tidal.ana, cancel=True)
    with pytest.raises(LoginDenied, match="TIDAL's page"):
        read_redirect(back, challenge, service="TIDAL")


def test_every_entry_is_read_in_order_with_its_duplicates_whatever_size_the_pages_have(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    tracks = at_tidal.add_tracks(25)
    order = [*tracks, tracks[3], tracks[3], *reversed(tracks)]
    made = world.make_playlist(at_tidal.ana, "Morning", tracks=order)
    world.total_is_off_by = 3

    for world.page_sizes in ((20,), (1,), (7, 1, 13), (100,)):
        entries = list(at_tidal.reader.entries(made.playlist_id))
        assert [each.track.uri for each in entries] == [f"tidal:track:{each}" for each in order]
        assert [each.item_id for each in entries] == [each.item_id for each in made.entries]

    first = entries[0].track
    assert (first.title, first.artists, first.album) == ("Song 1", ("Artist 1",), "Album 1")
    assert (first.isrc, first.duration_ms, first.released_on) == ("DEA120000001", 200_000, "2019-05-17")
    assert entries[0].added_at is not None
    assert abs(entries[0].added_at - made.entries[0].added_at) < timedelta(milliseconds=1)


def test_what_left_the_catalogue_keeps_its_place_and_its_id(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    world.add_tracks(
        tidal_track(1, version="Live"), tidal_track(2), tidal_track(3, countries=frozenset({"JP"})),
        tidal_track(4, is_video=True),
    )  # fmt: skip
    made = world.make_playlist(at_tidal.ana, "Odd", tracks=["1", "2", "3"], videos=["4"])
    world.remove_track("2")

    entries = list(at_tidal.reader.entries(made.playlist_id))

    kinds = [each.track.kind for each in entries]
    assert kinds == [EntryKind.TRACK, EntryKind.REMOVED, EntryKind.REMOVED, EntryKind.VIDEO]
    assert [each.track.uri for each in entries][1:] == ["tidal:track:2", "tidal:track:3", "tidal:video:4"]
    assert entries[0].track.title == "Song 1 (Live)"
    assert entries[1].original is not None


def test_the_account_has_its_lists_those_it_works_on_and_its_liked_tracks(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(3)
    berta = world.account("berta")
    mine = [world.make_playlist(at_tidal.ana, f"List {number}", access="PRIVATE") for number in range(3)]
    shared = world.make_playlist(berta, "Ours", access="PRIVATE")
    shared.collaborators = (at_tidal.ana,)
    world.make_playlist(berta, "Hers", access="PUBLIC")
    world.like(at_tidal.ana, "1", "3")
    world.page_sizes = (2,)

    heads = {each.playlist_id: each for each in at_tidal.reader.playlists()}

    assert set(heads) == {LIKED, shared.playlist_id, *(each.playlist_id for each in mine)}
    assert heads[LIKED].items == 2
    assert (heads[shared.playlist_id].owner_id, heads[shared.playlist_id].owner_name) == (berta.account_id, "berta")
    assert heads[shared.playlist_id].is_collaborative
    assert heads[mine[0].playlist_id].is_public is False
    liked = list(at_tidal.reader.entries(LIKED))
    assert [each.track.uri for each in liked] == ["tidal:track:3", "tidal:track:1"]
    assert all(each.added_at is not None for each in liked)


def test_a_change_of_a_list_changes_its_version(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(2)
    made = world.make_playlist(at_tidal.ana, "Morning", tracks=["1"])
    before = at_tidal.reader.head(made.playlist_id).version
    assert at_tidal.reader.head(made.playlist_id).version == before

    def change(method: str, path: str) -> None:
        if path.endswith("/items"):
            made.entries.insert(0, world.entry("tracks", "2"))
            world.touch(made)

    world.on_request = change
    list(at_tidal.reader.entries(made.playlist_id))
    world.on_request = lambda *_: None
    assert at_tidal.reader.head(made.playlist_id).version != before


def test_without_leave_to_read_liked_tracks_the_lists_are_read(at_tidal: AtTidal) -> None:
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    tokens = at_tidal.tokens_of("ana", "user.read", "playlists.read")
    heads = list(at_tidal.services.tidal_reader(tokens).playlists())
    assert [each.playlist_id for each in heads] == [made.playlist_id]


def test_a_list_that_may_not_be_seen_and_one_that_is_gone_look_the_same(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    hidden = world.make_playlist(world.account("berta"), "Secret", access="PRIVATE")
    for playlist_id in (hidden.playlist_id, "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(Gone):
            at_tidal.reader.head(playlist_id)
        with pytest.raises(Gone):
            list(at_tidal.reader.entries(playlist_id))


def test_the_app_alone_reads_public_lists_and_finds_tracks(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(2)
    public = at_tidal.tidal.world.make_playlist(at_tidal.ana, "For all", tracks=["1", "2"], access="PUBLIC")
    assert len(list(at_tidal.services.tidal_reader().entries(public.playlist_id))) == 2
    exchanges = at_tidal.tidal.sign_in.exchanges
    assert at_tidal.services.tidal_finder().by_isrc("DEA120000002")[0].title == "Song 2"
    assert at_tidal.tidal.sign_in.exchanges == exchanges, "one token serves until it runs out"
    with pytest.raises(Forbidden):
        list(at_tidal.services.tidal_reader().playlists())


def test_one_code_shows_every_track_that_has_it_and_several_show_one_each(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(30)
    world.add_tracks(*(tidal_track(100 + number, isrc="DEA120000005") for number in range(5)))
    world.page_sizes = (2,)
    found = at_tidal.finder.by_isrc("de-a12-0000005")
    assert {each.uri for each in found} == {"tidal:track:5", *(f"tidal:track:{100 + each}" for each in range(5))}
    assert found[0].artists
    assert found[0].album

    several = at_tidal.finder.by_isrcs([f"DEA12{number:07d}" for number in range(1, 31)] + ["ZZZ990000000"])
    assert len(several) == 30
    assert len([call for call in world.calls if call == "GET /tracks"]) == 3 + 2
    assert at_tidal.finder.by_isrcs([]) == {}
    with pytest.raises(BadInput):
        at_tidal.finder.by_isrc("DEA120000005,DEA120000006")


def test_tracks_are_found_by_name_best_first(at_tidal: AtTidal) -> None:
    at_tidal.tidal.world.add_tracks(
        tidal_track(1, title="Amber Tide", artists=("The Quay",)), tidal_track(2, title="Amber", artists=("Other",))
    )
    found = at_tidal.finder.search(title="Amber Tide", artist="The Quay")
    assert next((each.title, each.artists) for each in found) == ("Amber Tide", ("The Quay",))
    assert at_tidal.finder.search(title="Nothing", artist="Nobody") == ()


def test_reads_are_made_again_after_a_moment(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(1)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning", tracks=["1"])
    at_tidal.tidal.world.fail(ServiceFault(times=1, status=503, body="{}", on="/items"))
    at_tidal.tidal.world.fail(ServiceFault(times=1, is_reset=True, on="/items"))
    assert len(list(at_tidal.reader.entries(made.playlist_id))) == 1
    assert at_tidal.sleep.waits == [1.0, 4.0]

    at_tidal.tidal.world.fail(ServiceFault(times=3, status=500, body="{}", on="/items"))
    with pytest.raises(Transient):
        list(at_tidal.reader.entries(made.playlist_id))


@pytest.mark.parametrize(("tells", "wait_s"), [(True, 31), (False, 30)])
def test_too_many_requests_silence_everybody_for_as_long_as_tidal_says_or_half_a_minute(
    at_tidal: AtTidal, tells: bool, wait_s: int
) -> None:
    world = at_tidal.tidal.world
    made = world.make_playlist(at_tidal.ana, "Morning")
    world.requests_a_minute, world.tells_retry_after = 1, tells
    at_tidal.reader.head(made.playlist_id)
    calls, now = len(world.calls), at_tidal.clock.now()
    with pytest.raises(RateLimited) as limited:
        at_tidal.reader.head(made.playlist_id)
    assert abs((limited.value.retry_at - now) - timedelta(seconds=wait_s)) < timedelta(seconds=2)
    assert len(world.calls) == calls + 1
    # Another account asks too: it waits at the gate, and TIDAL hears nothing of it.
    if tells:
        with pytest.raises(RateLimited):
            at_tidal.services.tidal_reader(at_tidal.tokens_of("berta")).head(made.playlist_id)
        assert len(world.calls) == calls + 1
    at_tidal.clock.advance(timedelta(minutes=2))
    assert at_tidal.reader.head(made.playlist_id).name == "Morning"


def test_an_access_token_that_ran_out_is_renewed_once(at_tidal: AtTidal) -> None:
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    at_tidal.reader.head(made.playlist_id)
    at_tidal.tidal.sign_in.expire_access_tokens()
    assert at_tidal.reader.head(made.playlist_id).name == "Morning"
    assert at_tidal.tokens.rejections == 1


def test_no_page_leads_to_another_server(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    made = world.make_playlist(at_tidal.ana, "Morning", tracks=at_tidal.add_tracks(3))
    world.page_sizes, world.next_host = (2,), "https://tokens.example.org/v2"
    with pytest.raises(UnexpectedAnswer, match="another server"):
        list(at_tidal.reader.entries(made.playlist_id))
    # The same server, written out, is no other one.
    world.next_host = at_tidal.tidal.api_url
    assert len(list(at_tidal.reader.entries(made.playlist_id))) == 3


def test_pages_that_lead_in_a_circle_end(at_tidal: AtTidal) -> None:
    body = '{"data": [], "links": {"self": "/", "next": "/x?page[cursor]=again"}}'
    at_tidal.tidal.world.fail(ServiceFault(times=9, status=200, body=body, on="/items"))
    with pytest.raises(UnexpectedAnswer, match="circle"):
        list(at_tidal.reader.entries("abc"))


def test_an_id_cannot_lead_to_another_path(at_tidal: AtTidal) -> None:
    for playlist_id in ("../users/me", "a/b", "a?b=c", "", "x" * 65):
        with pytest.raises(BadInput):
            at_tidal.reader.head(playlist_id)
    assert at_tidal.tidal.world.calls == []


def test_tokens_are_in_no_error_and_no_repr(at_tidal: AtTidal) -> None:
    token = at_tidal.tokens().value
    body = json.dumps({"errors": [{"status": "403", "detail": f"Bearer {token} may not do this"}]})
    at_tidal.tidal.world.fail(ServiceFault(status=403, body=body))
    with pytest.raises(Forbidden, match="may not do this") as refused:
        at_tidal.reader.head("abc")
    assert token not in str(refused.value)
    assert token not in repr(at_tidal.tokens())


def test_moments_are_utc(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(1)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    made.entries = [at_tidal.tidal.world.entry("tracks", "1", datetime(2019, 1, 2, 3, tzinfo=UTC))]
    (entry,) = at_tidal.reader.entries(made.playlist_id)
    assert entry.added_at == datetime(2019, 1, 2, 3, tzinfo=UTC)
