"""A play that Spotify tells otherwise the next time is not a new play."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.client import SpotifyClient
from myi_pipeline.providers.spotify.models import Entry, LinkedFrom, RecentlyPlayedPage, Track
from myi_pipeline.simulator.live import ListenerSpec, ScriptedPlay, world_of
from tests.integration.polling.conftest import HOUR, MINUTE, Polls


def test_another_id_and_a_moved_time_bring_no_new_play(polls: Polls) -> None:
    """In every second hour the list names each track by another id, and each play a millisecond later."""
    polls.setup.simulator.control.put_listener(ListenerSpec(key="listener-1", plays_per_day=0, relisted=1.0))
    polls.setup.clock.set(polls.now.replace(minute=0) + (2 - polls.now.hour % 2) * HOUR)
    times = polls.play(5)
    assert polls.poll().new_plays == 5
    for _ in range(3):
        polls.wait(HOUR)
        result = polls.poll()
        assert (result.outcome, result.new_plays, result.known_plays) == ("known", 0, 5)
    assert polls.kept() == times
    assert polls.gaps() == []


def test_an_id_that_spotify_has_relinked_meanwhile_brings_no_new_play(polls: Polls) -> None:
    """Names differ too: nothing but the alias says that both are one song."""
    (moment,) = polls.play(1)
    polls.poll()
    polls.setup.sql(
        "update raw.contents set title = 'Old', match_title = 'old', match_key = md5('old')::uuid, isrc = null,"
        " uri = 'spotify:track:old', content_key = md5('old')::uuid"
    )
    before = polls.setup.sql("select content_id from raw.listening_events")
    polls.poll()
    assert len(polls.kept()) == 2
    # Once the alias is known, nothing more of the kind comes in.
    (new,) = polls.setup.sql("select content_id from raw.listening_events where content_id <> %s", *before[0])
    polls.setup.sql("delete from raw.listening_events where content_id = %s", *new)
    polls.setup.sql("insert into raw.content_aliases values (%s, %s, 'relinked')", *before[0], *new)
    assert polls.poll().known_plays == 1
    assert polls.kept() == [moment]


def test_a_track_that_another_one_stands_in_for_brings_no_new_play(
    polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a name nor the recording code agrees, but the answer says which track was played."""
    times = polls.play(3)
    assert polls.poll().new_plays == 3
    ask = SpotifyClient.recently_played

    def stood_in_for(track: Track) -> Track:
        other = {"id": f"{track.id}x", "uri": f"{track.uri}x", "name": f"Other {track.name}", "external_ids": {}}
        return track.model_copy(update=other | {"linked_from": LinkedFrom(id=track.id, uri=track.uri)})

    def ask_elsewhere(client: SpotifyClient, token: AccessToken) -> RecentlyPlayedPage:
        entries = ask(client, token).entries
        return RecentlyPlayedPage(
            tuple(
                Entry(entry.index, entry.play.model_copy(update={"track": stood_in_for(entry.play.track)}))
                for entry in entries
            )
        )

    monkeypatch.setattr(SpotifyClient, "recently_played", ask_elsewhere)
    polls.wait(6 * MINUTE)
    assert polls.poll().outcome == "known"
    assert (polls.kept(), polls.gaps()) == (times, [])


def test_a_page_that_names_one_play_twice_brings_it_once_and_two_songs_of_one_second_stay_two(polls: Polls) -> None:
    world = world_of(polls.setup.simulator.spec)
    one, other = sorted(world.listable)[:2]
    began = polls.now
    at = began + timedelta(milliseconds=60_150)
    polls.setup.simulator.control.add_plays(
        "listener-1",
        *(
            ScriptedPlay(started_at=began, track=track, ms_played=60_000, reported_at=at + timedelta(milliseconds=ms))
            for track, ms in ((one, 0), (one, 1), (other, 1), (one, 1_001))
        ),
    )
    polls.wait(2 * MINUTE)
    result = polls.poll()
    assert (result.items, result.new_plays, result.known_plays) == (4, 3, 1)
