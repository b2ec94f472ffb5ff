"""What people decide about single tracks: checked, kept, and added also to a playlist that was moved already."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from myi_pipeline.errors import BadInput, Busy
from myi_pipeline.playlists.migration import item_rows, locks, moving
from myi_pipeline.playlists.migration.deciding import take_back
from myi_pipeline.playlists.migration.journal import StoredJournal
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry
from tests.integration.playlists.mover import LONG_AGO, Mover, at_tidal, mover
from tests.integration.providers.conftest import tidal_track

__all__ = ["at_tidal", "mover"]

RIVALS = [tidal_track(number, title="Twins", artists=("Pair",), isrc=f"DEA1777{number:05d}") for number in (71, 72)]


def matches(mover: Mover, migration_id: int) -> Sequence[item_rows.Matched]:
    return item_rows.list_matches(mover.connection, migration_id=migration_id)


def decisions(mover: Mover) -> int:
    row = mover.connection.execute("select count(*) from app.match_decisions").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    "address",
    [
        "tidal:track:5",
        "https://tidal.com/track/5",
        "https://tidal.com/browse/track/5/u",
        "https://listen.tidal.com/track/5?x",
        "https://listen.tidal.com/album/55130630/track/5",
        " https://tidal.com/track/5?utm=1#here ",
    ],
)
def test_an_address_of_the_app_is_the_track_that_it_shows(mover: Mover, address: str) -> None:
    mover.tidal.add_tracks(5)
    made = mover.plan(mover.source([900]))
    mover.decide(made, 0, "is", address)
    assert [each.uri for each in matches(mover, made)] == ["tidal:track:5"]


@pytest.mark.parametrize("kind", ["is", "never"])
@pytest.mark.parametrize(
    "told",
    ["", " ", "5", "hello", "spotify:track:5", "https://tidal.com/album/5", "https://tidal.com.example/track/5",
     "tidal:track:" + "1" * 400, "tidal:track:5\x00", "tidal:track:5\nx"],
)  # fmt: skip
def test_what_is_no_track_of_the_service_is_refused_and_not_kept(mover: Mover, kind: str, told: str) -> None:
    mover.tidal.add_tracks(1)
    made = mover.plan(mover.source([1]))
    with pytest.raises(BadInput) as refused:
        mover.decide(made, 0, kind, told)
    assert refused.value.place == "uri"
    assert decisions(mover) == 0


def test_a_decision_is_made_by_one_process_at_a_time_and_by_the_row_as_it_is(
    mover: Mover, warehouse: Warehouse
) -> None:
    mover.tidal.add_tracks(5)
    made = mover.plan(mover.source([1]))
    read_before = mover.find(made)
    with (
        warehouse.connect(Role.INGEST, autocommit=True) as other,
        locks.migration_lock(other, read_before),
        pytest.raises(Busy),
    ):
        mover.decide(made, 0, "is", "tidal:track:5")
    moving.cancel(mover.connection, read_before, now=LONG_AGO)
    with pytest.raises(BadInput, match="is cancelled"):
        mover.decide(made, 0, "is", "tidal:track:5")
    assert decisions(mover) == 0


def test_nothing_is_decided_while_a_write_is_not_settled(mover: Mover) -> None:
    mover.tidal.add_tracks(5)
    made = mover.plan(mover.source([1]))
    journal = StoredJournal(mover.connection, migration_id=made, clock=mover.tidal.clock)
    journal.begin_creation("Mine", there=())
    with pytest.raises(BadInput, match="finish that first"):
        mover.decide(made, 0, "is", "tidal:track:5")


def test_what_was_missing_is_decided_after_applying_and_then_added_where_it_belongs(mover: Mover) -> None:
    mover.tidal.add_tracks(9)
    made = mover.plan(mover.source([1, 900, 2]))
    assert mover.run(made).is_done
    assert mover.tracks(made) == ["1", "2"]
    mover.decide(made, 1, "is", "tidal:track:5")
    assert mover.find(made).state == "incomplete"
    again = mover.run(made)
    assert (again.requests, again.is_done) == (1, True)
    assert mover.tracks(made) == ["1", "5", "2"]
    assert mover.find(made).state == "done"


def test_a_list_that_was_made_equal_is_only_added_to_by_later_decisions(mover: Mover) -> None:
    mover.tidal.add_tracks(9)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There", tracks=["8"])
    made = mover.plan(mover.source([1, 900]), into=there.playlist_id, is_equal=True)
    mover.run(made)
    there.entries.append(world.entry("tracks", "9"))
    mover.decide(made, 1, "is", "tidal:track:5")
    assert mover.run(made).is_done
    assert sorted(there.track_ids) == ["1", "5", "9"]


@pytest.mark.parametrize("is_equal", [False, True])
def test_a_decision_that_is_taken_back_leaves_a_migration_done(mover: Mover, is_equal: bool) -> None:
    """It stayed incomplete, and cancelling it then made a migration that was done a cancelled one."""
    mover.tidal.add_tracks(9)
    there = mover.tidal.tidal.world.make_playlist(mover.tidal.ana, "There", tracks=["8"])
    made = mover.plan(mover.source([1, 900, 2]), into=there.playlist_id, is_equal=is_equal)
    assert mover.run(made).is_done
    was = mover.find(made)
    mover.decide(made, 1, "is", "tidal:track:5")
    mover.decide(made, 2, "is", "tidal:track:6")
    mover.decide(made, 2, "is", "tidal:track:2")
    assert mover.find(made).state == "incomplete"
    take_back(mover.connection, migration=mover.find(made), position=1, now=LONG_AGO)
    assert mover.find(made) == was
    with pytest.raises(BadInput, match="is done"):
        moving.cancel(mover.connection, mover.find(made), now=LONG_AGO)
    # What was applied last is what counts.
    mover.decide(made, 1, "is", "tidal:track:5")
    assert mover.run(made).is_done
    mover.decide(made, 1, "is", "tidal:track:7")
    assert mover.find(made).state == "incomplete"
    mover.decide(made, 1, "is", "tidal:track:5")
    assert mover.find(made).state == "done"


def test_what_a_track_is_stays_when_another_is_ruled_out_later(mover: Mover) -> None:
    mover.tidal.add_tracks(9)
    playlist_id = mover.source([900])
    made = mover.plan(playlist_id)
    mover.decide(made, 0, "is", "tidal:track:5")
    mover.decide(made, 0, "never", "tidal:track:6")
    assert [(each.outcome, each.uri) for each in matches(mover, made)] == [("matched", "tidal:track:5")]
    second = mover.plan(playlist_id)
    assert [(each.outcome, each.uri) for each in matches(mover, second)] == [("matched", "tidal:track:5")]
    mover.decide(second, 0, "never", "tidal:track:5")
    third = mover.plan(playlist_id)
    assert [(each.outcome, each.uri) for each in matches(mover, third)] == [("missing", None)]


def test_when_one_candidate_is_ruled_out_the_others_remain(mover: Mover) -> None:
    mover.tidal.tidal.world.add_tracks(*RIVALS)
    twins = ListedTrack(uri="file:///twins", title="Twins", artists=("Pair",))
    made = mover.plan(mover.source([], entries=[PlaylistEntry(track=twins)]))
    mover.connection.execute(
        "update app.migration_items set outcome = 'ambiguous', uri = null where migration_id = %s", (made,)
    )
    (before,) = matches(mover, made)
    first, second = [each["uri"] for each in before.candidates]
    mover.decide(made, 0, "never", first)
    (after,) = matches(mover, made)
    assert (after.outcome, [each["uri"] for each in after.candidates]) == ("ambiguous", [second])
    mover.decide(made, 0, "never", second)
    (after,) = matches(mover, made)
    assert (after.outcome, after.candidates) == ("missing", [])
