"""Asking about what only archives name: each id once, most played first, within the quota; no play is ever touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from myi_pipeline.catalogue import catalogue_store, spotify_queue
from myi_pipeline.catalogue.most_played import Kind, Played
from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.catalogue.records import PolledTrack
from myi_pipeline.catalogue.spotify_enrichment import EnrichmentResult, catalogue_status, enrich_catalogue
from myi_pipeline.catalogue.spotify_queue import Connection, Entry
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.live import AppSpec, Fault
from myi_pipeline.simulator.live.world import TrackEntry
from tests.integration.credentials.conftest import Setup, SetupMaker

PLAYED = datetime(2020, 2, 1, tzinfo=UTC)
PLAYS = "select user_id, played_at, content_id, ms_played from raw.listening_events order by 2"
# By the id that the archive gave: what the catalogue says of the track that plays are shown as.
KNOWN = """
select c.uri, k.uri, k.duration_ms, k.isrc
from raw.contents as c
left join raw.content_aliases as l on l.content_id = c.content_id
inner join raw.contents as k on k.content_id = coalesce(l.canonical_id, c.content_id)
"""
STATES = "select state, count(*)::int from ops.catalogue_queue group by 1"


class Shop:
    """A warehouse with an archive's contents, the first of them played most, and the queue that follows."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.user = setup.user("ana")

    def archive(self, *tracks: TrackEntry) -> list[int]:
        """Contents and a play each, as an archive brings them; queued as the marts would have them."""
        world, ids = self.setup.simulator.control.world, []
        with self.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            connection.execute("select ops.ensure_event_partitions('2020-02-01', '2020-02-02')")
            for number, track in enumerate(tracks):
                thing = world.thing(track.thing)
                content = make_content(
                    kind=ContentKind.TRACK,
                    uri=f"spotify:track:{track.archive_id}",
                    title=thing.title,
                    creator=thing.creator,
                    collection=thing.collection,
                )
                found = catalogue_store.intern_tracks(connection, [PolledTrack(content, PLAYED)], batch_id=1)
                ids.append(found[content.key])
                connection.execute(
                    "insert into raw.listening_events (user_id, played_at, content_id, ms_played, source_id, batch_id)"
                    " values (%s, %s, %s, 1000, 1, 1)",
                    (self.user, PLAYED + timedelta(minutes=number), ids[-1]),
                )
        self.queue(*(("track", content_id, 1000 - number) for number, content_id in enumerate(ids)))
        return ids

    def queue(self, *wanted: tuple[Kind, int, int]) -> None:
        rows = [Played(*each) for each in wanted]
        with self.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            spotify_queue.fill(connection, rows, now=self.setup.clock.now())

    def enrich(self, **options: Any) -> EnrichmentResult:
        setup = self.setup
        settings = setup.settings.model_copy(update=options.pop("settings", {}))
        return enrich_catalogue(settings, setup.warehouse, clock=setup.clock, sleep=setup.sleep, **options)

    def tracks(self, wanted: Callable[[TrackEntry], bool], count: int) -> list[TrackEntry]:
        found = [
            each for each in self.setup.simulator.control.world.tracks.values() if each.archive_id and wanted(each)
        ]
        assert len(found) >= count
        return found[:count]

    def calls(self, kind: str = "tracks") -> int:
        counts = self.setup.simulator.control.call_counts()
        return sum(count for call, count in counts.items() if f"/{kind}/" in call[2])

    def states(self) -> dict[str, int]:
        return dict(self.setup.sql(STATES))

    def due_in(self) -> timedelta:
        ((due_at,),) = self.setup.sql("select due_at from ops.catalogue_queue where state = 'waiting'")
        return due_at - self.setup.clock.now()  # type: ignore[no-any-return]


def plain(track: TrackEntry) -> bool:
    return track.api_id == track.archive_id and not track.is_gone


def moved(track: TrackEntry) -> bool:
    return track.api_id != track.archive_id and not track.is_gone


def gone(track: TrackEntry) -> bool:
    return track.is_gone


@pytest.fixture
def shop(setup: Setup) -> Shop:
    setup.sign_in(setup.open())
    return Shop(setup)


