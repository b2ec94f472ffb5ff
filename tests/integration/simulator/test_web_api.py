"""The Web API's answers: their shape against the public schema, their content against the truth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import httpx
import jsonschema
import pytest

from myi_pipeline.simulator.live import PERSONAS, Simulator
from tests.integration.simulator.web_api_schema import complain

Dialect = Literal["new", "old"]
Caller = Callable[..., httpx.Response]
RECENT = "/me/player/recently-played"


@pytest.mark.parametrize("dialect", ["new", "old"])
def test_every_answer_has_the_shape_of_the_public_web_api(simulator: Simulator, get: Caller, dialect: Dialect) -> None:
    for number in range(len(PERSONAS)):
        page = get(RECENT, listener=f"listener-{number + 1}", client_id=dialect, limit=50).json()
        complain(page, "recently_played", dialect)
        assert len(page["items"]) == 50
    complain(get("/me", client_id=dialect).json(), "me", dialect)
    for kind in ("tracks", "artists"):
        for term in ("short_term", "medium_term", "long_term"):
            found = get(f"/me/top/{kind}", client_id=dialect, time_range=term, limit=50).json()
            complain(found, f"top_{kind}", dialect)
            assert len(found["items"]) > 20
    world = simulator.control.world
    for track in [each for each in world.tracks.values() if not each.is_gone and not each.is_local][:40]:
        complain(get(f"/tracks/{track.api_id}", client_id=dialect).json(), "track", dialect)
    for album in world.albums[:25]:
        complain(get(f"/albums/{album.id}", client_id=dialect).json(), "album", dialect)
    for artist in list(world.artists.values())[:25]:
        complain(get(f"/artists/{artist.id}", client_id=dialect).json(), "artist", dialect)


def test_the_schema_tells_the_dialects_apart(get: Caller) -> None:
    page = get(RECENT, client_id="old", limit=50).json()
    with pytest.raises(jsonschema.ValidationError):
        complain(page, "recently_played", "new")
    with pytest.raises(jsonschema.ValidationError):
        complain(get("/me", client_id="new").json(), "me", "old")


def test_recently_played_is_the_window_of_the_truth_newest_first(simulator: Simulator, get: Caller) -> None:
    for listener in ("listener-1", "listener-4", "listener-8"):
        items = get(RECENT, listener=listener, limit=50).json()["items"]
        shown = [(item["track"]["uri"], datetime.fromisoformat(item["played_at"])) for item in items]
        assert shown == [(play.api_uri, play.reported_at) for play in simulator.control.window(listener)]
        assert [at for _, at in shown] == sorted((at for _, at in shown), reverse=True)


def test_paging_back_ends_at_the_fiftieth_play(simulator: Simulator, get: Caller, http: httpx.Client) -> None:
    token = simulator.sign_in("listener-10", client_id="new").access_token
    whole = [item["played_at"] for item in get(RECENT, listener="listener-10", limit=50).json()["items"]]
    found: list[str] = []
    following: str | None = f"{simulator.api_url}{RECENT}?limit=20"
    while following:
        page = http.get(following, headers={"authorization": f"Bearer {token}"}).json()
        complain(page, "recently_played")
        found += [item["played_at"] for item in page["items"]]
        following = page["next"]
    assert found == whole


def test_after_and_before_are_milliseconds_and_exclusive(simulator: Simulator, get: Caller) -> None:
    everything = get(RECENT, limit=50).json()
    times = [round(datetime.fromisoformat(item["played_at"]).timestamp() * 1000) for item in everything["items"]]

    later = get(RECENT, limit=50, after=times[10]).json()
    assert [item["played_at"] for item in later["items"]] == [i["played_at"] for i in everything["items"][:10]]
    earlier = get(RECENT, limit=50, before=times[10]).json()
    assert [item["played_at"] for item in earlier["items"]] == [i["played_at"] for i in everything["items"][11:]]
    assert everything["cursors"] == {"after": str(times[0]), "before": str(times[-1])}
    nothing = get(RECENT, after=times[0]).json()
    assert (nothing["items"], nothing["cursors"], nothing["next"]) == ([], None, None)


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 51}, {"limit": "many"}, {"after": 1, "before": 2}, {"after": -5}, {"before": "x"}],
)
def test_a_senseless_page_is_a_bad_request(get: Caller, query: dict[str, object]) -> None:
    answer = get(RECENT, **query)
    assert answer.status_code == 400
    complain(answer.json(), "error")


def test_time_brings_new_plays_and_no_listener_reads_anothers(simulator: Simulator, get: Caller) -> None:
    before = get(RECENT, listener="listener-10", limit=50).json()["items"]
    simulator.control.advance(timedelta(hours=10))
    after = get(RECENT, listener="listener-10", limit=50).json()["items"]
    assert before[0]["played_at"] < after[0]["played_at"]
    assert get(RECENT, listener="listener-9", limit=50).json()["items"] != after


def test_what_plays_now_is_told_while_it_plays(simulator: Simulator, get: Caller) -> None:
    now = simulator.control.now()
    plays = simulator.control.truth("listener-10", since=now - timedelta(days=1))
    play = next(each for each in plays if each.kind == "track" and not each.is_private and not each.is_offline)
    simulator.control.set_clock(play.started_at + timedelta(milliseconds=play.ms_played // 2))
    found = get("/me/player/currently-playing", listener="listener-10")
    complain(found.json(), "currently_playing")
    assert found.json()["item"]["uri"] == play.api_uri
    simulator.control.set_clock(play.ended_at + timedelta(milliseconds=500))
    assert get("/me/player/currently-playing", listener="listener-10").status_code == 204


def test_an_id_may_answer_with_another_one_and_both_give_the_same(simulator: Simulator, get: Caller) -> None:
    moved = [track for track in simulator.control.world.tracks.values() if track.archive_id not in (None, track.api_id)]
    assert moved
    for track in moved[:5]:
        new = get(f"/tracks/{track.archive_id}")
        assert new.json()["id"] == track.api_id
        assert new.json() == get(f"/tracks/{track.api_id}").json()
        assert get(f"/tracks/{track.archive_id}", client_id="old").json()["linked_from"]["id"] == track.archive_id


@pytest.mark.parametrize(("path", "status"), [("/tracks/" + "a" * 22, 404), ("/tracks/short", 400), ("/nothing", 404)])
def test_what_does_not_exist_is_not_found(get: Caller, path: str, status: int) -> None:
    assert get(path).status_code == status


def test_a_removed_track_is_gone(simulator: Simulator, get: Caller) -> None:
    gone = [track for track in simulator.control.world.tracks.values() if track.is_gone]
    assert gone
    answer = get(f"/tracks/{gone[0].archive_id}")
    assert answer.status_code == 404
    complain(answer.json(), "error")


def test_batches_are_for_old_apps_alone(simulator: Simulator, get: Caller) -> None:
    world = simulator.control.world
    tracks = [each for each in world.tracks.values() if not each.is_gone and not each.is_local][:3]
    ids = ",".join([*(track.api_id for track in tracks), "a" * 22])

    assert get("/tracks", ids=ids).status_code == 403
    found = get("/tracks", ids=ids, client_id="old").json()["tracks"]
    assert [each and each["id"] for each in found] == [*(track.api_id for track in tracks), None]
    complain(found[0], "track", "old")
    assert get("/albums", ids=",".join(a.id for a in world.albums[:21]), client_id="old").status_code == 400
    assert len(get("/artists", ids=next(iter(world.by_artist_id)), client_id="old").json()["artists"]) == 1


def test_the_same_song_bears_its_own_artist_and_its_album_the_albums(simulator: Simulator, get: Caller) -> None:
    """In a compilation the two differ; an archive names the album's."""
    world = simulator.control.world
    track = next(
        each
        for each in world.tracks.values()
        if world.thing(each.thing).artist != world.thing(each.thing).creator and not each.is_local and not each.is_gone
    )
    found = get(f"/tracks/{track.api_id}").json()
    assert found["artists"][0]["name"] == world.thing(track.thing).artist
    assert found["album"]["artists"][0]["name"] == world.thing(track.thing).creator
    assert found["album"]["album_type"] == "compilation"


def test_a_podcast_that_plays_is_an_episode_and_is_never_in_the_list(simulator: Simulator, get: Caller) -> None:
    start = simulator.control.now() - timedelta(days=200)
    plays = simulator.control.truth("listener-5", since=start)
    play = next(each for each in plays if each.kind == "episode" and not each.is_private and not each.is_offline)
    simulator.control.set_clock(play.started_at + timedelta(seconds=5))
    for asked, has_item in (({}, False), ({"additional_types": "track,episode"}, True)):
        found = get("/me/player/currently-playing", listener="listener-5", **asked).json()
        complain(found, "currently_playing")
        assert found["currently_playing_type"] == "episode"
        assert bool(found["item"]) == has_item
    simulator.control.set_clock(play.ended_at + timedelta(minutes=10))
    items = get(RECENT, listener="listener-5", limit=50).json()["items"]
    assert all(item["track"]["type"] == "track" for item in items)
