"""Migrations that are kept in sync, at the made-up TIDAL: repeated by hand and by the day, with what was decided, and
paused where a person is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from myi_pipeline.people.manage_users import add_user
from myi_pipeline.playlists.migration import orders, repeating, saved, store, views
from myi_pipeline.playlists.migration.driving import Driver, GivenUp, PutOff
from myi_pipeline.playlists.migration.orders import Order, WrongState
from myi_pipeline.playlists.migration.saved import SavedView, UnknownSaved
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.playlists.mover import Mover, at_tidal, mover

__all__ = ["at_tidal", "mover"]


@dataclass
class Person:
    """Ana in a browser, and the jobs of `myi up`."""

    mover: Mover
    page: Connection
    driver: Driver
    account_id: int

    @property
    def now(self) -> Any:
        return self.mover.tidal.clock.now()

    @property
    def about(self) -> dict[str, Any]:
        return {"user_id": self.mover.user_id}

    def moved(self, playlist_id: int, **wish: Any) -> int:
        """A migration that was planned and applied."""
        order = Order(playlist_id=playlist_id, **wish)
        number = orders.order_migration(self.page, **self.about, order=order, now=self.now).migration_id
        self.driver.run_now(number)
        orders.order_apply(self.page, **self.about, migration_id=number, now=self.now)
        self.driver.run_now(number)
        return number

    def save(self, number: int, *, is_daily: bool = True) -> int:
        made = saved.save(self.page, **self.about, migration_id=number, is_daily=is_daily, now=self.now)
        return made.saved_id

    def see(self, saved_id: int) -> SavedView:
        return saved.get_saved(self.page, **self.about, saved_id=saved_id)

    def repeat(self, saved_id: int) -> MigrationView:
        number = saved.repeat(self.page, **self.about, saved_id=saved_id, now=self.now).migration_id
        self.driver.run_now(number)
        return views.get_migration(self.page, **self.about, migration_id=number)

    def a_day_later(self) -> list[MigrationView]:
        """What the scheduler orders then, done."""
        self.mover.tidal.clock.advance(timedelta(days=1, minutes=1).total_seconds())
        self.mover.sign_in(self.driver.warehouse)
        made = repeating.order_due(self.mover.connection, now=self.now)
        for number in made:
            self.driver.run_now(number)
        return [views.get_migration(self.page, **self.about, migration_id=number) for number in made]

    @property
    def calls(self) -> int:
        return len(self.mover.tidal.tidal.world.calls)


@pytest.fixture
def ana(mover: Mover, warehouse: Warehouse) -> Iterator[Person]:
    account_id = mover.sign_in(warehouse)
    driver = Driver(mover.tidal.settings, warehouse, clock=mover.tidal.clock, sleep=mover.tidal.sleep)
    with warehouse.connect(Role.APP, autocommit=True) as page:
        yield Person(mover, page, driver, account_id)


@pytest.mark.slow
def test_each_day_what_came_to_the_source_is_added_and_what_its_owner_did_there_stays(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(20)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There", tracks=["19", "1"])
    first = ana.moved(mover.source([1, 2]), into=there.playlist_id)
    assert there.track_ids == ["19", "1", "1", "2"]
    kept = ana.save(first)

    # Nothing has changed: nobody is asked anything.
    calls = ana.calls
    assert (ana.a_day_later(), ana.calls) == ([], calls)

    there.entries.append(world.entry("tracks", "18"))
    mover.source([1, 2, 3, 2])
    (run,) = ana.a_day_later()
    assert (run.state, run.matched) == ("done", 4)
    assert there.track_ids == ["19", "1", "1", "2", "18", "3", "2"]

    # What went from the source stays there, and a run by hand finds nothing to write.
    mover.source([2, 3])
    writes = mover.writes
    assert [each.state for each in ana.a_day_later()] == ["done"]
    calls = ana.calls
    assert ana.repeat(kept).state == "done"
    assert mover.writes == writes
    # The list is read: one page.
    assert ana.calls - calls == 1
    assert there.track_ids == ["19", "1", "1", "2", "18", "3", "2"]
    assert ana.see(kept).state == "idle"


def test_what_was_decided_holds_and_what_is_in_doubt_waits_without_stopping_the_rest(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    first = ana.moved(mover.source([1, 900, 901, 2]))
    decide = {**ana.about, "migration_id": first, "now": ana.now}
    orders.decide(ana.page, **decide, position=1, word="is", uri="tidal:track:8")
    orders.decide(ana.page, **decide, position=2, word="leave_out", uri=None)
    kept = ana.save(first)
    mover.source([1, 900, 901, 2, 902, 3])
    (run,) = ana.a_day_later()
    assert run.state == "done"
    assert mover.tracks(first) == ["1", "8", "2", "3"]
    assert (run.unavailable, run.in_doubt, ana.see(kept).in_doubt) == (1, 1, 1)
    # A word on one of them, and the next day it comes, although the source is as it was.
    orders.decide(
        ana.page, **ana.about, migration_id=run.migration_id, position=4, word="is", uri="tidal:track:7", now=ana.now
    )
    (run,) = ana.a_day_later()
    assert mover.tracks(first) == ["1", "8", "2", "7", "3"]
    assert ana.a_day_later() == []


def test_of_two_entries_of_one_track_the_one_that_was_left_out_stays_out(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    wish = Order(playlist_id=mover.source([1, 2, 1]))
    first = orders.order_migration(ana.page, **ana.about, order=wish, now=ana.now).migration_id
    ana.driver.run_now(first)
    orders.decide(
        ana.page, **ana.about, migration_id=first, position=2, word="leave_out", uri=None, now=ana.now
    )  # fmt: skip
    orders.order_apply(ana.page, **ana.about, migration_id=first, now=ana.now)
    ana.driver.run_now(first)
    assert mover.tracks(first) == ["1", "2"]
    ana.save(first)
    mover.source([1, 2, 3, 1])
    assert [each.state for each in ana.a_day_later()] == ["done"]
    assert mover.tracks(first) == ["1", "2", "3"]


def test_a_list_that_is_made_equal_keeps_a_second_copy_that_somebody_added(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There")
    kept = ana.save(ana.moved(mover.source([1, 2, 3]), into=there.playlist_id, is_equal=True))
    there.entries.append(world.entry("tracks", "2"))
    mover.source([3, 1, 2])
    assert [each.state for each in ana.a_day_later()] == ["planned"]
    assert there.track_ids == ["1", "2", "3", "2"]
    assert ana.see(kept).state == "paused"


def test_a_list_that_is_made_equal_loses_nothing_that_somebody_else_added(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There", tracks=["9"])
    kept = ana.save(ana.moved(mover.source([1, 2, 3]), into=there.playlist_id, is_equal=True))
    assert there.track_ids == ["1", "2", "3"]
    mover.source([3, 1])
    assert [each.state for each in ana.a_day_later()] == ["done"]
    assert there.track_ids == ["3", "1"]
    there.entries.append(world.entry("tracks", "8"))
    mover.source([1, 3])
    writes = mover.writes
    (run,) = ana.a_day_later()
    assert (run.state, mover.writes) == ("planned", writes)
    found = ana.see(kept)
    assert (found.state, found.next_at) == ("paused", None)
    assert "1 entry was added to the playlist by somebody else" in (found.waits_for(ana.now) or "")
    mover.source([1, 3, 2])
    assert ana.a_day_later() == []
    # Its owner means it: what the run would do is seen, applied, and it goes on.
    orders.order_apply(ana.page, **ana.about, migration_id=run.migration_id, now=ana.now)
    ana.driver.run_now(run.migration_id)
    assert there.track_ids == ["1", "3"]
    saved.resume(ana.page, **ana.about, saved_id=kept, now=ana.now)
    assert [each.state for each in ana.a_day_later()] == ["done"]
    assert there.track_ids == ["1", "3", "2"]


def test_what_cannot_go_on_is_paused_and_says_why(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    first = ana.moved(mover.source([1]))
    kept = ana.save(first)
    # A playlist that is gone.
    target = mover.find(first).target_playlist or ""
    gone = mover.tidal.tidal.world.playlists.pop(target)
    mover.source([1, 2])
    with pytest.raises(GivenUp):
        ana.a_day_later()
    found = ana.see(kept)
    assert (found.state, bool(found.pause_reason)) == ("paused", True)
    mover.tidal.tidal.world.playlists[target] = gone
    # Once resumed it is looked at next, and what failed is done, although the source is as it was.
    resumed = saved.resume(ana.page, **ana.about, saved_id=kept, now=ana.now)
    assert resumed.next_at is not None
    assert resumed.next_at <= ana.now
    (number,) = repeating.order_due(mover.connection, now=ana.now)
    ana.driver.run_now(number)
    assert mover.tracks(first) == ["1", "2"]
    assert saved.resume(ana.page, **ana.about, saved_id=kept, now=ana.now).state == "idle"
    assert ana.repeat(kept).state == "done"
    assert mover.tracks(first) == ["1", "2"]

    # A quota: it waits and goes on by itself.
    mover.source([1, 2, 3])
    limited = ServiceFault(status=429, body="{}", headers=(("Retry-After", "7200"),), on="POST")
    mover.tidal.tidal.world.fail(limited)
    with pytest.raises(PutOff):
        ana.a_day_later()
    found = ana.see(kept)
    assert found.state == "running"
    assert "continues automatically" in (found.waits_for(ana.now) or "")
    assert found.last_id is not None
    mover.tidal.clock.advance(7_300)
    mover.sign_in(ana.driver.warehouse)
    ana.driver.run_now(found.last_id)
    assert mover.tracks(first) == ["1", "2", "3"]

    # A login that has ended: nothing is ordered until it is linked again.
    mover.source([1, 2, 3, 4])
    mover.connection.execute("update app.provider_accounts set state = 'reauth_required'")
    mover.tidal.clock.advance(90_000)
    assert repeating.order_due(mover.connection, now=ana.now) == ()
    assert (ana.see(kept).state, ana.see(kept).next_at) == ("waiting", None)
    assert "has ended" in (ana.see(kept).waits_for(ana.now) or "")
    assert [each.state for each in ana.a_day_later()] == ["done"]


@pytest.mark.slow
def test_one_run_at_a_time_pausing_and_forgetting_and_the_oldest_runs_go(
    ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    mover = ana.mover
    monkeypatch.setattr(repeating, "KEPT_RUNS", 2)
    mover.tidal.add_tracks(9)
    planned = orders.order_migration(
        ana.page, **ana.about, order=Order(playlist_id=mover.source([1])), now=ana.now
    ).migration_id
    with pytest.raises(WrongState, match="apply it first"):
        ana.save(planned)
    first = ana.moved(mover.source([1]))
    kept = ana.save(first, is_daily=False)
    mover.source([1, 2])
    assert ana.a_day_later() == []
    # Saved again it is the same one, daily now.
    assert ana.save(first) == kept
    saved.pause(ana.page, **ana.about, saved_id=kept, now=ana.now)
    assert ana.a_day_later() == []
    saved.resume(ana.page, **ana.about, saved_id=kept, now=ana.now)
    saved.repeat(ana.page, **ana.about, saved_id=kept, now=ana.now)
    with pytest.raises(WrongState, match="under way"):
        saved.repeat(ana.page, **ana.about, saved_id=kept, now=ana.now)
    assert ana.a_day_later() == []
    last = ana.see(kept).last_id
    assert last is not None
    ana.driver.run_now(last)
    for count in (3, 4, 5):
        mover.source(list(range(1, count + 1)))
        assert len(ana.a_day_later()) == 1
    for _ in range(3):
        ana.repeat(kept)
    runs = mover.connection.execute("select count(*) from app.migrations where saved_id = %s", (kept,)).fetchone()
    assert runs == (2,)
    assert store.find_migration(mover.connection, migration_id=first) is not None
    ben = add_user(mover.connection, user_key="ben", time_zone="UTC").user_id
    for ask in (saved.get_saved, partial(saved.resume, now=ana.now), saved.forget):
        with pytest.raises(UnknownSaved):
            ask(ana.page, user_id=ben, saved_id=kept)
    saved.forget(ana.page, **ana.about, saved_id=kept)
    assert saved.list_saved(ana.page, **ana.about) == ()
    mover.source([1, 9])
    assert ana.a_day_later() == []
    assert accounts.find_account(mover.connection, account_id=ana.account_id) is not None
