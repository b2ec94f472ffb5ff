"""TIDAL written over HTTP: every write is sent once, and the list holds what was asked for, or nobody is told that it
does.

The made-up TIDAL notes every write that came, with its key, and what the list really holds.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.errors import (
    BadInput,
    Forbidden,
    Gone,
    Permanent,
    RateLimited,
    TokenRejected,
    Transient,
    UnexpectedAnswer,
)
from myi_pipeline.providers.asking import ServiceApi
from myi_pipeline.providers.playlists import LIKED, Added, KeyUsed, ListChanged, WriteUnderWay
from myi_pipeline.providers.tidal.writer import TidalWriter
from myi_pipeline.providers.transport import Answer
from myi_pipeline.simulator.services import ServiceFault
from myi_pipeline.simulator.tidal import TidalPlaylist
from tests.integration.providers.conftest import AtTidal, uris


def add(writer: TidalWriter, made: TidalPlaylist, *tracks: str, key: str, position: int | None = None) -> Added:
    return writer.add(
        made.playlist_id, uris(*tracks), position=position, added_at=[None] * len(tracks), key=key
    )  # fmt: skip


def test_a_list_is_made_changed_and_deleted(at_tidal: AtTidal) -> None:
    world, writer = at_tidal.tidal.world, at_tidal.writer
    head = writer.create("Morning", description="Slow", is_public=False, key="a")
    made = world.playlists[head.playlist_id]
    assert (made.name, made.description, made.access, made.owner) == ("Morning", "Slow", "UNLISTED", at_tidal.ana)
    writer.change(head.playlist_id, name="Evening", is_public=True, key="b")
    assert (made.name, made.description, made.access) == ("Evening", "Slow", "PUBLIC")
    writer.delete(head.playlist_id, key="c")
    assert world.playlists == {}
    assert [each.key for each in world.done()] == ["a", "b", "c"]


def test_tracks_are_added_at_the_end_or_before_a_place_with_the_day_of_the_source(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(9)
    made = world.make_playlist(at_tidal.ana, "Morning", tracks=["1", "2", "3"])
    world.page_sizes = (2,)
    long_ago = datetime(2014, 5, 6, 7, tzinfo=UTC)

    added = at_tidal.writer.add(
        made.playlist_id, uris("4", "4"), position=None, added_at=[long_ago, None], key="a"
    )  # fmt: skip
    add(at_tidal.writer, made, "5", "6", key="b", position=1)
    add(at_tidal.writer, made, "7", key="c", position=0)
    add(at_tidal.writer, made, "8", key="d", position=99)

    assert made.track_ids == ["7", "1", "5", "6", "2", "3", "4", "4", "8"]
    fours = [each for each in made.entries if each.track_id == "4"]
    assert added.item_ids == tuple(each.item_id for each in fours)
    assert fours[0].added_at == long_ago


def test_what_tidal_leaves_out_is_told_by_its_place(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(3)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    added = add(at_tidal.writer, made, "1", "404", "2", "404", "3", key="a")
    assert added.skipped == (1, 3)
    assert len(added.item_ids) == 3
    assert made.track_ids == ["1", "2", "3"]


def test_an_answer_that_does_not_add_up_is_no_success(at_tidal: AtTidal) -> None:
    """A client that took the status for the work would report a track that is on no list."""
    at_tidal.add_tracks(2)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    body = json.dumps({"data": [{"id": "1", "type": "tracks", "meta": {"itemId": "x"}}], "links": {"self": "/"}})
    at_tidal.tidal.world.fail(ServiceFault(status=200, body=body, on="POST"))
    with pytest.raises(UnexpectedAnswer, match="does not say which"):
        add(at_tidal.writer, made, "1", "2", key="a")


def test_a_block_is_moved_and_one_of_two_equal_entries_removed(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(6)
    made = world.make_playlist(at_tidal.ana, "Morning", tracks=["1", "2", "3", "2", "4", "5"])
    world.page_sizes = (2,)
    ids = [each.item_id for each in made.entries]

    at_tidal.writer.move(made.playlist_id, start=3, length=2, before=1, item_ids=ids[3:5], key="a")
    assert made.track_ids == ["1", "2", "4", "2", "3", "5"]
    at_tidal.writer.move(made.playlist_id, start=0, length=1, before=6, item_ids=ids[:1], key="b")
    assert made.track_ids == ["2", "4", "2", "3", "5", "1"]
    at_tidal.writer.remove(made.playlist_id, positions=[0], uris=uris("2"), item_ids=[ids[3]], key="c")
    assert made.track_ids == ["4", "2", "3", "5", "1"]
    assert made.entries[1].item_id == ids[1]


def test_nothing_is_moved_on_a_list_that_changed(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(3)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning", tracks=["1", "2", "3"])
    ids = [each.item_id for each in made.entries]
    del made.entries[0]
    with pytest.raises(ListChanged):
        at_tidal.writer.move(made.playlist_id, start=2, length=1, before=0, item_ids=ids[2:], key="a")
    assert at_tidal.tidal.world.writes == []


def test_liked_tracks_are_added_with_their_day_and_removed(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(3)
    liked = at_tidal.tidal.world.liked["ana"]
    days = [datetime(2020, 1, day, tzinfo=UTC) for day in (1, 3, 2)]
    at_tidal.writer.add(LIKED, uris("1", "2", "3"), position=None, added_at=days, key="a")
    assert liked.track_ids == ["2", "3", "1"]
    at_tidal.writer.remove(LIKED, positions=[0], uris=uris("2"), item_ids=[""], key="b")
    assert liked.track_ids == ["3", "1"]
    with pytest.raises(Permanent, match="already in the collection"):
        at_tidal.writer.add(LIKED, uris("1", "2"), position=None, added_at=[None, None], key="c")
    assert liked.track_ids == ["3", "1"]


def every_write(at_tidal: AtTidal) -> dict[str, Callable[[], object]]:
    """Each kind of write by its key, ready to be sent, on a new list of 1, 2 and 3."""
    writer = at_tidal.writer
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning", tracks=["1", "2", "3"])
    ids = [each.item_id for each in made.entries]
    here = made.playlist_id
    return {
        "create": lambda: writer.create("New", description=None, is_public=True, key="create"),
        "change": lambda: writer.change(here, name="Other", key="change"),
        "add": lambda: add(writer, made, "4", "5", key="add"),
        "move": lambda: writer.move(here, start=2, length=1, before=0, item_ids=ids[2:], key="move"),
        "remove": lambda: writer.remove(here, positions=[1], uris=uris("2"), item_ids=ids[1:2], key="remove"),
        "like": lambda: writer.add(LIKED, uris("1"), position=None, added_at=[None], key="like"),
        "delete": lambda: writer.delete(here, key="delete"),
    }


METHODS = {"create": "POST", "add": "POST", "like": "POST", "change": "PATCH", "move": "PATCH"}
# What happens, how often it was done, and whether only those see it that read the answer.
TROUBLE = {
    "the answer is lost after the work": (ServiceFault(is_lost=True), 1, False),
    "the connection breaks before it": (ServiceFault(is_reset=True), 0, False),
    "an error of the server": (ServiceFault(status=503, body="{}"), 0, False),
    "half an answer": (ServiceFault(status=200, body='{"data":'), 0, True),
    "a page from something in between": (ServiceFault(status=404), 0, False),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_write_is_sent_once_whatever_comes_of_it(at_tidal: AtTidal, trouble: str) -> None:
    fault, done, is_only_for_readers = TROUBLE[trouble]
    world = at_tidal.tidal.world
    at_tidal.add_tracks(5)
    for kind, write in every_write(at_tidal).items():
        if is_only_for_readers and kind not in ("create", "add", "like"):
            continue
        world.fail(replace(fault, on=METHODS.get(kind, "DELETE")))
        with pytest.raises(Transient) as failed:
            write()
        assert not isinstance(failed.value, RateLimited)
        assert len(world.received(kind)) == 1, kind
        assert len(world.done(kind)) == done, kind
    assert at_tidal.sleep.waits == []


class RepeatsWrites(ServiceApi):
    """Broken on purpose: a write that failed for a moment is sent again, as reads are."""

    def write(self, *args: object, **options: object) -> Answer:
        for _ in range(2):
            try:
                return super().write(*args, **options)  # type: ignore[arg-type]
            except Transient:
                continue
        return super().write(*args, **options)  # type: ignore[arg-type]


def test_a_broken_client_that_repeats_writes_is_seen(at_tidal: AtTidal) -> None:
    """Without a key, as three of four services are, the same client adds tracks twice."""
    world = at_tidal.tidal.world
    at_tidal.add_tracks(1)
    made = world.make_playlist(at_tidal.ana, "Morning")
    broken = RepeatsWrites(
        at_tidal.services._http, url=at_tidal.tidal.api_url, gate=at_tidal.services._tidal_gate(),
        clock=at_tidal.clock, tokens=at_tidal.tokens,
    )  # fmt: skip
    broken.media_type = "application/vnd.api+json"
    world.fail(ServiceFault(is_lost=True, on="POST"))
    body = {"data": [{"type": "tracks", "id": "1"}]}
    broken.write("POST", f"/playlists/{made.playlist_id}/relationships/items", body)
    assert made.track_ids == ["1", "1"]
    assert len(world.writes) == 2


def test_after_a_lost_answer_the_same_key_gets_that_answer_and_adds_nothing(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(2)
    made = world.make_playlist(at_tidal.ana, "Morning")
    world.fail(ServiceFault(is_lost=True, on="POST"))
    with pytest.raises(Transient):
        add(at_tidal.writer, made, "1", "2", key="once")
    assert made.track_ids == ["1", "2"]
    at_tidal.clock.advance(timedelta(minutes=59))

    added = add(at_tidal.writer, made, "1", "2", key="once")

    assert made.track_ids == ["1", "2"]
    assert added.item_ids == tuple(each.item_id for each in made.entries)
    assert [(each.was_done, each.is_replay) for each in world.received("once")] == [(True, False), (False, True)]


def test_after_the_hour_the_key_is_forgotten(at_tidal: AtTidal) -> None:
    """Why whoever comes later has to read the list first: `idempotent_for_s` says until when the key helps."""
    at_tidal.add_tracks(1)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    add(at_tidal.writer, made, "1", key="once")
    seconds = TidalWriter.capabilities.idempotent_for_s
    assert seconds is not None
    at_tidal.clock.advance(timedelta(seconds=seconds + 1))
    add(at_tidal.writer, made, "1", key="once")
    assert made.track_ids == ["1", "1"]


def test_a_key_of_another_write_does_nothing(at_tidal: AtTidal) -> None:
    at_tidal.add_tracks(2)
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    add(at_tidal.writer, made, "1", key="k")
    with pytest.raises(KeyUsed):
        add(at_tidal.writer, made, "2", key="k")
    assert made.track_ids == ["1"]


def test_a_write_that_is_still_under_way_is_not_done_twice(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(1)
    made = world.make_playlist(at_tidal.ana, "Morning")
    world.delay_s = 1.0
    first = threading.Thread(target=add, args=(at_tidal.writer, made, "1"), kwargs={"key": "k"})
    first.start()
    while not [call for call in world.calls if call.startswith("POST")]:
        time.sleep(0.01)
    with pytest.raises(WriteUnderWay):
        add(at_tidal.writer, made, "1", key="k")
    first.join(20)
    world.delay_s = 0
    assert add(at_tidal.writer, made, "1", key="k").item_ids == (made.entries[0].item_id,)
    assert made.track_ids == ["1"]


def test_a_refused_write_was_not_done_and_says_so(at_tidal: AtTidal) -> None:
    world = at_tidal.tidal.world
    at_tidal.add_tracks(2)
    made = world.make_playlist(at_tidal.ana, "Morning")

    world.requests_a_minute = 0
    with pytest.raises(RateLimited):
        add(at_tidal.writer, made, "1", key="a")
    world.requests_a_minute = 1_000
    at_tidal.clock.advance(timedelta(minutes=5))

    at_tidal.tidal.sign_in.expire_access_tokens()
    with pytest.raises(TokenRejected):
        add(at_tidal.writer, made, "1", key="b")
    assert add(at_tidal.writer, made, "1", key="b").skipped == ()

    world.most_entries = 1
    with pytest.raises(Permanent, match="limit reached"):
        add(at_tidal.writer, made, "2", key="c")
    hers = world.make_playlist(world.account("berta"), "Hers", access="PUBLIC")
    with pytest.raises(Forbidden):
        add(at_tidal.writer, hers, "2", key="d")
    del world.playlists[made.playlist_id]
    with pytest.raises(Gone):
        add(at_tidal.writer, made, "2", key="e")
    assert [each.key for each in world.done()] == ["b"]
    assert all(len(world.received(key)) == 1 for key in "acde")


def test_requests_that_tidal_would_refuse_are_not_sent(at_tidal: AtTidal) -> None:
    writer = at_tidal.writer
    made = at_tidal.tidal.world.make_playlist(at_tidal.ana, "Morning")
    for tracks in ((), ("1",) * 51):
        with pytest.raises(BadInput):
            add(writer, made, *tracks, key="k")
    with pytest.raises(BadInput):
        writer.add(made.playlist_id, ["spotify:track:1"], position=None, added_at=[None], key="k")
    with pytest.raises(BadInput):
        add(writer, made, "1", key="k" * 129)
    with pytest.raises(BadInput):
        writer.move(made.playlist_id, start=0, length=21, before=0, item_ids=["x"] * 21, key="k")
    assert at_tidal.tidal.world.calls == []
