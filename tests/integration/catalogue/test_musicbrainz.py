"""Asking a made-up MusicBrainz over HTTP: each track once, most played first, at its pace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from myi_pipeline.catalogue import catalogue_store, musicbrainz_queue
from myi_pipeline.catalogue.musicbrainz_enrichment import (
    GenresResult,
    enrich_genres,
    genres_have_work,
    genres_status,
)
from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.catalogue.records import PolledTrack
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.live import Fault, MovableClock, running_simulator
from myi_pipeline.simulator.live.musicbrainz import MadeRecording, MusicBrainz, musicbrainz_of
from tests.integration.credentials.conftest import Setup
from tests.integration.credentials.test_commands import Ran, myi, now_setup

__all__ = ["myi", "now_setup"]

PLAYED = datetime(2020, 2, 1, tzinfo=UTC)
FOUND = "select content_id, recording_mbid, found_by from raw.found_recordings"
STATES = "select state, count(*)::int from ops.musicbrainz_queue where content_id is not null group by 1"
VOTES = """
select v.entity_mbid, t.tag, v.votes, t.is_genre
from raw.musicbrainz_votes as v inner join raw.musicbrainz_tags as t on t.tag_id = v.tag_id
"""


class Library:
    """A warehouse with tracks that MusicBrainz may know, the first of them played most."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.settings = setup.settings.model_copy(
            update={"musicbrainz_contact": "me@example.org", "musicbrainz_url": setup.simulator.musicbrainz_url}
        )
        self.known: MusicBrainz = musicbrainz_of(setup.simulator.control.world)

    def add(self, *things: int, **facts: Any) -> list[int]:
        """Tracks as a poll would bring them: `facts` replace the code, the length, the MBID or the title."""
        world, ids = self.setup.simulator.control.world, []
        with self.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            for thing in things:
                track, found = world.tracks[thing], world.thing(thing)
                content = make_content(
                    kind=ContentKind.TRACK,
                    uri=f"spotify:track:{track.api_id}",
                    title=facts.get("title", found.title),
                    creator=found.artist,
                    collection=found.collection,
                )
                tracks = [PolledTrack(content, PLAYED)]
                ids.append(catalogue_store.intern_tracks(connection, tracks, batch_id=1)[content.key])
                known = {"isrc": track.isrc, "duration_ms": found.duration_ms, "recording_mbid": None}
                connection.execute(
                    "update raw.contents set (isrc, duration_ms, recording_mbid) = (%(isrc)s, %(duration_ms)s,"
                    " %(recording_mbid)s) where content_id = %(id)s",
                    known | {key: value for key, value in facts.items() if key in known} | {"id": ids[-1]},
                )
            queued = [(content_id, 1000 - number) for number, content_id in enumerate(ids)]
            musicbrainz_queue.fill(connection, queued, now=self.setup.clock.now())
        return ids

    def things(self, wanted: Any, count: int) -> list[int]:
        """Tracks of which MusicBrainz knows something that is so."""
        found = [index for index, made in self.known.by_thing.items() if self._is_listed(index) and wanted(made)]
        assert len(found) >= count
        return found[:count]

    def unknown(self, count: int) -> list[int]:
        tracks = self.setup.simulator.control.world.tracks
        titles = {(each.title, each.credits[0][0].name) for each in self.known.recordings}
        world = self.setup.simulator.control.world
        return [
            index
            for index in tracks
            if index not in self.known.by_thing
            and self._is_listed(index)
            and (world.thing(index).title, world.thing(index).artist) not in titles
        ][:count]

    def _is_listed(self, index: int) -> bool:
        world = self.setup.simulator.control.world
        thing = world.thing(index)
        return not world.tracks[index].is_local and len(thing.title or "") < 200 and len(thing.artist or "") < 200

    def enrich(self, **options: Any) -> GenresResult:
        setup = self.setup
        settings = self.settings.model_copy(update=options.pop("settings", {}))
        return enrich_genres(settings, setup.warehouse, clock=setup.clock, sleep=setup.sleep, **options)

    def found(self) -> dict[int, tuple[UUID, str]]:
        return {content_id: (mbid, by) for content_id, mbid, by in self.setup.sql(FOUND)}

    def states(self) -> dict[str, int]:
        return dict(self.setup.sql(STATES))

    def everything(self) -> list[list[tuple[Any, ...]]]:
        """All that was learnt, without its dates."""
        return [
            self.setup.sql(query)
            for query in (
                f"{FOUND} order by 1",
                "select recording_mbid, title, length_ms, first_release_date, release_mbid, release_name"
                " from raw.musicbrainz_recordings order by 1",
                "select * from raw.musicbrainz_credits order by 1, 2",
                f"{VOTES} order by 1, 2",
                "select content_id, artist_mbid, state from ops.musicbrainz_queue order by 1, 2",
            )
        ]

    def calls(self, kind: str | None = None) -> Counter[int]:
        """Requests by the status of their answer."""
        made: Counter[int] = Counter()
        for (_, _, route, status), count in self.setup.simulator.control.call_counts().items():
            if route.startswith("/ws/2/") and kind in (None, route.rpartition("/")[2]):
                made[status] += count
        return made


