"""Top lists are read by tier, replaced whole, kept day by day; one user's failure is that user's alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from myi_pipeline.services.refresh_top_items import NOT_ALLOWED, TopResult, due_top_users, refresh_top_items
from myi_pipeline.warehouse import top_items_store
from myi_pipeline.warehouse.connections import Role
from myi_pipeline.warehouse.top_items_store import TopList
from tests.integration.credentials.conftest import House, HouseMaker

LISTS = "select entity_kind, term, count(*), min(rank), max(rank) from raw.top_items where user_id = %s group by 1, 2"
WITHOUT_FACTS = """
select count(*) from raw.top_items left join raw.contents using (content_id)
where entity_kind = 'track' and (duration_ms is null or isrc is null)
"""
WITHOUT_PICTURES = """
select count(*) from raw.top_items where entity_kind = 'artist' and not exists (
    select from raw.pictures as p where p.entity_id = top_items.artist_id and p.entity_kind = 'artist'
)
"""
HOUR = timedelta(hours=1)


def read_lists(house: House, *user_ids: int, **options: Any) -> tuple[TopResult, ...]:
    return refresh_top_items(
        house.settings, house.warehouse, user_ids=user_ids, clock=house.clock, sleep=house.sleep, **options
    )


def due(house: House) -> list[str]:
    return [user.user_key for user in due_top_users(house.warehouse, now=house.clock.now())]


def signed_in(house: House, *keys: str) -> list[int]:
    spotify = house.open()
    for number, key in enumerate(keys, 1):
        house.sign_in(spotify, key, listener=f"listener-{number}")
    return [house.user(key) for key in keys]


def top_calls(house: House) -> int:
    return sum(count for call, count in house.simulator.control.call_counts().items() if "/me/top" in call[2])


def test_six_lists_of_everyone_are_kept(house: House) -> None:
    users = signed_in(house, "ana", "ben")
    results = read_lists(house, *users)
    assert [(result.user_key, result.outcome, result.lists) for result in results] == [
        ("ana", "refreshed", 6),
        ("ben", "refreshed", 6),
    ]
    for user, result in zip(users, results, strict=True):
        rows = house.sql(LISTS, user)
        assert len(rows) == 6
        assert all(first == 1 and last == count <= 50 for _, _, count, first, last in rows)
        assert sum(row[2] for row in rows) == result.items > 0
    assert house.sql(WITHOUT_FACTS) == [(0,)]
    assert house.sql(WITHOUT_PICTURES) == [(0,)]


def test_a_second_reading_of_a_day_replaces_and_one_of_the_next_is_another_snapshot(house: House) -> None:
    (user,) = signed_in(house, "ana")
    (first,) = read_lists(house, user)
    (again,) = read_lists(house, user, force=True)
    assert (again.outcome, house.sql("select count(*) from raw.top_items")) == ("refreshed", [(again.items,)])
    house.clock.advance(timedelta(days=1))
    (next_day,) = read_lists(house, user)
    days = house.sql("select count(distinct taken_on), count(*) from raw.top_items")
    assert days == [(2, first.items + next_day.items)]
    assert house.sql("select distinct utc_day from ops.changed_days order by 1") == house.sql(
        "select distinct taken_on from raw.top_items order by 1"
    )


@pytest.mark.long
def test_who_is_seen_is_read_daily_who_was_away_less_often_and_who_is_gone_on_demand(house: House) -> None:
    (user,) = signed_in(house, "ana")
    start = house.clock.now()
    asked: list[datetime] = []
    for _ in range(24 * 15):
        house.clock.advance(HOUR)
        if due(house):
            assert read_lists(house, user)[0].outcome == "refreshed"
            asked.append(house.clock.now())
    hours = [round((moment - start) / HOUR) for moment in asked]
    # A sign-in is being seen: every 24 h for two days, then every 72 h up to a week, then never.
    assert hours == [1, 25, 97]
    assert read_lists(house, user)[0].reason == "is not due"
    assert read_lists(house, user, force=True)[0].outcome == "refreshed"
    house.sql("select ops.ensure_event_partitions(%s, %s)", house.clock.now().date(), house.clock.now().date())
    house.clock.advance(timedelta(days=2))
    house.sql(
        "insert into raw.listening_events (user_id, played_at, source_id, batch_id) values (%s, %s, 3, 1)",
        user,
        house.clock.now() - HOUR,
    )
    assert due(house) == ["ana"]


def test_a_login_without_the_permission_says_so_and_asks_nothing(house: House) -> None:
    house.sign_in(house.open(), "ana", denied=("user-top-read",))
    user = house.user("ana")
    assert due(house) == []
    (result,) = read_lists(house, user, force=True)
    assert (result.outcome, result.reason) == ("skipped", NOT_ALLOWED)
    assert top_calls(house) == 0


def test_who_is_not_signed_in_or_paused_is_skipped(house: House) -> None:
    (user,) = signed_in(house, "ana")
    house.sql("update app.credentials set paused_at = now()")
    results = read_lists(house, user, house.user("ben"), force=True)
    assert [(result.user_key, result.outcome) for result in results] == [("ana", "skipped"), ("ben", "skipped")]
    assert due(house) == []


def test_one_list_that_fails_costs_no_other_and_is_tried_again_soon(house: House) -> None:
    users = signed_in(house, "ana", "ben")
    house.simulator.control.fail("status", status=503, path="/v1/me/top/artists", listener="listener-1", times=None)
    ana, ben = read_lists(house, *users)
    assert (ana.outcome, ana.lists, ben.outcome, ben.lists) == ("partly", 3, "refreshed", 6)
    assert ana.reason is not None
    assert ana.retry_at is not None
    assert timedelta(minutes=4) < ana.retry_at - house.clock.now() < timedelta(minutes=10)
    assert due(house) == []
    house.simulator.control.clear_faults()
    house.clock.advance(timedelta(minutes=10))
    assert due(house) == ["ana"]
    assert read_lists(house, *users)[0].outcome == "refreshed"


def test_a_blocked_quota_ends_the_reading_and_names_its_time(house: House) -> None:
    (user,) = signed_in(house, "ana")
    house.simulator.control.fail("status", status=429, retry_after=7_200, path="/v1/me/top/tracks", times=1)
    (result,) = read_lists(house, user)
    assert (result.outcome, top_calls(house)) == ("failed", 1)
    assert result.retry_at is not None
    assert result.retry_at >= house.clock.now() + timedelta(seconds=7_190)


def test_a_list_is_replaced_whole_or_not_at_all(house: House) -> None:
    user, number = house.user("ana"), 1
    with house.warehouse.connect(Role.INGEST, autocommit=True) as connection:

        def replace(*ranks: int) -> None:
            top_items_store.replace_lists(
                connection,
                user_id=user,
                lists=[TopList("track", "short_term", tuple((rank, number) for rank in ranks))],
                now=house.clock.now(),
            )

        replace(1, 3, 50)
        # Broken lists change nothing: the whole replacement goes back.
        for bad in ((1, 51), (0,), (2, 2)):
            with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.UniqueViolation)):
                replace(*bad)
        assert house.sql("select rank from raw.top_items order by 1") == [(1,), (3,), (50,)]


def test_a_user_who_leaves_takes_the_lists_along(make_house: HouseMaker) -> None:
    house = make_house()
    (user,) = signed_in(house, "ana")
    read_lists(house, user)
    house.sql("delete from ops.changed_days")
    house.sql("delete from app.users")
    assert house.sql("select count(*) from raw.top_items") == [(0,)]
    assert house.sql("select distinct user_id from ops.changed_days") == [(user,)]
