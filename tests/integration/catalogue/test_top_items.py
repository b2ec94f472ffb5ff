"""Top lists are read by tier, replaced whole, kept day by day; one user's failure is that user's alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from myi_pipeline.polling import top_items
from myi_pipeline.polling.top_items import NOT_ALLOWED, TopList, TopResult, due_top_users, refresh_top_items
from myi_pipeline.postgres.connections import Role
from tests.integration.credentials.conftest import Setup, SetupMaker

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


def read_lists(setup: Setup, *user_ids: int, **options: Any) -> tuple[TopResult, ...]:
    return refresh_top_items(
        setup.settings, setup.warehouse, user_ids=user_ids, clock=setup.clock, sleep=setup.sleep, **options
    )


def due(setup: Setup) -> list[str]:
    return [user.user_key for user in due_top_users(setup.warehouse, now=setup.clock.now())]


def signed_in(setup: Setup, *keys: str) -> list[int]:
    spotify = setup.open()
    for number, key in enumerate(keys, 1):
        setup.sign_in(spotify, key, listener=f"listener-{number}")
    return [setup.user(key) for key in keys]


def top_calls(setup: Setup) -> int:
    return sum(count for call, count in setup.simulator.control.call_counts().items() if "/me/top" in call[2])


def test_six_lists_of_everyone_are_kept(setup: Setup) -> None:
    users = signed_in(setup, "ana", "ben")
    results = read_lists(setup, *users)
    assert [(result.user_key, result.outcome, result.lists) for result in results] == [
        ("ana", "refreshed", 6),
        ("ben", "refreshed", 6),
    ]
    for user, result in zip(users, results, strict=True):
        rows = setup.sql(LISTS, user)
        assert len(rows) == 6
        assert all(first == 1 and last == count <= 50 for _, _, count, first, last in rows)
        assert sum(row[2] for row in rows) == result.items > 0
    assert setup.sql(WITHOUT_FACTS) == [(0,)]
    assert setup.sql(WITHOUT_PICTURES) == [(0,)]


def test_a_second_reading_of_a_day_replaces_and_one_of_the_next_is_another_snapshot(setup: Setup) -> None:
    (user,) = signed_in(setup, "ana")
    (first,) = read_lists(setup, user)
    (again,) = read_lists(setup, user, force=True)
    assert (again.outcome, setup.sql("select count(*) from raw.top_items")) == ("refreshed", [(again.items,)])
    setup.clock.advance(timedelta(days=1))
    (next_day,) = read_lists(setup, user)
    days = setup.sql("select count(distinct taken_on), count(*) from raw.top_items")
    assert days == [(2, first.items + next_day.items)]
    assert setup.sql("select distinct utc_day from ops.changed_days order by 1") == setup.sql(
        "select distinct taken_on from raw.top_items order by 1"
    )


@pytest.mark.long
def test_who_is_seen_is_read_daily_who_was_away_less_often_and_who_is_gone_on_demand(setup: Setup) -> None:
    (user,) = signed_in(setup, "ana")
    start = setup.clock.now()
    asked: list[datetime] = []
    for _ in range(24 * 15):
        setup.clock.advance(HOUR)
        if due(setup):
            assert read_lists(setup, user)[0].outcome == "refreshed"
            asked.append(setup.clock.now())
    hours = [round((moment - start) / HOUR) for moment in asked]
    # A sign-in is being seen: every 24 h for two days, then every 72 h up to a week, then never.
    assert hours == [1, 25, 97]
    assert read_lists(setup, user)[0].reason == "is not due"
    assert read_lists(setup, user, force=True)[0].outcome == "refreshed"
    setup.sql("select ops.ensure_event_partitions(%s, %s)", setup.clock.now().date(), setup.clock.now().date())
    setup.clock.advance(timedelta(days=2))
    setup.sql(
        "insert into raw.listening_events (user_id, played_at, source_id, batch_id) values (%s, %s, 3, 1)",
        user,
        setup.clock.now() - HOUR,
    )
    assert due(setup) == ["ana"]


def test_a_login_without_the_permission_says_so_and_asks_nothing(setup: Setup) -> None:
    setup.sign_in(setup.open(), "ana", denied=("user-top-read",))
    user = setup.user("ana")
    assert due(setup) == []
    (result,) = read_lists(setup, user, force=True)
    assert (result.outcome, result.reason) == ("skipped", NOT_ALLOWED)
    assert top_calls(setup) == 0


def test_who_is_not_signed_in_or_paused_is_skipped(setup: Setup) -> None:
    (user,) = signed_in(setup, "ana")
    setup.sql("update app.credentials set paused_at = now()")
    results = read_lists(setup, user, setup.user("ben"), force=True)
    assert [(result.user_key, result.outcome) for result in results] == [("ana", "skipped"), ("ben", "skipped")]
    assert due(setup) == []


def test_one_list_that_fails_costs_no_other_and_is_tried_again_soon(setup: Setup) -> None:
    users = signed_in(setup, "ana", "ben")
    setup.simulator.control.fail("status", status=503, path="/v1/me/top/artists", listener="listener-1", times=None)
    ana, ben = read_lists(setup, *users)
    assert (ana.outcome, ana.lists, ben.outcome, ben.lists) == ("partly", 3, "refreshed", 6)
    assert ana.reason is not None
    assert ana.retry_at is not None
    assert timedelta(minutes=4) < ana.retry_at - setup.clock.now() < timedelta(minutes=10)
    assert due(setup) == []
    setup.simulator.control.clear_faults()
    setup.clock.advance(timedelta(minutes=10))
    assert due(setup) == ["ana"]
    assert read_lists(setup, *users)[0].outcome == "refreshed"


def test_a_blocked_quota_ends_the_reading_and_names_its_time(setup: Setup) -> None:
    (user,) = signed_in(setup, "ana")
    setup.simulator.control.fail("status", status=429, retry_after=7_200, path="/v1/me/top/tracks", times=1)
    (result,) = read_lists(setup, user)
    assert (result.outcome, top_calls(setup)) == ("failed", 1)
    assert result.retry_at is not None
    assert result.retry_at >= setup.clock.now() + timedelta(seconds=7_190)


def test_a_list_is_replaced_whole_or_not_at_all(setup: Setup) -> None:
    user, number = setup.user("ana"), 1
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:

        def replace(*ranks: int) -> None:
            top_items.replace_lists(
                connection,
                user_id=user,
                lists=[TopList("track", "short_term", tuple((rank, number) for rank in ranks))],
                now=setup.clock.now(),
            )

        replace(1, 3, 50)
        # Broken lists change nothing: the whole replacement goes back.
        for bad in ((1, 51), (0,), (2, 2)):
            with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.UniqueViolation)):
                replace(*bad)
        assert setup.sql("select rank from raw.top_items order by 1") == [(1,), (3,), (50,)]


def test_a_user_who_leaves_takes_the_lists_along(make_setup: SetupMaker) -> None:
    setup = make_setup()
    (user,) = signed_in(setup, "ana")
    read_lists(setup, user)
    setup.sql("delete from ops.changed_days")
    setup.sql("delete from app.users")
    assert setup.sql("select count(*) from raw.top_items") == [(0,)]
    assert setup.sql("select distinct user_id from ops.changed_days") == [(user,)]