def test_what_an_archive_names_is_asked_for_once_and_its_plays_stay(shop: Shop) -> None:
    relinked, removed = shop.tracks(moved, 2), shop.tracks(gone, 1)
    shop.archive(*shop.tracks(plain, 5), *relinked, *removed)
    before = shop.setup.sql(PLAYS)
    result = shop.enrich()
    assert (result.answered, result.relinked, result.gone, result.failed) == (5, 2, 1, 0)
    assert (result.reason, shop.calls()) == ("nothing is due", 8)
    assert shop.setup.sql(PLAYS) == before

    world = shop.setup.simulator.control.world
    known = {uri.rpartition(":")[2]: rest for uri, *rest in shop.setup.sql(KNOWN)}
    for track in [*shop.tracks(plain, 5), *relinked]:
        thing = world.thing(track.thing)
        assert known[track.archive_id or ""] == [f"spotify:track:{track.api_id}", thing.duration_ms, track.isrc]
    assert known[removed[0].archive_id or ""][1:] == [None, None]

    assert shop.enrich().asked == 0
    shop.setup.clock.advance(timedelta(days=400))
    assert shop.enrich().asked == 0
    assert shop.calls() == 8


def test_the_most_played_comes_first_tracks_and_artists_alike(shop: Shop) -> None:
    tracks = shop.tracks(plain, 4)
    first, second, third, fourth = shop.archive(*tracks)
    shop.queue(("track", third, 5_000))
    assert shop.enrich(most_calls=1).reason == "the requested number of ids was asked for"
    ((artist,),) = shop.setup.sql("select distinct artist_id from raw.artists where uri is not null limit 1")
    # Behind all tracks, artists of a large archive had no picture for weeks.
    shop.queue(("artist", artist, 1_000))
    shop.enrich(most_calls=2)
    asked = "select entity_id from ops.catalogue_queue where state = 'answered' order by answered_at, plays desc"
    assert [number for (number,) in shop.setup.sql(asked)] == [third, first, artist]
    pictures = "select count(*) from raw.pictures where entity_kind = 'artist' and entity_id = %s"
    assert shop.setup.sql(pictures, artist) == [(3,)]
    shop.enrich()
    ((last,),) = shop.setup.sql("select count(*) from ops.catalogue_queue where state <> 'answered'")
    assert last == 0
    assert shop.calls("artists") == 1
    assert {second, fourth} <= {
        row[0] for row in shop.setup.sql("select content_id from raw.contents where isrc is not null")
    }


def test_what_a_poll_has_told_meanwhile_is_not_asked(shop: Shop) -> None:
    ids = shop.archive(*shop.tracks(plain, 2))
    shop.setup.sql("update raw.contents set duration_ms = 1, isrc = 'X' where content_id = %s", ids[0])
    assert shop.enrich().answered == 1
    assert shop.calls() == 1


def test_two_workers_never_ask_for_one_id(shop: Shop) -> None:
    shop.archive(*shop.tracks(plain, 40))
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda _: shop.enrich(), range(3)))
    assert sum(result.answered for result in results) == shop.calls() == 40
    assert sum(result.answered > 0 for result in results) >= 2


