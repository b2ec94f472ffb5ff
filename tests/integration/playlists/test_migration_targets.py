"""Playlists are moved to Spotify and to YouTube Music: what each service refuses, loses and limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from myi_pipeline.cli.app import main
from myi_pipeline.errors import BadInput, RateLimited, Transient
from myi_pipeline.playlists.migration import deciding, item_rows, job_orders, moving, orders
from myi_pipeline.playlists.migration.driving import Driver, PutOff
from myi_pipeline.playlists.migration.moving import PlanPutOff
from myi_pipeline.playlists.migration.store import CancelAsked
from myi_pipeline.playlists.migration.targets import account_for
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.providers.playlists import ListedTrack
from myi_pipeline.providers.spotify.finder import SpotifyFinder
from myi_pipeline.simulator.live import world_of
from tests.integration.credentials.conftest import make_setup
from tests.integration.playlists.conftest import Lists, lists
from tests.integration.playlists.movers import (
    AtService,
    MovingToSpotify,
    MovingToTidal,
    MovingToYouTube,
    moving_to_spotify,
    moving_to_tidal,
    moving_to_youtube,
)
from tests.integration.providers.conftest import AtTidal, AtYouTube, at_tidal, at_youtube

__all__ = ["at_tidal", "at_youtube", "lists", "make_setup"]


@pytest.fixture
def spotify(lists: Lists) -> Iterator[MovingToSpotify]:
    with moving_to_spotify(lists) as made:
        yield made


@pytest.fixture
def youtube(at_youtube: AtYouTube, warehouse: Warehouse) -> Iterator[MovingToYouTube]:
    with moving_to_youtube(at_youtube, warehouse) as made:
        yield made


@pytest.fixture
def tidal(at_tidal: AtTidal, warehouse: Warehouse) -> Iterator[MovingToTidal]:
    with moving_to_tidal(at_tidal, warehouse) as made:
        yield made


def matches(at: AtService, migration_id: int) -> Sequence[item_rows.Matched]:
    return item_rows.list_matches(at.connection, migration_id=migration_id)


# Spotify


def test_a_playlist_is_moved_to_spotify_a_hundred_at_once_and_found_by_code(spotify: MovingToSpotify) -> None:
    numbers = [*range(60), *range(60), 7, 7, *range(59, -1, -1)]
    control = spotify.lists.setup.simulator.control
    control.forget_calls()
    made = spotify.plan(spotify.source(numbers))
    assert control.calls(route="/search") == 60
    assert {each.reason for each in matches(spotify, made)} == {"same_isrc"}
    writes = spotify.writes()
    assert spotify.run(made).is_done
    assert spotify.moved(made) == spotify.uris(numbers)
    assert spotify.writes() - writes == 1 + 2
    # What was asked once is not asked again.
    again = spotify.plan(spotify.source(numbers))
    assert control.calls(route="/search") == 60
    assert spotify.run(again).is_done
    assert spotify.run(made).requests == 0


def test_a_track_without_a_code_is_found_at_spotify_by_its_names(spotify: MovingToSpotify) -> None:
    spotify.tracks[0] = replace(spotify.tracks[0], isrc=None)
    spotify.tracks[1] = replace(spotify.tracks[1], isrc=None, artists=("Nobody At All",))
    made = spotify.plan(spotify.source([0, 1]))
    first, second = matches(spotify, made)
    assert (first.uri, first.outcome) == (spotify.tracks[0].uri, "matched")
    assert second.outcome in ("missing", "ambiguous")


def test_a_spotify_login_that_may_not_write_is_no_target_and_says_how_to_allow_it(lists: Lists) -> None:
    with moving_to_spotify(lists) as spotify:
        given = account_for(spotify.connection, user_id=spotify.user_id, account_id=None)
        assert given.account_id == spotify.account_id
        for without in ({"denied": ("playlist-modify-private", "playlist-modify-public")}, {"with_writes": False}):
            lists.sign_in(**({"with_writes": True} | without))  # type: ignore[arg-type]
            with pytest.raises(BadInput, match="myi user login ana --playlist-writes"):
                account_for(spotify.connection, user_id=spotify.user_id, account_id=None)
        # What only reads goes on.
        lists.put("mine", lists.entries([1]))
        assert lists.gather().outcome == "gathered"


@pytest.mark.parametrize("kind", ["lost", "reset", "status"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_spotify_does_not_answer_is_read_back_and_not_made_twice(
    spotify: MovingToSpotify, kind: str, after: int
) -> None:
    numbers = [*range(60), *range(60), *range(60)]
    made = spotify.plan(spotify.source(numbers))
    held = len(spotify.all())
    spotify.fail(kind, after=after)
    for _ in range(3):
        try:
            assert spotify.run(made).is_done
            break
        except Transient:
            continue
    assert spotify.moved(made) == spotify.uris(numbers)
    assert len(spotify.all()) == held + 1


@pytest.mark.parametrize("is_equal", [False, True])
def test_what_spotify_shows_only_seconds_later_is_not_written_twice(spotify: MovingToSpotify, is_equal: bool) -> None:
    """Reads some seconds behind confirmed writes were believed, and what they lacked was added again."""
    control = spotify.lists.setup.simulator.control
    numbers = [number % 60 for number in range(230)]
    there = spotify.make("There", spotify.uris([3, 2, 1]))
    made = spotify.plan(spotify.source(numbers), into=there, is_equal=is_equal)
    control.limit_playlists(late_by_s=20)
    spotify.fail("lost", after=1)
    assert spotify.run(made).is_done
    held = spotify.uris(numbers) if is_equal else spotify.uris([3, 2, 1, *numbers])
    assert spotify.moved(made) == held
    # Another process comes at once, and believes nothing that is older than the last write.
    writes = spotify.writes()
    assert spotify.run(made).requests == 0
    assert (spotify.moved(made), spotify.writes()) == (held, writes)


def test_a_plan_knows_what_another_migration_has_written_a_moment_ago(spotify: MovingToSpotify) -> None:
    there = spotify.make("There", spotify.uris([3]))
    made = spotify.plan(spotify.source([number % 60 for number in range(150)]), into=there)
    spotify.lists.setup.simulator.control.limit_playlists(late_by_s=20)

    def cancel() -> None:
        spotify.connection.execute(
            "update app.migrations set cancel_asked_at = %s where migration_id = %s", (spotify.clock.now(), made)
        )

    with spotify.target() as target, pytest.raises(CancelAsked):
        moving.run(
            spotify.connection, target, spotify.find(made), clock=spotify.clock, sleep=spotify.sleep, on_settled=cancel
        )  # fmt: skip
    other = spotify.plan(spotify.source([0], name="Other"), into=there)
    _, held = spotify.all()[there]
    assert len(held) == 101
    assert spotify.find(other).target_before == held


def test_a_new_playlist_that_spotify_lists_only_seconds_later_is_made_once(spotify: MovingToSpotify) -> None:
    spotify.lists.setup.simulator.control.limit_playlists(late_by_s=20)
    made = spotify.plan(spotify.source([1, 2]))
    spotify.fail("lost")
    spotify.run(made)
    assert spotify.moved(made) == spotify.uris([1, 2])
    assert len(spotify.all()) == 1


def test_a_pause_while_tracks_are_looked_for_stops_there_and_goes_on_when_it_is_over(
    spotify: MovingToSpotify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was left when a person paused was missing from the plan, as if Spotify did not have it."""
    control = spotify.lists.setup.simulator.control
    source, asked = spotify.source([1, 2, 3, 4]), 0
    find = SpotifyFinder.by_isrc

    def pausing(self: SpotifyFinder, isrc: str) -> tuple[ListedTrack, ...]:
        nonlocal asked
        asked += 1
        if asked == 3:
            accounts.pause_account(
                spotify.connection, user_id=spotify.user_id, account_id=spotify.account_id, now=spotify.clock.now()
            )
        return find(self, isrc)

    monkeypatch.setattr(SpotifyFinder, "by_isrc", pausing)
    wanted = orders.Order(playlist_id=source, account_id=spotify.account_id)
    with spotify.warehouse.connect(Role.APP, autocommit=True) as page:
        number = orders.order_migration(
            page, user_id=spotify.user_id, order=wanted, now=spotify.clock.now()
        ).migration_id
    driver = Driver(spotify.settings, spotify.warehouse, clock=spotify.clock, sleep=spotify.sleep)
    with pytest.raises(PutOff, match="paused"):
        driver.run_now(number)
    assert (spotify.find(number).state, matches(spotify, number)) == ("ordered", ())
    assert job_orders.due_orders(spotify.connection, now=spotify.clock.now() + timedelta(days=1)) == ()
    accounts.pause_account(spotify.connection, user_id=spotify.user_id, account_id=spotify.account_id, now=None)
    control.forget_calls()
    driver.run_now(number)
    assert [each.outcome for each in matches(spotify, number)] == ["matched"] * 4
    # What was answered before is not asked again.
    assert control.calls(route="/search") == 2