@pytest.fixture
def library(setup: Setup) -> Library:
    return Library(setup)


def coded(made: MadeRecording) -> bool:
    return made.isrc is not None


def codeless(made: MadeRecording) -> bool:
    return made.isrc is None and made.length_ms is not None


def test_a_track_is_found_by_its_code_its_mbid_or_its_names_and_asked_for_once(library: Library) -> None:
    by_code, by_names = library.things(coded, 4), library.things(codeless, 2)
    codes = library.add(*by_code)
    names = library.add(*by_names)
    (told,) = library.things(lambda made: made.isrc is not None and made.merged, 1)
    merged = library.known.by_thing[told].merged[0]
    (by_mbid,) = library.add(told, isrc=None, recording_mbid=merged)
    (missing,) = library.add(*library.unknown(1))
    result = library.enrich()
    assert (result.failed, result.reason) == (0, "nothing is due")
    found = library.found()
    for content_id, thing in zip(codes, by_code, strict=True):
        if content_id != by_mbid:
            assert found[content_id] == (library.known.by_thing[thing].mbid, "isrc")
    for content_id, thing in zip(names, by_names, strict=True):
        assert found[content_id] == (library.known.by_thing[thing].mbid, "names")
    # The MBID that a source told was merged into another since.
    assert found[by_mbid] == (library.known.by_thing[told].mbid, "mbid")
    assert missing not in found
    assert library.states()["not_found"] == 1

    asked = library.calls().total()
    library.setup.clock.advance(timedelta(days=300))
    assert library.enrich().asked == 0
    assert library.calls().total() == asked


def test_what_is_stored_is_what_musicbrainz_knows(library: Library) -> None:
    things = library.things(coded, 12)
    ids = library.add(*things)
    library.enrich()
    recordings = dict(library.setup.sql("select recording_mbid, first_release_date from raw.musicbrainz_recordings"))
    credits = library.setup.sql(
        "select c.recording_mbid, c.place, c.credited_as || c.join_phrase, c.artist_mbid"
        " from raw.musicbrainz_credits as c order by 1, 2"
    )
    votes = {(mbid, tag): (count, is_genre) for mbid, tag, count, is_genre in library.setup.sql(VOTES)}
    wanted: dict[tuple[UUID, str], tuple[int, bool]] = {}
    for content_id, thing in zip(ids, things, strict=True):
        made = library.known.by_thing[thing]
        assert library.found()[content_id][0] == made.mbid
        assert recordings[made.mbid] == (made.date or None)
        assert [row[2:] for row in credits if row[0] == made.mbid] == [
            (artist.name + phrase, artist.mbid) for artist, phrase in made.credits
        ]
        wanted |= {(made.mbid, each.name): (each.count, each.is_genre) for each in made.votes}
        for artist, _ in made.credits:
            wanted |= {(artist.mbid, each.name): (each.count, each.is_genre) for each in artist.votes}
    assert votes == wanted
    assert any(made.date == "" or len(made.date) == 4 for made in map(library.known.by_thing.__getitem__, things))


def test_a_concert_with_the_same_code_is_not_taken(library: Library) -> None:
    others = [each for each in library.known.recordings if each.is_other and each.isrc is not None]
    (thing, *_) = [each.thing for each in others if library._is_listed(each.thing)]
    (content_id,) = library.add(thing)
    library.enrich()
    assert library.found()[content_id][0] == library.known.by_thing[thing].mbid


def test_names_that_are_not_safe_are_not_taken(library: Library) -> None:
    one, two, three = library.things(codeless, 3)
    wrong_length = library.setup.simulator.control.world.thing(one).duration_ms + 20_000
    library.add(one, isrc=None, duration_ms=wrong_length)
    library.add(two, isrc=None, title=f"{library.known.by_thing[two].title} (Karaoke)")
    (by_album,) = library.add(three, isrc=None, duration_ms=None)
    library.enrich()
    # Without a length the album must agree.
    assert set(library.found()) == {by_album}
    assert library.states() == {"not_found": 2, "found": 1}


