"""What is playing, asked of a simulated Spotify over HTTP for whoever looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from myi_pipeline.polling.live_wishes import Fulfilment, fulfilling_wishes, take_wishes
from myi_pipeline.polling.now_playing import NowPlaying, Reading, now_playing_of, read_now_playing
from myi_pipeline.polling.poll_users import PollResult
from myi_pipeline.polling.top_items import TopResult
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.postgres.wake_ups import CHANNEL
from myi_pipeline.providers.spotify.open_spotify import open_spotify
from myi_pipeline.simulator.live import Fault, ScriptedPlay, world_of
from tests.integration.polling.conftest import HOUR, MINUTE, Polls

CURRENTLY_PLAYING = "/v1/me/player/currently-playing"


def look(polls: Polls) -> NowPlaying:
    setup = polls.setup
    with (
        open_spotify(setup.settings, setup.warehouse, clock=setup.clock, sleep=setup.sleep) as spotify,
        setup.warehouse.pool(Role.INGEST, application_name="test") as pool,
    ):
        return read_now_playing(spotify, pool, user_id=polls.user_id, clock=setup.clock)


def kept(polls: Polls) -> Reading:
    with polls.setup.warehouse.connect(Role.APP, autocommit=True) as connection:
        return now_playing_of(connection, user_id=polls.user_id)


def begin(polls: Polls, *, track: int | None = None, length: timedelta = 3 * MINUTE, **fields: bool) -> int:
    """Ana begins to play a track; its place in the world."""
    world = world_of(polls.setup.simulator.spec)
    chosen = track if track is not None else min(world.listable)
    play = ScriptedPlay(started_at=polls.now, track=chosen, ms_played=int(length.total_seconds() * 1000), **fields)
    polls.setup.simulator.control.add_plays("listener-1", play)
    return chosen


def due_at(polls: Polls) -> object:
    ((due,),) = polls.setup.sql("select due_at from ops.poll_states where user_id = %s", polls.user_id)
    return due


def test_what_plays_is_shown_and_is_never_a_play(polls: Polls) -> None:
    assert look(polls) == NowPlaying(state="nothing")
    thing = world_of(polls.setup.simulator.spec).thing(begin(polls))
    polls.wait(MINUTE)

    found = look(polls)

    assert (found.state, found.kind, found.title) == ("playing", "track", thing.title_in("new"))
    assert (found.artists, found.album) == ((thing.artist,), thing.collection)
    assert (found.progress_ms, found.duration_ms) == (60_000, thing.duration_ms)
    assert kept(polls).is_fresh(polls.now)
    assert not kept(polls).is_fresh(polls.now + MINUTE)
    # A clock that was ahead when it was written keeps nothing fresh for ever.
    assert not kept(polls).is_fresh(polls.now - 2 * MINUTE)
    assert polls.kept() == []
    assert polls.setup.sql("select count(*) from raw.listening_events") == [(0,)]
    calls = polls.setup.sql("select bucket, sum(calls) from ops.quota_calls group by 1 order by 1")
    assert ("now_playing", 2) in calls


def test_a_private_session_an_advertisement_and_an_episode_are_read_as_far_as_they_are_told(polls: Polls) -> None:
    begin(polls, private=True)
    assert look(polls) == NowPlaying(state="nothing")

    control = polls.setup.simulator.control
    head = {"is_playing": True, "progress_ms": 5_000}
    episode = {
        "name": "One",
        "duration_ms": "60000",
        "uri": "spotify:episode:1",
        "show": {"name": "Talk"},
        "type": "episode",
    }
    for document, wanted in (
        ({**head, "currently_playing_type": "ad"}, NowPlaying(state="playing", kind="ad", progress_ms=5_000)),
        ({**head, "currently_playing_type": "unknown"}, NowPlaying(state="playing", kind="other")),
        ({"is_playing": False, "item": None}, NowPlaying(state="nothing")),
        (
            {**head, "currently_playing_type": "episode", "item": episode},
            NowPlaying(
                state="playing", kind="episode", title="One", artists=("Talk",), uri="spotify:episode:1",
                duration_ms=60_000, progress_ms=5_000,
            ),
        ),
        # What cannot be read is left out: a length that is no number, a progress beyond the end, a list of one.
        (
            {
                "is_playing": "maybe",
                "progress_ms": 90_000,
                "item": {"name": 1989, "duration_ms": [], "artists": {"name": "A"}},
            },
            NowPlaying(state="playing", kind="other", title="1989", artists=("A",), progress_ms=90_000),
        ),
    ):  # fmt: skip
        control.fail(Fault(kind="document", path=CURRENTLY_PLAYING, document=document))
        assert look(polls) == wanted


def test_a_login_without_the_permission_goes_on_without_it(polls: Polls) -> None:
    begin(polls)
    polls.setup.sql("update app.credentials set scopes = '{user-read-recently-played,user-top-read}'")

    found = look(polls)

    assert found.state == "unknown"
    assert "connect Spotify again" in str(found.reason)
    assert polls.setup.simulator.control.calls(route="/me/player/currently-playing") == 0
    assert polls.poll().polled


def test_a_429_silences_what_is_playing_and_no_poll(polls: Polls) -> None:
    begin(polls)
    polls.setup.simulator.control.fail(Fault(path=CURRENTLY_PLAYING, status=429, retry_after=600))

    assert look(polls).state == "unknown"
    polls.wait(5 * MINUTE)
    assert look(polls).state == "unknown"
    assert polls.poll().polled
    polls.wait(6 * MINUTE)
    assert look(polls).state in ("playing", "nothing")


def test_the_looks_of_a_day_are_limited_and_take_nothing_from_polls(polls: Polls) -> None:
    polls.setup.sql(
        "insert into ops.quota_calls (client_id, called_at, bucket, calls)"
        " select client_id, %s, 'now_playing', 600 from app.credentials",
        polls.now - HOUR,
    )
    assert "used up" in str(look(polls).reason)
    assert polls.poll().polled


def test_somebody_who_is_seen_listening_is_polled_by_the_pace_of_those_who_listen(polls: Polls) -> None:
    polls.poll()
    polled_at = polls.now
    assert due_at(polls) > polled_at + 5 * MINUTE
    first, second = sorted(world_of(polls.setup.simulator.spec).listable)[:2]
    begin(polls, track=first)
    polls.wait(MINUTE)

    look(polls)

    assert due_at(polls) == polled_at + 5 * MINUTE
    # The track has ended: what it was is in Spotify's list now.
    polls.wait(2 * MINUTE + 10 * MINUTE / 60)
    begin(polls, track=second)
    polls.wait(MINUTE / 6)
    look(polls)
    assert due_at(polls) == max(polls.now, polled_at + 3 * MINUTE)
    assert polls.poll(force=False, within=timedelta(0)).new_plays == 1


@contextmanager
def fulfilling(polls: Polls) -> Iterator[tuple[Fulfilment, list[PollResult]]]:
    made: list[PollResult] = []
    setup = polls.setup
    with fulfilling_wishes(
        setup.settings, setup.warehouse, on_poll=made.append, clock=setup.clock, sleep=setup.sleep
    ) as fulfilment:
        yield fulfilment, made


def test_a_poll_that_is_asked_for_on_a_page_is_made_at_once(polls: Polls) -> None:
    polls.poll()
    polls.wait(6 * MINUTE)
    polls.play(2)
    setup = polls.setup
    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as hearing,
        setup.warehouse.connect(Role.APP, autocommit=True) as page,
    ):
        hearing.execute(f"listen {CHANNEL}".encode())
        page.execute("select ops.poll_now(%s, %s)", (polls.user_id, polls.now))
        assert [each.payload for each in hearing.notifies(timeout=5, stop_after=1)] == ["live"]
        with pytest.raises(Exception, match="permission denied"):
            page.execute("select * from ops.live_wishes")

        with fulfilling(polls) as (fulfilment, made):
            fulfilment.begin(take_wishes(hearing))
        # Whoever keeps the marts hears of it.
        assert [each.payload for each in hearing.notifies(timeout=5, stop_after=1)] == ["changes"]
        assert take_wishes(hearing) == []

    assert [(result.outcome, result.new_plays) for result in made] == [("gap", 2)] or made[0].new_plays == 2
    assert len(polls.kept()) == 2


def test_a_wish_that_is_said_often_is_heard_once_and_again_when_nobody_took_it(polls: Polls) -> None:
    setup = polls.setup
    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as hearing,
        setup.warehouse.connect(Role.APP, autocommit=True) as page,
    ):
        hearing.execute(f"listen {CHANNEL}".encode())

        def say() -> int:
            page.execute("select ops.wish(%s, 'now_playing', %s)", (polls.user_id, polls.now))
            return len(list(hearing.notifies(timeout=0.3)))

        assert [say(), say()] == [1, 0]
        polls.wait(timedelta(seconds=6))
        assert say() == 1
        # A clock that was put back.
        polls.wait(-HOUR)
        assert say() == 1
        with fulfilling(polls) as (fulfilment, made):
            fulfilment.begin(take_wishes(hearing))
    assert made == []
    assert kept(polls).answer is not None


def test_whoever_is_here_again_has_their_top_lists_read_once_in_a_day(polls: Polls) -> None:
    """Away for a month, so that no schedule reads them; the page does not wait for it."""
    setup = polls.setup
    polls.poll()
    polls.wait(30 * 24 * HOUR)
    read: list[TopResult] = []

    def open_the_overview(page: Connection, hearing: Connection) -> int:
        """How many lists that brought, after the wish was fulfilled, if there was one."""
        page.execute("select ops.want_top_lists(%s, %s)", (polls.user_id, polls.now))
        before = len(read)
        with fulfilling_wishes(
            setup.settings, setup.warehouse, on_poll=lambda _: None, on_top_lists=read.append,
            clock=setup.clock, sleep=setup.sleep,
        ) as fulfilment:  # fmt: skip
            wishes = take_wishes(hearing)
            # Said by two pages at once.
            fulfilment.begin([*wishes, *wishes])
        return sum(result.lists for result in read[before:])

    with (
        setup.warehouse.connect(Role.INGEST, autocommit=True) as hearing,
        setup.warehouse.connect(Role.APP, autocommit=True) as page,
    ):
        hearing.execute(f"listen {CHANNEL}".encode())
        assert open_the_overview(page, hearing) == 6
        assert {each.payload for each in hearing.notifies(timeout=0.3)} == {"live", "changes"}
        assert setup.sql("select refreshed_at from ops.top_refreshes") == [(polls.now,)]
        polls.wait(23 * HOUR)
        assert open_the_overview(page, hearing) == 0
        polls.wait(2 * HOUR)
        assert open_the_overview(page, hearing) == 6
        assert len(read) == 2
        for obstacle in ("paused_at = now()", "paused_at = null, status = 'reauth_required'"):
            polls.wait(25 * HOUR)
            setup.sql(f"update app.credentials set {obstacle} where user_id = %s", polls.user_id)
            page.execute("select ops.want_top_lists(%s, %s)", (polls.user_id, polls.now))
            assert take_wishes(hearing) == []
