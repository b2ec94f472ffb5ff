"""What people order of migrations, as the role that serves pages, and jobs that do it: put off, killed, cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.playlists.migration import job_orders, moving, orders, store, views
from myi_pipeline.playlists.migration.driving import MOST_ATTEMPTS, Cancelled, Driver, GivenUp, PutOff, pause_after
from myi_pipeline.playlists.migration.orders import Order
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers import accounts
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.encryption_keys import KeyRing
from myi_pipeline.providers.playlists import LIKED
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.playlists.mover import LONG_AGO, Mover, at_tidal, mover

__all__ = ["at_tidal", "mover"]

RETRY_AFTER_S = 7_200


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Person:
    """Ana in a browser: what the role of pages may do for her; and the jobs that `myi up` runs."""

    mover: Mover
    page: Connection
    driver: Driver
    account_id: int

    @property
    def now(self) -> datetime:
        return self.mover.tidal.clock.now()

    def order(self, playlist_id: int, **wish: Any) -> MigrationView:
        order = Order(playlist_id=playlist_id, **wish)
        return orders.order_migration(self.page, user_id=self.mover.user_id, order=order, now=self.now)

    def apply(self, number: int) -> MigrationView:
        return orders.order_apply(self.page, user_id=self.mover.user_id, migration_id=number, now=self.now)

    def cancel(self, number: int) -> MigrationView:
        return orders.order_cancel(self.page, user_id=self.mover.user_id, migration_id=number, now=self.now)

    def decide(self, number: int, position: int, word: orders.Word, uri: str | None) -> MigrationView:
        return orders.decide(
            self.page, user_id=self.mover.user_id, migration_id=number, position=position, word=word, uri=uri,
            now=self.now,
        )  # fmt: skip

    def see(self, number: int) -> MigrationView:
        return views.get_migration(self.page, user_id=self.mover.user_id, migration_id=number)

    def progress(self, number: int) -> tuple[int, int]:
        found = views.get_progress(self.page, user_id=self.mover.user_id, migration_id=number)
        return found.confirmed, found.wanted

    def additions(self, number: int) -> tuple[int, int, int]:
        found = views.preview(self.page, user_id=self.mover.user_id, migration_id=number)
        assert found is not None
        return found.additions, found.moves, found.removals

    def due(self) -> list[int]:
        return [each.migration_id for each in job_orders.due_orders(self.mover.connection, now=self.now)]

    def do(self, number: int) -> str | None:
        """What a run does; what it was."""
        ordered = self.driver.take(number)
        if ordered == "plan":
            self.driver.snap(number)
            self.driver.match(number)
        elif ordered == "apply":
            self.driver.apply(number)
        return ordered

    def planned(self, playlist_id: int, **wish: Any) -> int:
        number = self.order(playlist_id, **wish).migration_id
        assert self.do(number) == "plan"
        return number


@pytest.fixture
def ana(mover: Mover, warehouse: Warehouse) -> Iterator[Person]:
    account_id = mover.sign_in(warehouse)
    driver = Driver(mover.tidal.settings, warehouse, clock=mover.tidal.clock, sleep=mover.tidal.sleep)
    with warehouse.connect(Role.APP, autocommit=True) as page:
        yield Person(mover, page, driver, account_id)


def test_what_is_ordered_is_planned_decided_about_and_applied(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    ordered = ana.order(mover.source([1, 900, 2, 1]), name="New")
    number = ordered.migration_id
    assert (ordered.state, ordered.ordered, ordered.entries, ordered.source_name) == ("ordered", "plan", 0, "Mine")
    assert views.preview(ana.page, user_id=mover.user_id, migration_id=number) is None
    assert ana.due() == [number]
    with pytest.raises(orders.WrongState, match="is not planned yet"):
        ana.apply(number)
    with pytest.raises(orders.WrongState):
        ana.decide(number, 0, "unavailable", None)

    assert ana.do(number) == "plan"
    assert mover.writes == 0
    view = ana.see(number)
    assert (view.state, view.ordered, view.entries, view.matched, view.in_doubt) == ("planned", None, 4, 3, 1)
    assert (ana.additions(number), ana.progress(number), ana.due()) == ((3, 0, 0), (0, 3), [])
    (doubtful,) = views.list_items(ana.page, user_id=mover.user_id, migration_id=number, in_doubt=True)
    assert (doubtful.position, doubtful.outcome) == (1, "missing")
    assert ana.decide(number, doubtful.position, "is", "tidal:track:5").in_doubt == 0
    assert ana.additions(number) == (4, 0, 0)

    applying = ana.apply(number)
    assert (applying.state, applying.ordered) == ("applying", "apply")
    with pytest.raises(orders.WrongState, match="being applied already"):
        ana.apply(number)
    assert ana.do(number) == "apply"
    assert mover.tracks(number) == ["1", "5", "2", "1"]
    assert (ana.see(number).state, ana.progress(number), ana.due()) == ("done", (4, 4), [])
    assert ana.driver.verify(number).is_done
    for again in (ana.apply, ana.cancel):
        with pytest.raises(orders.WrongState, match="is done"):
            again(number)
    assert ana.driver.take(number) is None
    (audited,) = mover.connection.execute("select array_agg(event order by audit_id) from app.audit").fetchall()
    assert [each for each in audited[0] if each.startswith("migration")] == ["migration_ordered", "migration_applied"]


def test_what_has_to_be_removed_is_seen_before_and_follows_decisions(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    there = mover.tidal.tidal.world.make_playlist(mover.tidal.ana, "There", tracks=["9", "1"])
    number = ana.planned(mover.source([1, 2]), into=there.playlist_id, is_equal=True)
    assert (ana.see(number).target_name, ana.additions(number)) == ("There", (1, 0, 1))
    ana.decide(number, 0, "never", "tidal:track:1")
    assert ana.additions(number) == (1, 0, 2)
    # What is there already counts as confirmed.
    ana.decide(number, 0, "is", "tidal:track:1")
    assert ana.progress(number) == (1, 2)
    ana.apply(number)
    ana.do(number)
    assert there.track_ids == ["1", "2"]


def test_a_playlist_that_changed_after_its_plan_is_left_and_can_be_planned_again(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(9)
    world = mover.tidal.tidal.world
    there = world.make_playlist(mover.tidal.ana, "There", tracks=["9"])
    number = ana.planned(mover.source([1]), into=there.playlist_id, is_equal=True)
    there.entries.append(world.entry("tracks", "8"))
    ana.apply(number)
    with pytest.raises(GivenUp, match="plan again"):
        ana.do(number)
    view = ana.see(number)
    assert (view.state, view.ordered, mover.writes) == ("planned", None, 0)
    assert "plan again" in (view.reason or "")


@pytest.mark.parametrize("lost", ["POST", "GET"])
def test_a_quota_that_is_used_up_leaves_the_moment_at_which_it_goes_on(ana: Person, lost: str) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(60)
    number = ana.planned(mover.source(list(range(1, 61))))
    ana.apply(number)
    limited = ServiceFault(status=429, body="{}", headers=(("Retry-After", str(RETRY_AFTER_S)),), on=lost)
    mover.tidal.tidal.world.fail(limited)
    with pytest.raises(PutOff) as later:
        ana.do(number)
    assert timedelta(seconds=RETRY_AFTER_S - 60) < later.value.goes_on_at - ana.now <= timedelta(hours=3)
    view = ana.see(number)
    assert (view.state, view.goes_on_at, ana.due()) == ("applying", later.value.goes_on_at, [])
    assert f"continues automatically at {later.value.goes_on_at:%Y-%m-%d %H:%M} UTC" in (view.waits_for(ana.now) or "")
    mover.tidal.clock.set(later.value.goes_on_at + timedelta(seconds=1))
    assert ana.due() == [number]
    assert ana.see(number).waits_for(ana.now) is None
    assert ana.do(number) == "apply"
    assert mover.tracks(number) == [str(each) for each in range(1, 61)]


def test_a_login_that_ended_waits_for_its_owner_and_goes_on_by_itself(ana: Person, warehouse: Warehouse) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(2)
    number = ana.planned(mover.source([1, 2]))
    ana.apply(number)
    mover.tidal.tidal.sign_in.revoke("ana")
    for _ in range(4):
        # A token endpoint may err: it is asked a second time hours later.
        with pytest.raises(PutOff) as later:
            ana.do(number)
        mover.tidal.clock.set(later.value.goes_on_at + timedelta(minutes=1))
        if not ana.due():
            break
    view = ana.see(number)
    assert (view.state, view.account_obstacle) == ("applying", "reauth_required")
    assert "continues when the account is linked again" in (view.waits_for(ana.now) or "")
    mover.sign_in(warehouse)
    assert ana.due() == [number]
    assert ana.do(number) == "apply"
    assert mover.tracks(number) == ["1", "2"]


def test_a_paused_account_waits_and_takes_no_new_orders(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(2)
    playlist_id = mover.source([1])
    waiting = ana.order(playlist_id).migration_id
    accounts.pause_account(ana.page, user_id=mover.user_id, account_id=ana.account_id, now=LONG_AGO)
    assert ana.due() == []
    assert "is paused" in (ana.see(waiting).waits_for(ana.now) or "")
    with pytest.raises(orders.NotATarget, match="is paused"):
        ana.order(playlist_id)
    accounts.pause_account(ana.page, user_id=mover.user_id, account_id=ana.account_id, now=None)
    assert ana.due() == [waiting]


def test_a_job_that_was_killed_is_taken_up_again_after_a_pause_and_adds_nothing_twice(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(120)
    numbers = list(range(1, 121))
    number = ana.order(mover.source(numbers)).migration_id
    # Between the steps of the plan.
    assert ana.driver.take(number) == "plan"
    ana.driver.snap(number)
    assert ana.due() == []
    mover.tidal.clock.advance(pause_after(1) + timedelta(seconds=1))
    assert ana.due() == [number]
    assert ana.do(number) == "plan"
    ana.apply(number)
    settled = 0

    def kill() -> None:
        nonlocal settled
        settled += 1
        if settled == 1:
            raise Killed

    assert ana.driver.take(number) == "apply"
    with pytest.raises(Killed):
        ana.driver.apply(number, on_settled=kill)
    assert ana.progress(number) == (50, 120)
    mover.tidal.clock.advance(pause_after(1) + timedelta(seconds=1))
    assert ana.do(number) == "apply"
    assert mover.tracks(number) == [str(each) for each in numbers]
    assert (ana.see(number).state, len(mover.tidal.tidal.world.playlists)) == ("done", 1)


def test_what_never_comes_to_its_end_is_given_up_and_says_so(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(1)
    number = ana.order(mover.source([1])).migration_id
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert ana.driver.take(number) == "plan"
        mover.tidal.clock.advance(pause_after(attempt) + timedelta(seconds=1))
    with pytest.raises(GivenUp, match="never finished"):
        ana.driver.take(number)
    view = ana.see(number)
    assert (view.state, view.ordered, ana.due()) == ("failed", None, [])
    assert "never finished" in (view.reason or "")
    with pytest.raises(BadInput, match="is not planned"):
        moving.run(
            mover.connection, mover.target, mover.find(number), clock=mover.tidal.clock, sleep=mover.tidal.sleep
        )  # fmt: skip


def test_a_plan_that_cannot_be_made_fails_with_its_reason(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(1)
    number = ana.order(mover.source([1]), into="6d6b4bd0-2c3d-4c2e-9f58-6c3f0d9b1a22").migration_id
    with pytest.raises(GivenUp):
        ana.do(number)
    view = ana.see(number)
    assert (view.state, view.ordered, view.reason is not None) == ("failed", None, True)


def test_cancelling_takes_effect_at_once_or_after_the_write_that_is_under_way(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(120)
    playlist_id = mover.source(list(range(1, 121)))
    assert ana.cancel(ana.order(playlist_id).migration_id).state == "cancelled"
    number = ana.planned(playlist_id)
    ana.apply(number)
    asked: list[bool] = []

    def cancel() -> None:
        if not asked:
            asked.append(ana.cancel(number).is_being_cancelled)
            with pytest.raises(orders.WrongState):
                ana.decide(number, 0, "unavailable", None)

    assert ana.driver.take(number) == "apply"
    with pytest.raises(Cancelled):
        ana.driver.apply(number, on_settled=cancel)
    assert asked == [True]
    view = ana.see(number)
    assert (view.state, view.is_being_cancelled, ana.due()) == ("cancelled", False, [])
    assert mover.tracks(number) == [str(each) for each in range(1, 51)]
    with pytest.raises(orders.WrongState, match="is cancelled already"):
        ana.cancel(number)


def test_two_migrations_are_not_at_one_playlist_at_the_same_time(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(3)
    world = mover.tidal.tidal.world
    there, other = (world.make_playlist(mover.tidal.ana, name) for name in ("There", "Other"))
    playlist_id = mover.source([1, 2])
    first = ana.planned(playlist_id, into=there.playlist_id)
    second = ana.planned(playlist_id, into=there.playlist_id)
    ana.apply(first)
    with pytest.raises(store.PlaylistTaken, match=f"migration {first} is using this playlist"):
        ana.apply(second)
    with pytest.raises(store.PlaylistTaken):
        ana.order(playlist_id, into=there.playlist_id)
    ana.order(playlist_id, into=other.playlist_id)
    ana.do(first)
    assert ana.apply(second).ordered == "apply"


def test_an_order_that_cannot_be_is_refused_with_its_reason(ana: Person, warehouse: Warehouse) -> None:
    mover = ana.mover
    playlist_id = mover.source([1])
    deezer = accounts.link_account(
        mover.connection, KeyRing([bytes(32)]), user_id=mover.user_id, provider=Provider.DEEZER, provider_account="42",
        name=None, client_id=None, grant=None, now=LONG_AGO,
    )  # fmt: skip
    bob = add_user(mover.connection, user_key="bob", time_zone="UTC").user_id
    refused: list[tuple[type[BadInput], dict[str, Any], str]] = [
        (orders.UnknownAccount, {"account_id": 999}, "no linked account 999"),
        (orders.NotATarget, {"account_id": deezer}, "not to Deezer"),
        (BadInput, {"into": LIKED}, "liked tracks cannot be the target"),
        (BadInput, {"into": "x", "into_playlist_id": playlist_id}, "not by both"),
        (BadInput, {"into_playlist_id": playlist_id}, "is not one of TIDAL account Ana"),
        (BadInput, {"is_equal": True}, "a new one is empty"),
        (BadInput, {"name": "x", "into": "y"}, "keeps its name"),
        (BadInput, {"name": "a\nb"}, "printable"),
        (BadInput, {"into": " x"}, "not the id of a playlist"),
    ]
    for kind, wish, text in refused:
        with pytest.raises(kind, match=text):
            ana.order(playlist_id, **wish)
    with pytest.raises(orders.UnknownPlaylist):
        ana.order(999)
    with pytest.raises(orders.UnknownPlaylist):
        orders.order_migration(
            ana.page, user_id=bob, order=Order(playlist_id=playlist_id, account_id=None), now=ana.now
        )
    assert mover.connection.execute("select count(*) from app.migrations").fetchone() == (0,)


def test_nobody_orders_sees_or_ends_what_is_another_users(ana: Person) -> None:
    mover = ana.mover
    mover.tidal.add_tracks(1)
    number = ana.planned(mover.source([1]))
    bob = add_user(mover.connection, user_key="bob", time_zone="UTC").user_id
    asked = {"user_id": bob, "migration_id": number}
    for call in (orders.order_apply, orders.order_cancel):
        with pytest.raises(views.UnknownMigration):
            call(ana.page, **asked, now=ana.now)
    for read in (views.get_migration, views.get_progress, views.list_items, views.preview):
        with pytest.raises(views.UnknownMigration):
            read(ana.page, **asked)
    with pytest.raises(views.UnknownMigration):
        orders.decide(ana.page, **asked, position=0, word="unavailable", uri=None, now=ana.now)
    assert views.list_migrations(ana.page, user_id=bob) == ()
    assert [each.migration_id for each in views.list_migrations(ana.page, user_id=mover.user_id)] == [number]