def test_what_was_not_found_is_asked_again_once_more_is_known_and_everything_after_a_year(library: Library) -> None:
    (thing,) = library.things(coded, 1)
    (content_id,) = library.add(thing, isrc=None, duration_ms=1_000)
    assert library.enrich().not_found == 1
    assert library.enrich().asked == 0
    isrc = library.setup.simulator.control.world.tracks[thing].isrc
    duration_ms = library.setup.simulator.control.world.thing(thing).duration_ms
    query = "update raw.contents set isrc = %s, duration_ms = %s where content_id = %s"
    library.setup.sql(query, isrc, duration_ms, content_id)
    assert library.enrich().found >= 1
    assert library.states() == {"found": 1}
    library.setup.sql("delete from ops.changed_facts")
    library.setup.clock.advance(timedelta(days=366))
    assert library.enrich().found >= 1
    # The same answer is no change.
    assert library.setup.sql("select count(*) from ops.changed_facts") == [(0,)]


def test_a_code_that_is_none_leaves_the_names(library: Library) -> None:
    (thing,) = library.things(codeless, 1)
    (content_id,) = library.add(thing, isrc="none")
    assert library.enrich().failed == 0
    assert library.found()[content_id][1] == "names"
    assert library.calls("isrc").total() == 0


def test_without_a_contact_nothing_is_sent_and_the_reason_is_told(library: Library) -> None:
    library.add(*library.things(coded, 1))
    result = library.enrich(settings={"musicbrainz_contact": None})
    assert "MYI_MUSICBRAINZ_CONTACT" in result.reason
    off = library.settings.model_copy(update={"musicbrainz_contact": None})
    now = library.setup.clock.now()
    assert not genres_have_work(off, library.setup.warehouse, now=now)
    assert "MYI_MUSICBRAINZ_CONTACT" in genres_status(off, library.setup.warehouse, now=now).off
    assert genres_have_work(library.settings, library.setup.warehouse, now=now)
    assert library.calls().total() == 0


def test_a_503_silences_everybody_until_it_is_over(library: Library) -> None:
    library.add(*library.things(coded, 3))
    library.setup.simulator.control.fail("status", status=503, retry_after=120, path="/ws/2/*")
    result = library.enrich()
    now = library.setup.clock.now()
    assert result.asked == 0
    assert result.retry_at is not None
    assert timedelta(seconds=119) <= result.retry_at - now <= timedelta(seconds=122)
    assert not genres_have_work(library.settings, library.setup.warehouse, now=now)
    status = genres_status(library.settings, library.setup.warehouse, now=now)
    assert status.idle.until == result.retry_at
    assert "reports too many requests" in (status.idle.reason or "")
    before = library.calls().total()
    assert "asked to wait" in library.enrich().reason
    assert library.calls().total() == before
    library.setup.clock.advance(timedelta(seconds=125))
    assert library.enrich().found >= 3
    assert library.states() == {"found": 3}


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        ({"kind": "status", "status": 500}, timedelta(minutes=5), timedelta(minutes=6)),
        ({"kind": "reset"}, timedelta(minutes=5), timedelta(minutes=6)),
        ({"kind": "html"}, timedelta(hours=2), timedelta(hours=3)),
        ({"kind": "truncated"}, timedelta(hours=2), timedelta(hours=3)),
        ({"kind": "wrong_shape"}, timedelta(hours=2), timedelta(hours=3)),
    ],
)
def test_a_failure_puts_one_track_off_and_costs_nothing_else(
    library: Library, fault: dict[str, Any], least: timedelta, most: timedelta
) -> None:
    first, second = library.add(*library.things(coded, 2))
    library.setup.simulator.control.fail(Fault(**fault, path="/ws/2/isrc/*", times=3))
    result = library.enrich(most=1)
    assert result.failed == 1
    query = "select due_at, last_error from ops.musicbrainz_queue where content_id = %s"
    ((due_at, error),) = library.setup.sql(query, first)
    assert least <= due_at - library.setup.clock.now() <= most
    assert "MusicBrainz" in error
    library.enrich()
    assert set(library.found()) == {second}
    library.setup.clock.advance(timedelta(hours=4))
    library.enrich()
    assert set(library.found()) == {first, second}


def test_when_nothing_answers_the_run_ends_after_five_failures(library: Library) -> None:
    library.add(*library.things(coded, 8))
    library.setup.simulator.control.fail("status", status=502, path="/ws/2/*", times=None)
    result = library.enrich()
    assert (result.failed, result.reason) == (5, "MusicBrainz cannot be reached")
    assert result.retry_at is not None


def test_whoever_dies_lets_go_after_its_lease_and_comes_too_late_to_change_anything(library: Library) -> None:
    library.add(*library.things(coded, 1))
    with library.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        dead = musicbrainz_queue.lease(connection, now=library.setup.clock.now())
        assert dead is not None
        assert library.enrich().asked == 0
        library.setup.clock.advance(musicbrainz_queue.LEASE)
        assert library.enrich().found >= 1
        state = musicbrainz_queue.EntryState.NOT_FOUND
        assert not musicbrainz_queue.finish(connection, dead, state, now=library.setup.clock.now())
    assert library.states() == {"found": 1}


