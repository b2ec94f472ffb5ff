"""What a migration must never do to a playlist of TIDAL: fill it from itself, remove what no preview showed, make it
twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from myi_pipeline.errors import BadInput, Busy, Transient
from myi_pipeline.playlists.migration import locks, moving
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.playlists import LIKED, PlaylistEntry
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.playlists.mover import LONG_AGO, Mover, at_tidal, mover

__all__ = ["at_tidal", "mover"]


def kept(mover: Mover, provider_playlist: str) -> int:
    """A playlist of Ana's TIDAL account as it was gathered; its number."""
    reader = mover.tidal.reader
    entries: Sequence[PlaylistEntry] = list(reader.entries(provider_playlist))
    return store_playlist(
        mover.connection, user_id=mover.user_id, account_id=mover.target.account_id, provider="tidal",
        head=reader.head(provider_playlist), entries=entries, now=LONG_AGO,
    ).playlist_id  # fmt: skip


def names(mover: Mover) -> list[str]:
    return [each.name for each in mover.tidal.tidal.world.playlists.values()]


@pytest.mark.parametrize("is_equal", [False, True])
def test_a_playlist_is_not_moved_into_itself_nor_into_liked_tracks(mover: Mover, is_equal: bool) -> None:
    mover.tidal.add_tracks(3)
    there = mover.tidal.tidal.world.make_playlist(mover.tidal.ana, "There", tracks=["1", "2"])
    source = kept(mover, there.playlist_id)
    with pytest.raises(BadInput, match="into itself") as refused:
        mover.plan(source, into=there.playlist_id, is_equal=is_equal)
    assert refused.value.place == "into"
    with pytest.raises(BadInput, match="liked tracks cannot be the target") as refused:
        mover.plan(source, into=LIKED, is_equal=is_equal)
    assert refused.value.place == "into"


def test_who_read_the_migration_before_another_process_applied_it_makes_no_second_playlist(mover: Mover) -> None:
    mover.tidal.add_tracks(2)
    made = mover.plan(mover.source([1, 2]))
    read_before = mover.find(made)
    mover.run(made)
    again = moving.run(
        mover.connection, mover.target, read_before, clock=mover.tidal.clock, sleep=mover.tidal.sleep
    )  # fmt: skip
    assert (again.requests, again.is_done) == (0, True)
    assert names(mover) == ["Mine"]
    with pytest.raises(BadInput, match="is done"):
        moving.cancel(mover.connection, read_before, now=LONG_AGO)
    assert mover.find(made).state == "done"


def test_one_process_at_a_time_is_at_a_migration(mover: Mover, warehouse: Warehouse) -> None:
    mover.tidal.add_tracks(1)
    made = mover.plan(mover.source([1]))
    with (
        warehouse.connect(Role.INGEST, autocommit=True) as other,
        locks.migration_lock(other, mover.find(made)),
        pytest.raises(Busy),
    ):
        mover.run(made)
    assert mover.writes == 0


def test_what_came_onto_a_playlist_after_the_preview_is_not_removed(mover: Mover) -> None:
    mover.tidal.add_tracks(5)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There", tracks=["1", "2"])
    made = mover.plan(mover.source([2, 3]), into=there.playlist_id, is_equal=True)
    there.entries.append(world.entry("tracks", "5"))
    with pytest.raises(BadInput, match="plan again"):
        mover.run(made)
    assert (mover.writes, there.track_ids, mover.find(made).state) == (0, ["1", "2", "5"], "planned")
    del there.entries[-1]
    assert mover.run(made).is_done
    assert there.track_ids == ["2", "3"]


@pytest.mark.parametrize("is_equal", [False, True])
def test_a_migration_that_is_done_is_only_read(mover: Mover, is_equal: bool) -> None:
    mover.tidal.add_tracks(5)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There", tracks=["1"])
    made = mover.plan(mover.source([2, 3]), into=there.playlist_id, is_equal=is_equal)
    mover.run(made)
    writes = mover.writes
    there.entries = [world.entry("tracks", each) for each in ("5", "2")]
    again = mover.run(made)
    assert (again.requests, again.is_done, mover.writes) == (0, False, writes)
    assert there.track_ids == ["5", "2"]
    assert mover.find(made).state == "done"


def test_after_a_lost_creation_no_playlist_is_taken_that_was_there_before_or_is_anothers(mover: Mover) -> None:
    mover.tidal.add_tracks(2)
    world = mover.tidal.tidal.world
    old = world.make_playlist(mover.tidal.ana, "Mine")
    world.fail(ServiceFault(is_reset=True, on="POST"))
    made = mover.plan(mover.source([1, 2]))
    with pytest.raises(Transient):
        mover.run(made)
    anothers = world.make_playlist(mover.tidal.ana, "Mine")
    other = mover.plan(mover.source([1]), into=anothers.playlist_id)
    assert mover.find(other).target_playlist == anothers.playlist_id
    assert mover.run(made).is_done
    assert (old.track_ids, anothers.track_ids) == ([], [])
    assert mover.tracks(made) == ["1", "2"]
    assert names(mover) == ["Mine"] * 3


def test_a_creation_is_not_sent_again_with_its_key_when_the_service_may_have_forgotten_it(mover: Mover) -> None:
    mover.tidal.add_tracks(1)
    world = mover.tidal.tidal.world
    made = mover.plan(mover.source([1]))
    world.fail(ServiceFault(is_reset=True, on="POST"))
    with pytest.raises(Transient):
        mover.run(made)
    mover.tidal.clock.advance(timedelta(minutes=57).total_seconds())
    mover.run(made)
    rows = mover.connection.execute(
        "select outcome from app.migration_writes where migration_id = %s and step ->> 'kind' = 'create'"
        " order by write_no", (made,),
    ).fetchall()  # fmt: skip
    assert rows == [("not_done",), ("confirmed",)]


def test_a_name_with_spaces_around_it_is_found_again(mover: Mover) -> None:
    mover.tidal.add_tracks(1)
    made = mover.plan(mover.source([1]), name="  Spaced  ")
    assert mover.find(made).target_name == "Spaced"
    mover.tidal.tidal.world.fail(ServiceFault(is_lost=True, on="POST"))
    mover.run(made)
    assert names(mover) == ["Spaced"]