def test_a_list_that_somebody_changes_meanwhile_is_not_moved_by_places_of_before(
    spotify: MovingToSpotify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spotify refuses a move whose snapshot id is no longer the list's, and it is planned again."""
    there = spotify.make("There", spotify.uris([3, 2, 1, 0]))
    made = spotify.plan(spotify.source([0, 1, 2, 3]), into=there, is_equal=True)
    setup = spotify.lists.setup
    with spotify.target() as target:
        move, moves = type(target.writer).move, 0

        def somebody_is_faster(*given: Any, **named: Any) -> None:
            nonlocal moves
            moves += 1
            if moves == 1:
                spec = setup.simulator.control.playlist("listener-1", there)
                setup.simulator.control.put_playlist(
                    spec.model_copy(update={"entries": (spec.entries[-1], *spec.entries)})
                )
            move(*given, **named)

        monkeypatch.setattr(type(target.writer), "move", somebody_is_faster)
        applied = moving.run(
            spotify.connection, target, spotify.find(made), clock=spotify.clock, sleep=spotify.sleep
        )  # fmt: skip
    assert applied.is_done
    assert spotify.moved(made) == spotify.uris([0, 1, 2, 3])


def test_one_track_that_spotify_does_not_take_is_left_out_and_all_others_are_added(spotify: MovingToSpotify) -> None:
    numbers = list(range(40))
    made = spotify.plan(spotify.source(numbers))
    for position, uri in ((13, "spotify:track:" + "0" * 22), (39, "spotify:track:" + "1" * 22)):
        deciding.decide(
            spotify.connection, migration=spotify.find(made), position=position, kind="is", uri=uri,
            now=spotify.clock.now(),
        )  # fmt: skip
    applied = spotify.run(made)
    assert (applied.is_done, applied.refused) == (True, (13, 39))
    assert spotify.moved(made) == spotify.uris([each for each in numbers if each not in (13, 39)])
    assert [each.position for each in matches(spotify, made) if each.is_refused] == [13, 39]
    assert spotify.run(made).requests == 0


def test_the_first_track_of_a_list_that_is_replaced_may_be_one_that_spotify_does_not_take(
    spotify: MovingToSpotify,
) -> None:
    """One of two equal entries cannot be removed there, so that the whole list is replaced."""
    there = spotify.make("There", spotify.uris([9, 5, 5]))
    made = spotify.plan(spotify.source([0, 5, 1, 2]), into=there, is_equal=True)
    deciding.decide(
        spotify.connection, migration=spotify.find(made), position=0, kind="is", uri="spotify:track:" + "0" * 22,
        now=spotify.clock.now(),
    )  # fmt: skip
    applied = spotify.run(made)
    assert (applied.is_done, applied.refused) == (True, (0,))
    assert spotify.moved(made) == spotify.uris([5, 1, 2])


def test_a_track_that_spotify_lists_under_another_id_is_added_once(lists: Lists) -> None:
    world = world_of(lists.setup.simulator.spec)
    moved = next(
        each for each in world.tracks.values()
        if each.archive_id not in (None, each.api_id) and not each.is_gone
    )  # fmt: skip
    with moving_to_spotify(lists) as spotify:
        made = spotify.plan(spotify.source([0, 1, 0]))
        deciding.decide(
            spotify.connection, migration=spotify.find(made), position=1, kind="is",
            uri=f"https://open.spotify.com/intl-de/track/{moved.archive_id}?si=1", now=spotify.clock.now(),
        )  # fmt: skip
        assert spotify.run(made).is_done
        first = str(spotify.tracks[0].uri)
        assert spotify.moved(made) == [first, f"spotify:track:{moved.api_id}", first]
        assert spotify.run(made).requests == 0


def test_the_days_lookups_at_spotify_are_kept_and_the_plan_goes_on_with_the_others(lists: Lists) -> None:
    lists.setup.settings = lists.setup.settings.model_copy(update={"spotify_catalogue_calls_per_day": 20})
    with moving_to_spotify(lists) as spotify:
        source = spotify.source(list(range(50)))
        with pytest.raises(
            PlanPutOff, match=r"20 of 50 tracks have been matched so far; 30 tracks .* 20 a day"
        ) as put_off:
            spotify.plan(source)
        made = put_off.value.migration_id
        assert spotify.find(made).state == "ordered"
        for _ in range(2):
            spotify.clock.advance(timedelta(days=1, minutes=1))
            with spotify.target() as target:
                try:
                    moving.go_on_planning(
                        spotify.connection, target, spotify.find(made), clock=spotify.clock, sleep=spotify.sleep
                    )  # fmt: skip
                except PlanPutOff:
                    continue
        assert spotify.find(made).state == "planned"
        assert lists.setup.simulator.control.calls(route="/search") == 50
        assert spotify.run(made).is_done
        assert spotify.moved(made) == spotify.uris(range(50))


# YouTube Music


def test_a_playlist_is_moved_to_youtube_by_names_a_video_at_a_time(youtube: MovingToYouTube) -> None:
    numbers = [*range(12), 3, 3]
    world = youtube.at.world
    made = youtube.plan(youtube.source(numbers))
    assert world.used[world.today(), "searches"] == 12
    assert youtube.run(made).is_done
    assert youtube.moved(made) == youtube.uris(numbers)
    assert youtube.writes() == 1 + 14
    assert youtube.run(made).requests == 0
    assert world.used[world.today(), "units"] < 15 * 50 + 40


def test_a_move_that_does_not_fit_into_the_days_units_goes_on_over_days_and_says_until_when(
    at_youtube: AtYouTube, warehouse: Warehouse
) -> None:
    """60 entries at 5 searches and 12 writes a day, of which the quota's owner reads 500 units."""
    world = at_youtube.world
    world.units_a_day, world.searches_a_day = 1_100, 8
    at_youtube.settings = at_youtube.settings.model_copy(
        update={"youtube_units_per_day": 1_100, "youtube_searches_per_day": 8}
    )
    with moving_to_youtube(at_youtube, warehouse) as youtube:
        numbers = [*range(20), *range(20)]
        with pytest.raises(PlanPutOff) as put_off:
            youtube.plan(youtube.source(numbers))
        assert "8 of 40 tracks have been matched so far; takes" in str(put_off.value)
        made = put_off.value.migration_id
        assert job_orders.order_of(youtube.connection, migration_id=made) is not None
        promised = datetime.fromisoformat(str(put_off.value).split("until ")[1].split(" UTC")[0] + "+00:00")
        sentences = []
        for _ in range(30):
            youtube.clock.set(max(put_off.value.retry_at, youtube.clock.now()))
            youtube.sign_in_again()
            try:
                with youtube.target() as target:
                    if youtube.find(made).state == "ordered":
                        moving.go_on_planning(
                            youtube.connection, target, youtube.find(made), clock=youtube.clock, sleep=youtube.sleep
                        )  # fmt: skip
                    assert moving.run(
                        youtube.connection, target, youtube.find(made), clock=youtube.clock, sleep=youtube.sleep
                    ).is_done
                break
            except RateLimited as error:
                put_off.value.retry_at = error.retry_at
                sentences.append(str(error))
                assert youtube.find(made).state in ("ordered", "applying")
        assert youtube.moved(made) == youtube.uris(numbers)
        assert youtube.clock.now() <= promised
        assert any(
            "of 40 entries have been written; takes" in each or "have been written; done today" in each
            for each in sentences
        )
        # No unit was spent twice: each write once, and every search once.
        assert sum(count for (_, kind), count in world.used.items() if kind == "searches") == 20
        assert youtube.writes() <= 41 + len(sentences)


def test_a_name_that_youtube_changes_is_found_again_after_a_lost_creation(youtube: MovingToYouTube) -> None:
    made = youtube.plan(youtube.source([1, 2], name=" <Slow> & quiet "))
    assert youtube.find(made).target_name == "Slow & quiet"
    youtube.fail("lost")
    assert youtube.run(made).is_done
    assert [name for name, _ in youtube.all().values()] == ["Slow & quiet"]


# Any of them


def test_two_unfinished_creations_of_one_name_at_one_account_are_not_mixed_up(
    tidal: MovingToTidal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both processes died after the service had made the playlist and before its id was noted."""
    two_unfinished_creations(tidal, monkeypatch)


def test_nor_are_they_at_a_service_without_keys(spotify: MovingToSpotify, monkeypatch: pytest.MonkeyPatch) -> None:
    two_unfinished_creations(spotify, monkeypatch)


class Killed(BaseException):
    """The process ends here."""


def two_unfinished_creations(at: AtService, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (at.plan(at.source(numbers)) for numbers in ([1, 2], [3]))
    held = set(at.all())
    with at.target() as target:
        create, ids = type(target.writer).create, list[str]()

        def die_after(*given: Any, **named: Any) -> Any:
            ids.append(create(*given, **named).playlist_id)
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(type(target.writer), "create", die_after)
            for migration_id in (first, second):
                with pytest.raises(Killed):
                    moving.run(
                        at.connection, target, at.find(migration_id), clock=at.clock, sleep=at.sleep
                    )  # fmt: skip
    assert at.run(first).is_done
    assert at.run(second).is_done
    assert [at.find(each).target_playlist for each in (first, second)] == ids
    assert [at.moved(each) for each in (first, second)] == [at.uris([1, 2]), at.uris([3])]
    assert set(at.all()) == held | set(ids)


def test_decisions_are_taken_back_and_what_the_rules_had_found_holds_again(tidal: MovingToTidal) -> None:
    made = tidal.plan(tidal.source([1, 2, 1]))
    now = tidal.clock.now()

    def decide(position: int, kind: str, uri: str | None = None) -> None:
        deciding.decide(
            tidal.connection, migration=tidal.find(made), position=position, kind=kind, uri=uri, now=now
        )  # fmt: skip

    def take_back(position: int) -> None:
        deciding.take_back(tidal.connection, migration=tidal.find(made), position=position, now=now)

    before = matches(tidal, made)
    decide(0, "is", "tidal:track:5")
    decide(0, "never", "tidal:track:5")
    assert [each.uri for each in matches(tidal, made)] == [None, "tidal:track:3", None]
    take_back(2)
    assert matches(tidal, made) == before
    decide(1, "unavailable")
    assert tidal.run(made).is_done
    assert tidal.moved(made) == tidal.uris([1, 1])
    take_back(1)
    assert tidal.find(made).state == "incomplete"
    assert tidal.run(made).is_done
    assert tidal.moved(made) == tidal.uris([1, 2, 1])
    # A later migration does not know it any more.
    assert matches(tidal, tidal.plan(tidal.source([2, 1])))[0].uri == "tidal:track:3"


def test_what_was_decided_before_it_was_looked_for_is_looked_for_by_the_next_plan(tidal: MovingToTidal) -> None:
    source = tidal.source([1])
    now, first = tidal.clock.now(), tidal.plan(source)
    deciding.decide(
        tidal.connection, migration=tidal.find(first), position=0, kind="is", uri="tidal:track:9", now=now
    )  # fmt: skip
    second = tidal.plan(source)
    deciding.take_back(tidal.connection, migration=tidal.find(second), position=0, now=now)
    assert matches(tidal, second)[0].reason == "taken_back"
    assert matches(tidal, tidal.plan(source))[0].uri == "tidal:track:2"


@pytest.fixture
def myi(
    tidal: MovingToTidal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    environment_for_tests: dict[str, str],
) -> Callable[..., tuple[int, str]]:  # fmt: skip
    for name, value in (environment_for_tests | tidal.settings.environment()).items():
        monkeypatch.setenv(name, value)
    # Commands go by the real clock.
    tidal.sign_in_again(datetime.now(UTC))

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        return int(ended.value.code or 0), capsys.readouterr().out

    return run


def test_a_report_names_the_way_and_the_reason_of_each_entry(
    tidal: MovingToTidal, myi: Callable[..., tuple[int, str]]
) -> None:
    tidal.tracks[1] = replace(tidal.tracks[1], isrc=None)
    tidal.tracks.append(ListedTrack(title="=cmd|' /C calc'!A0", artists=("Nobody",), uri="x"))
    made = str(tidal.plan(tidal.source([0, 1, 2, 60])))
    assert myi("migrate-playlist", "review", "ana", made, "--entry", "3", "--take", "tidal:track:9")[0] == 0
    code, told = myi("migrate-playlist", "report", "ana", made, "--format", "json")
    report = json.loads(told)
    assert code == 0
    assert [each["way"] for each in report["entries"]] == [
        "matched_by_isrc", "matched_by_score", "matched_by_decision", "missing",
    ]  # fmt: skip
    assert report["counts"] == {
        "matched_by_isrc": 1, "matched_by_score": 1, "matched_by_decision": 1, "ambiguous": 0, "missing": 1,
        "unavailable": 0, "refused": 0,
    }  # fmt: skip
    code, told = myi("migrate-playlist", "report", "ana", made, "--format", "csv")
    lines = told.splitlines()
    assert (code, len(lines)) == (0, 5)
    assert lines[1].startswith('"1","Song 1","Artist 1","matched_by_isrc","same_isrc",')
    assert lines[4].startswith('"4","\'=cmd|')
    assert myi("migrate-playlist", "review", "ana", made, "--entry", "3", "--undo")[0] == 0
    assert "matched_by_decision" not in myi("migrate-playlist", "report", "ana", made)[1]
    assert myi("migrate-playlist", "report", "ana", made, "--format", "xml")[0] == 2


def test_a_plan_that_waits_for_a_quota_says_how_it_goes_on(
    tidal: MovingToTidal, myi: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from myi_pipeline.providers.tidal.client import TidalFinder

    source = str(tidal.source([0, 1]))
    retry_at = datetime.now(UTC) + timedelta(days=30)

    def used_up(*_: Any) -> Any:
        raise RateLimited("the questions of this day are used up", retry_at=retry_at)

    with monkeypatch.context() as patched:
        patched.setattr(TidalFinder, "by_isrcs", used_up)
        code, told = myi("migrate-playlist", "plan", "ana", source)
    assert (code, "0 of 2 tracks have been matched so far" in told, "migrate-playlist apply ana 1" in told) == (
        1,
        True,
        True,
    )
    assert accounts.list_accounts(tidal.connection)[0].account_id == tidal.account_id
    code, told = myi("migrate-playlist", "apply", "ana", "1")
    assert (code, "is done" in told) == (0, True), told
    assert tidal.moved(1) == tidal.uris([0, 1])