@pytest.mark.slow
def test_two_processes_together_keep_to_one_request_a_second(library: Library, tmp_path: Path) -> None:
    """On real clocks: the made-up server refuses whoever is faster."""
    library.setup.clock.set(datetime.now(UTC))
    with running_simulator(library.setup.simulator.spec, clock=MovableClock(datetime.now(UTC), speed=1.0)) as simulator:
        library.add(*library.things(coded, 8))
        library.setup.sql("update ops.musicbrainz_queue set due_at = now() - interval '1 minute'")
        environment = library.settings.model_copy(
            update={"musicbrainz_url": simulator.musicbrainz_url, "home": tmp_path}
        ).environment()
        command = [Path(sys.executable).with_name("myi"), "genres", "run", "--entries", "3", "--json"]
        runs = [
            subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        asked = [json.loads(run.communicate(timeout=60)[0])["result"] for run in runs]
        recent = [call for call in simulator.control.recent_calls() if call.route.startswith("/ws/2/")]
    assert [(each["failed"], each["found"]) for each in asked] == [(0, 3), (0, 3)]
    assert {call.status for call in recent} == {200}
    assert len(recent) >= 6
    seconds = (max(call.at_ms for call in recent) - min(call.at_ms for call in recent)) / 1_000
    assert seconds >= len(recent) - 1


def test_the_queue_is_looked_at_and_worked_off_by_hand(
    now_setup: Setup, myi: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "MYI_MUSICBRAINZ_CONTACT" in myi("genres", "status").out
    assert myi("genres", "run", "--json").document["asked"] == 0
    checks = {check.name: check for check in run_checks(now_setup.settings)}
    assert "no MYI_MUSICBRAINZ_CONTACT" in checks["MusicBrainz"].found
    library = Library(now_setup)
    library.add(*library.things(coded, 2))
    for name, value in library.settings.model_copy(update={"musicbrainz_interval_ms": 1}).environment().items():
        monkeypatch.setenv(name, value)
    (waiting,) = myi("genres", "status", "--json").document["queue"]
    assert (waiting["entity_kind"], waiting["waiting"]) == ("track", 2)
    done = myi("genres", "run", "--entries", "1", "--json").document
    assert (done["asked"], done["result"]["found"]) == (1, 1)
    now_setup.clock.advance(timedelta(seconds=30))
    assert "nothing is due" in myi("genres", "run").out
    now_setup.simulator.control.fail("status", status=503, retry_after=600, path="/ws/2/*")
    now_setup.sql("update ops.musicbrainz_queue set state = 'waiting', due_at = now()")
    assert "reports too many requests" in myi("genres", "run").out
    assert "reports too many requests" in myi("genres", "status").out
    settings = library.settings
    checks = {check.name: check for check in run_checks(settings)}
    assert checks["MusicBrainz"].status is Status.WARN
    figures = dict(now_setup.sql("select name || label, value from ops.genre_figures"))
    assert figures["musicbrainz_held_up"] == 1
    assert figures["musicbrainz_queuewaiting"] >= 2


@pytest.mark.property
def test_killed_anywhere_and_run_again_the_result_is_the_same(library: Library, tmp_path: Path) -> None:
    rng = Random(7)
    things = [*library.things(coded, 20), *library.things(codeless, 4), *library.unknown(3)]
    library.add(*things)
    library.enrich()
    whole = library.everything()
    library.setup.sql(
        "truncate raw.found_recordings, raw.musicbrainz_votes, raw.musicbrainz_tags, raw.musicbrainz_credits,"
        " raw.musicbrainz_artists, raw.musicbrainz_recordings, ops.musicbrainz_queue, ops.service_paces"
    )
    library.add(*things)
    library.setup.sql("update ops.musicbrainz_queue set due_at = now() - interval '1 day'")
    with running_simulator(
        library.setup.simulator.spec, clock=MovableClock(datetime.now(UTC), speed=1_000.0)
    ) as simulator:
        settings = library.settings.model_copy(
            update={"musicbrainz_url": simulator.musicbrainz_url, "musicbrainz_interval_ms": 5, "home": tmp_path}
        )
        command = [Path(sys.executable).with_name("myi"), "genres", "run", "--json"]
        for _ in range(12):
            run = subprocess.Popen(command, env=os.environ | settings.environment(), stdout=subprocess.DEVNULL)
            try:
                run.wait(timeout=rng.uniform(0.7, 1.6))
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
            # Leases of the dead pass, as fifteen minutes would let them.
            library.setup.sql(
                "update ops.musicbrainz_queue set leased_until = now() - interval '1 second' where lease_id is not null"
            )
        result = enrich_genres(settings, library.setup.warehouse)
    assert result.failed == 0
    assert library.everything() == whole