@pytest.mark.long
def test_broken_without_leases_two_workers_ask_for_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property above can fail."""
    shop.archive(*shop.tracks(plain, 40))

    def no_lease(connection: Connection, *, now: datetime) -> Entry | None:
        query = "select entity_id, uri from ops.catalogue_queue where state = 'waiting' order by plays desc limit 1"
        found = connection.execute(query).fetchone()
        if found is None:
            return None
        return Entry(entity_kind="track", entity_id=found[0], uri=found[1], failures=0, lease_id=uuid4())

    def finish(connection: Connection, entry: Entry, *_: object, **__: object) -> bool:
        connection.execute("update ops.catalogue_queue set state = 'answered' where entity_id = %s", (entry.entity_id,))
        return True

    monkeypatch.setattr(spotify_queue, "lease", no_lease)
    monkeypatch.setattr(spotify_queue, "finish", finish)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: shop.enrich(), range(3)))
    assert shop.calls() > 40


def test_whoever_dies_lets_go_after_five_minutes_and_comes_too_late_to_change_anything(shop: Shop) -> None:
    shop.archive(*shop.tracks(plain, 2))
    with shop.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        dead = spotify_queue.lease(connection, now=shop.setup.clock.now())
        assert dead is not None
        assert shop.enrich().answered == 1
        shop.setup.clock.advance(timedelta(minutes=5))
        assert shop.enrich().answered == 1
        state = spotify_queue.EntryState.GONE
        assert not spotify_queue.finish(connection, dead, state, now=shop.setup.clock.now())
    assert shop.states() == {"answered": 2}


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        ({"kind": "status", "status": 503}, timedelta(minutes=5), timedelta(minutes=6)),
        ({"kind": "html"}, timedelta(hours=2), timedelta(hours=3)),
        ({"kind": "wrong_shape"}, timedelta(hours=2), timedelta(hours=3)),
    ],
)
def test_a_failure_is_tried_again_by_its_kind(
    shop: Shop, fault: dict[str, Any], least: timedelta, most: timedelta
) -> None:
    shop.archive(*shop.tracks(plain, 1))
    control = shop.setup.simulator.control
    control.fail(Fault(path="/v1/tracks/*", times=None, **fault))
    assert shop.enrich().failed == 1
    assert least - timedelta(seconds=1) <= shop.due_in() <= most
    (count,) = catalogue_status(shop.setup.warehouse)
    assert (count.waiting, count.failing) == (1, 1)
    # The second failure in a row waits twice as long; then it works, and nobody's circuit has heard of it.
    shop.setup.clock.advance(shop.due_in())
    shop.enrich()
    assert shop.due_in() > least * 2 - timedelta(seconds=1)
    control.clear_faults()
    shop.setup.clock.advance(shop.due_in())
    assert shop.enrich().answered == 1
    assert shop.setup.sql("select count(*) from ops.circuits where state <> 'closed'") == [(0,)]


def test_a_dead_network_ends_the_run_and_not_the_queue(shop: Shop) -> None:
    shop.archive(*shop.tracks(plain, 20))
    shop.setup.simulator.control.fail("status", status=502, path="/v1/tracks/*", times=None)
    result = shop.enrich()
    assert (result.failed, result.reason) == (5, "Spotify cannot be reached")
    assert shop.states() == {"waiting": 20}


def test_the_days_budget_is_kept_and_polls_go_on(shop: Shop) -> None:
    shop.archive(*shop.tracks(plain, 12))
    budget = {"spotify_catalogue_calls_per_day": 5}
    result = shop.enrich(settings=budget)
    assert (result.answered, result.failed, shop.calls()) == (5, 0, 5)
    assert result.retry_at is not None
    assert timedelta(hours=23) < result.retry_at - shop.setup.clock.now() <= timedelta(hours=24)
    user = shop.user
    assert shop.setup.open(**budget).call(user, lambda client, token: client.recently_played(token)).entries
    shop.setup.clock.advance(timedelta(hours=12))
    assert shop.enrich(settings=budget).asked == 0
    shop.setup.clock.advance(timedelta(hours=12, minutes=5))
    assert shop.enrich(settings=budget).answered == 5


def test_a_client_id_that_spotify_silences_leaves_the_work_to_another(make_setup: SetupMaker) -> None:
    redirect = "http://127.0.0.1:8898/callback"
    setup = make_setup(apps=tuple(AppSpec(client_id=name, redirect_uris=(redirect,)) for name in ("one", "two")))
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1", client_id="one")
    setup.sign_in(spotify, "ben", listener="listener-2", client_id="two")
    shop = Shop(setup)
    shop.archive(*shop.tracks(plain, 4))
    setup.simulator.control.fail("status", status=429, retry_after=85_771, client_id="one", path="/v1/tracks/*")
    result = shop.enrich()
    assert (result.answered, result.failed) == (4, 0)
    by_client = Counter[str]()
    for call, count in setup.simulator.control.call_counts().items():
        by_client[call[0]] += count if "/tracks/" in call[2] else 0
    assert by_client == {"one": 1, "two": 4}


def test_a_login_that_ended_asks_no_more_and_costs_no_entry(shop: Shop) -> None:
    shop.archive(*shop.tracks(plain, 2))
    shop.setup.sql("update app.credentials set status = 'reauth_required'")
    result = shop.enrich()
    assert (result.asked, result.reason) == (0, "no user has a login that can ask Spotify")
    shop.setup.sql("update app.credentials set status = 'active'")
    shop.setup.simulator.control.fail("status", status=403, path="/v1/tracks/*", times=1)
    assert shop.enrich().asked == 0
    assert shop.states() == {"waiting": 2}
    assert shop.enrich().answered == 2
