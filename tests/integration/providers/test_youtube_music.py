"""YouTube Music over HTTP: a video at a time, and never more units than the day holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from myi_pipeline.errors import AuthRevoked, BadInput, Forbidden, Gone, RateLimited, Transient
from myi_pipeline.providers.pkce import new_challenge, read_redirect
from myi_pipeline.providers.playlists import LIKED, EntryKind, ListChanged
from myi_pipeline.providers.youtube_music.day_quota import Kind
from myi_pipeline.simulator.services import ServiceFault
from myi_pipeline.simulator.youtube import Video
from tests.integration.providers.conftest import AtYouTube

REDIRECT = "http://127.0.0.1:8898/callback"


def test_a_login_of_a_project_in_testing_ends_after_seven_days_and_says_so_before(at_youtube: AtYouTube) -> None:
    sign_in, challenge = at_youtube.services.youtube_sign_in(), new_challenge()
    assert "ends after 7 days" in sign_in.terms.note
    assert sign_in.terms.lasts == timedelta(days=7)
    back = at_youtube.youtube.visit(sign_in.authorise_url(challenge, redirect_uri=REDIRECT), "ana")
    grant = sign_in.exchange(read_redirect(back, challenge, service="Google"), challenge, redirect_uri=REDIRECT)
    assert (sign_in.who(grant.access).account_id, sign_in.who(grant.access).name) == ("UCana", "ana")
    assert grant.refresh_token is not None
    at_youtube.clock.advance(timedelta(days=6, hours=23))
    assert sign_in.refresh(grant.refresh_token).refresh_token is None
    at_youtube.clock.advance(timedelta(hours=2))
    with pytest.raises(AuthRevoked):
        sign_in.refresh(grant.refresh_token)


def test_every_entry_of_every_list_is_read_at_two_units_for_fifty(at_youtube: AtYouTube) -> None:
    world = at_youtube.world
    order = [*at_youtube.add_videos(60), "v3", "v3"]
    world.add_videos(Video(video_id="v0", title="The Quay - Amber Tide (Official Video)", channel="Some Label"))
    made = world.make_playlist("ana", "Morning", ["v0", *order])
    world.make_playlist("berta", "Hers")
    world.delete_video("v2")
    world.playlists[world.liked_of("ana")].items = [world.item("v5")]

    heads = list(at_youtube.music.playlists())
    assert [each.playlist_id for each in heads] == [LIKED, made.playlist_id]
    assert (heads[1].name, heads[1].items, heads[1].is_public, heads[1].owner_name) == ("Morning", 63, False, "ana")
    assert at_youtube.music.head(made.playlist_id) == heads[1]

    before = at_youtube.services.youtube_units().used(Kind.UNITS)
    entries = list(at_youtube.music.entries(made.playlist_id))
    assert at_youtube.services.youtube_units().used(Kind.UNITS) - before == 4
    assert [each.track.uri for each in entries] == [f"youtube:video:{each}" for each in ["v0", *order]]
    assert [each.item_id for each in entries] == [each.item_id for each in made.items]
    first, second, gone = (entries[place].track for place in (0, 1, 2))
    assert (first.artists, first.title, first.duration_ms) == (("The Quay",), "Amber Tide", 200_000)
    assert (second.artists, second.title) == (("Artist 1",), "Song 1")
    assert (gone.kind, gone.uri) == (EntryKind.REMOVED, "youtube:video:v2")
    assert [each.track.uri for each in at_youtube.music.entries(LIKED)] == ["youtube:video:v5"]
    assert world.used[world.today(), "units"] == at_youtube.services.youtube_units().used(Kind.UNITS)


def test_a_list_is_made_and_changed_a_video_at_a_time(at_youtube: AtYouTube) -> None:
    at_youtube.add_videos(4)
    music = at_youtube.music
    head = music.create("Mor<ning>", description="Slow", is_public=False, key="a")
    made = at_youtube.world.playlists[head.playlist_id]
    assert (made.title, made.description, made.privacy) == ("Morning", "Slow", "private")

    def add(video: str, position: int | None = None) -> tuple[int, ...]:
        return music.add(
            head.playlist_id, [f"youtube:video:{video}"], position=position, added_at=[None], key="k"
        ).skipped  # fmt: skip

    assert [add("v1"), add("v2"), add("v3"), add("v3", 0), add("gone")] == [(), (), (), (), (0,)]
    assert made.video_ids == ["v3", "v1", "v2", "v3"]
    ids = [each.item_id for each in made.items]
    music.move(head.playlist_id, start=0, length=1, before=3, item_ids=ids[:1], key="b")
    assert made.video_ids == ["v1", "v2", "v3", "v3"]
    assert made.items[2].item_id == ids[0]
    with pytest.raises(ListChanged):
        music.move(head.playlist_id, start=0, length=1, before=3, item_ids=ids[:1], key="c")
    music.remove(head.playlist_id, positions=[2], uris=["youtube:video:v3"], item_ids=ids[:1], key="d")
    assert [each.item_id for each in made.items] == [ids[1], ids[2], ids[3]]


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_write_is_sent_once_whatever_comes_of_it(at_youtube: AtYouTube, is_lost: bool) -> None:
    """YouTube knows no keys: sent again, a video would be on the list twice."""
    at_youtube.add_videos(2)
    world, music = at_youtube.world, at_youtube.music
    made = world.make_playlist("ana", "Morning", ["v1", "v1"])
    ids, here = [each.item_id for each in made.items], made.playlist_id
    for method, write in (
        ("POST", lambda: music.add(here, ["youtube:video:v2"], position=None, added_at=[None], key="k")),
        ("POST", lambda: music.create("New", description=None, is_public=True, key="k")),
        ("PUT", lambda: music.move(here, start=0, length=1, before=2, item_ids=ids[:1], key="k")),
        ("DELETE", lambda: music.remove(here, positions=[0], uris=[], item_ids=ids[1:], key="k")),
    ):
        world.writes.clear()
        world.fail(ServiceFault(is_lost=is_lost, is_reset=not is_lost, on=method))
        with pytest.raises(Transient):
            write()
        assert [done for _, done in world.writes] == [is_lost], method
    assert made.video_ids == (["v1", "v2"] if is_lost else ["v1", "v1"])
    assert at_youtube.sleep.waits == []


def test_no_request_is_sent_that_the_day_does_not_hold_and_the_next_day_holds_all(at_youtube: AtYouTube) -> None:
    world, music = at_youtube.world, at_youtube.music
    videos = at_youtube.add_videos(1)
    made = world.make_playlist("ana", "Morning")

    def add() -> None:
        music.add(made.playlist_id, [f"youtube:video:{videos[0]}"], position=None, added_at=[None], key="k")

    for _ in range(200):
        add()
    calls = len(world.calls)
    with pytest.raises(RateLimited, match="for today are used up") as limited:
        add()
    # Midnight in California.
    assert limited.value.retry_at == datetime(2026, 3, 3, 8, tzinfo=UTC)
    assert len(world.calls) == calls
    assert world.used[world.today(), "units"] == 10_000
    assert music.search(title="Nothing", artist="Nobody") == (), "searches are counted apart"
    at_youtube.clock.advance(limited.value.retry_at - at_youtube.clock.now())
    add()
    assert len(made.items) == 201


def test_a_day_that_others_used_up_is_believed(at_youtube: AtYouTube) -> None:
    at_youtube.world.units_a_day = 1
    made = at_youtube.world.make_playlist("ana", "Morning")
    at_youtube.music.head(made.playlist_id)
    for _ in range(2):
        with pytest.raises(RateLimited) as limited:
            at_youtube.music.head(made.playlist_id)
        assert limited.value.retry_at == datetime(2026, 3, 3, 8, tzinfo=UTC)
    assert len(at_youtube.world.calls) == 2
    assert at_youtube.services.youtube_units().used(Kind.UNITS) == 10_000


def test_two_that_ask_at_once_never_take_the_same_last_search(at_youtube: AtYouTube) -> None:
    at_youtube.world.searches_a_day = 1_000
    outcomes: list[bool] = []

    def search() -> None:
        for _ in range(30):
            try:
                at_youtube.services.youtube_units().take(Kind.SEARCHES, 1)
                outcomes.append(True)
            except RateLimited:
                outcomes.append(False)

    threads = [Thread(target=search) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert (outcomes.count(True), outcomes.count(False)) == (100, 20)


def test_too_many_requests_at_once_are_made_again_later_and_cost_no_day(at_youtube: AtYouTube) -> None:
    made = at_youtube.world.make_playlist("ana", "Morning")
    at_youtube.world.too_fast = 1
    with pytest.raises(RateLimited) as limited:
        at_youtube.music.head(made.playlist_id)
    assert limited.value.retry_at - at_youtube.clock.now() < timedelta(minutes=2)
    at_youtube.clock.advance(timedelta(minutes=2))
    assert at_youtube.music.head(made.playlist_id).name == "Morning"


def test_videos_are_found_by_name_and_codes_cost_nothing(at_youtube: AtYouTube) -> None:
    at_youtube.world.add_videos(
        Video(video_id="a", title="Amber Tide", channel="The Quay - Topic", seconds=183),
        Video(video_id="b", title="Amber waves of grain", channel="Fields"),
    )
    found = at_youtube.music.search(title="Amber Tide", artist="The Quay")
    assert (found[0].uri, found[0].artists, found[0].duration_ms) == ("youtube:video:a", ("The Quay",), 183_000)
    calls = len(at_youtube.world.calls)
    assert at_youtube.music.by_isrc("DEA120000001") == ()
    assert len(at_youtube.world.calls) == calls


def test_what_may_not_be_seen_or_done_is_told_apart(at_youtube: AtYouTube) -> None:
    hers = at_youtube.world.make_playlist("berta", "Hers")
    with pytest.raises(Gone):
        at_youtube.music.head(hers.playlist_id)
    with pytest.raises(Gone):
        list(at_youtube.music.entries("PL404"))
    at_youtube.tokens.held = None
    at_youtube.tokens.scopes = ("https://www.googleapis.com/auth/youtube.readonly",)
    with pytest.raises(Forbidden):
        at_youtube.music.create("New", description=None, is_public=False, key="k")
    for playlist_id in ("../videos", "a/b", ""):
        with pytest.raises(BadInput):
            list(at_youtube.music.entries(playlist_id))


def test_a_plan_starts_from_what_today_has_left(at_youtube: AtYouTube) -> None:
    fresh = at_youtube.services.plan_for_youtube(tracks=180, searches=50)
    assert len(fresh.days) == 1
    assert fresh.ends_by == datetime(2026, 3, 3, 8, tzinfo=UTC)
    for _ in range(100):
        at_youtube.services.youtube_units().take(Kind.UNITS, 50)
    assert len(at_youtube.services.plan_for_youtube(tracks=180, searches=50).days) == 2
